// Examples with real services behind them: handlers behind Lambda's interface, a real S3 server, the runtimes of Cloudflare
// Workers and Deno Deploy.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { makeFolder, removeFolder } from '../__test__/support/files.mjs'
import { missing, startWorker } from './services/fetch-worker.mjs'
import { startLambda } from './services/lambda.mjs'
import { freePort } from './services/process.mjs'
import { start as startS3 } from './services/s3.mjs'

const folder = fileURLToPath(new URL('../examples', import.meta.url))
const BUCKET = 'film-bucket'
const KEY = { key: 'AKIATEST', secret: 'hush-hush' }
let home, s3

beforeEach(async () => {
  home = makeFolder()
  mkdirSync(join(home, 'film'))
  s3 = await startS3({ ...KEY, buckets: [BUCKET] })
  const settings = { JOB_DIR: join(home, 'film'), STORAGE: `s3://${BUCKET}`, AWS_REGION: 'us-east-1' }
  const keys = { AWS_ACCESS_KEY_ID: KEY.key, AWS_SECRET_ACCESS_KEY: KEY.secret, AWS_ENDPOINT_URL_S3: s3.url }
  for (const [name, value] of Object.entries({ ...settings, ...keys })) vi.stubEnv(name, value)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await s3?.stop()
  removeFolder(home)
})

/** Starts a program of ours; gives how it ends, and when it listens. */
function start(file, more) {
  const child = spawn(process.execPath, [join(folder, file)], { cwd: home, env: { ...process.env, ...more } })
  let text = ''
  const ended = new Promise((resolve) => child.on('close', (code) => resolve({ code, text })))
  const listening = new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (data) => (text += data).includes('Listening.') && resolve())
    void ended.then(() => reject(new Error(`it has ended: ${text}`)))
  })
  listening.catch(() => {})
  onTestFinished(() => (child.kill('SIGKILL'), ended))
  return { ended, listening }
}

async function rendered(name, more) {
  expect(await start(`adapters/${name}.mjs`, more).ended).toEqual({
    code: 0,
    text: expect.stringContaining('film.mp4: 60 frames, proven\n'),
  })
  expect(existsSync(join(home, 'film', 'film.mp4'))).toBe(true)
  const stored = readdirSync(join(s3.folder, BUCKET), { recursive: true, withFileTypes: true })
  expect(stored.filter((entry) => entry.isFile()).map(({ name }) => name)).toEqual([])
}

describe('lambda, with S3', () => {
  it('renders', { timeout: 120_000 }, async () => {
    const worker = pathToFileURL(join(folder, 'workers', 'lambda.mjs')).href
    // The functions of the stand-in have an environment of their own.
    const source = `process.env.STORAGE = ${JSON.stringify(process.env.STORAGE)}
export const { handler } = await import(${JSON.stringify(worker)})`
    const lambda = await startLambda({ render: source }, { timeout: 60 })
    onTestFinished(() => lambda.stop())
    await rendered('lambda', {
      FUNCTION_NAME: lambda.functionName('render'),
      AWS_ENDPOINT_URL_LAMBDA: lambda.endpoint,
    })
  })
})

describe.each([
  ['cloudflare-workers', 'workerd'],
  ['deno-deploy', 'deno'],
])('%s, with %s', (name, runtime) => {
  it.skipIf(missing(runtime))('renders', { timeout: 60_000 }, async () => {
    const PORT = await freePort()
    await start('workers/server.mjs', { PORT, MAX_CHUNKS: 4, TOKEN: 'renderer-token' }).listening
    const worker = await startWorker(runtime, 'film-token', {
      file: join(folder, 'workers', 'pass-on.mjs'),
      variables: { RENDERER_URL: `http://127.0.0.1:${PORT}`, RENDERER_TOKEN: 'renderer-token' },
    })
    onTestFinished(() => worker.stop())
    await rendered(name, { SERVICE_URL: worker.url, TOKEN: 'film-token' })
  })
})
