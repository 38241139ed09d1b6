// The examples of the adapters, run as they are, with the workers that belong to them. Services are stand-ins on this machine;
// what renders are the workers of the examples, in processes of their own or as functions.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { ffmpegPath, need, runs } from './support/abilities.mjs'
import { fakeDocker } from './support/fake-docker.mjs'
import { tempFolder } from './support/files.mjs'
import { startFly } from './support/fly.mjs'
import { startHetzner, startResults } from './support/hetzner.mjs'
import { startApi } from './support/kubernetes.mjs'
import { loopback } from './support/loopback.mjs'
import { startSandboxes } from './support/sandbox.mjs'

const TOKEN = 'film-token'
const folder = fileURLToPath(new URL('../examples', import.meta.url))
const CHUNK = join(folder, 'workers', 'chunk.mjs')
let home, jobDir

beforeEach((context) => {
  need(context, 'ffmpeg')
  home = tempFolder()
  jobDir = join(home, 'film')
  const [bin, storage] = [join(home, 'bin'), join(home, 'storage')]
  for (const dir of [jobDir, bin, storage]) mkdirSync(dir)
  if (ffmpegPath() !== 'ffmpeg') symlinkSync(ffmpegPath(), join(bin, 'ffmpeg'))
  vi.stubEnv('PATH', `${bin}:${process.env.PATH}`)
  vi.stubEnv('STORAGE', `local://${storage}`)
  vi.stubEnv('TOKEN', TOKEN)
  vi.stubEnv('JOB_DIR', jobDir)
})
afterEach(() => vi.unstubAllEnvs())

/** Runs a program of ours; gives its exit code and what it said. It is ended with the test. */
function start(file, { args = [], env = {}, ready } = {}) {
  const child = spawn(process.execPath, [file, ...args], { cwd: home, env: { ...process.env, ...env } })
  const said = { text: '' }
  const ended = new Promise((resolve) => child.on('close', (code) => resolve({ code, text: said.text })))
  const begun = new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (said.text += text).includes(ready) && resolve())
    void ended.then(({ text }) => reject(new Error(`it has ended: ${text}`)))
  })
  begun.catch(() => {})
  onTestFinished(() => (child.kill('SIGKILL'), ended))
  return { ended, begun }
}

/** Runs an example: the video is there and proven, every chunk was reported, and nothing is left in the storage. */
async function rendered(name, env) {
  const { code, text } = await start(join(folder, 'adapters', `${name}.mjs`), { env }).ended
  expect([code, text]).toEqual([0, expect.stringContaining('film.mp4: 60 frames, proven\n')])
  for (const done of [1, 2, 3, 4]) expect(text).toContain(`${done} of 4 chunks\n`)
  expect(existsSync(join(jobDir, 'film.mp4'))).toBe(true)
  expect(readdirSync(join(home, 'storage'))).toEqual([])
}

/** A free port, and `workers/server.mjs` that listens there. */
async function startServer(env) {
  const { port, close } = await loopback(() => {})
  await close()
  await start(join(folder, 'workers', 'server.mjs'), {
    env: { PORT: port, MAX_CHUNKS: 4, ...env(port) },
    ready: 'Listening.',
  }).begun
  return `http://127.0.0.1:${port}`
}

/** A server for a function of the web's `Request` and `Response`. */
const serve = (answer) =>
  loopback(async ({ method, url, headers }, response, { body }) => {
    const request = new Request(`http://worker${url}`, { method, headers, ...(method === 'POST' && { body }) })
    const answered = await answer(request)
    response.writeHead(answered.status, Object.fromEntries(answered.headers)).end(await answered.text())
  })

/** A worker of the examples as a module, which is loaded anew: it reads its settings when it is. */
const load = (name) => import(/* @vite-ignore */ `${pathToFileURL(join(folder, 'workers', name))}?${Math.random()}`)

describe('examples on this machine', () => {
  it('that of the README', async () => {
    const [, source] = /^```js\n(.*?)^```/ms.exec(readFileSync(join(folder, '..', 'README.md'), 'utf8'))
    const file = join(home, 'readme.mjs')
    const entry = pathToFileURL(join(folder, '..', 'index.js')).href
    writeFileSync(file, source.replace('@helios-project/infrastructure', entry))
    const { code, text } = await start(file).ended
    expect([code, text]).toEqual([0, expect.stringContaining('4 of 4 chunks\n')])
    expect(text).toContain('Merge completed successfully via VideoStitcher.\n')
    expect(existsSync(join(home, 'film.mp4'))).toBe(true)
  })

  it('local', () => rendered('local'))

  it('docker', async () => {
    const docker = await fakeDocker()
    await rendered('docker', { IMAGE: 'ffmpeg:7' })
    expect(docker.runs().map(({ image, command }) => [image, command])).toEqual(Array(4).fill(['ffmpeg:7', 'ffmpeg']))
    expect(docker.containers.size).toBe(0)
  })
})

describe('examples with a service', () => {
  it('lambda', async () => {
    const { handler } = await load('lambda.mjs')
    const lambda = await loopback(async ({ url, headers }, response, { body }) => {
      expect([url, headers.authorization]).toEqual([
        '/2015-03-31/functions/helios-render/invocations',
        expect.stringContaining('AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/'),
      ])
      response.end(JSON.stringify(await handler(JSON.parse(body))))
    })
    const key = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'hush', AWS_REGION: 'eu-central-1' }
    await rendered('lambda', { ...key, AWS_ENDPOINT_URL_LAMBDA: lambda.url })
    expect(lambda.requests.length).toBe(4)
  })

  it('cloud-run', async () => {
    const part = (content) => Buffer.from(JSON.stringify(content)).toString('base64url')
    const metadata = await loopback(({ url }, response) => {
      const claims = {
        aud: new URL(url, 'http://metadata').searchParams.get('audience'),
        exp: Date.now() / 1000 + 3600,
      }
      response.writeHead(200, { 'metadata-flavor': 'Google' }).end(`${part({ alg: 'none' })}.${part(claims)}.c2lnbmVk`)
    })
    const url = await startServer(() => ({ TOKEN: '' }))
    const google = {
      GCE_METADATA_HOST: `127.0.0.1:${metadata.port}`,
      GOOGLE_APPLICATION_CREDENTIALS: undefined,
      HOME: home,
    }
    await rendered('cloud-run', { ...google, SERVICE_URL: url })
    expect(metadata.requests.length).toBe(1)
  })

  it('azure-functions', async () => {
    const url = await startServer((port) => ({ TOKEN: '', FUNCTIONS_CUSTOMHANDLER_PORT: port, PORT: '' }))
    const host = await serve(async (request) => {
      if (request.headers.get('x-functions-key') !== 'function-key') return new Response(null, { status: 401 })
      return fetch(url + new URL(request.url).pathname, { method: 'POST', body: await request.text() })
    })
    await rendered('azure-functions', { SERVICE_URL: `${host.url}/api/render`, FUNCTION_KEY: 'function-key' })
  })

  it.each(['cloudflare-workers', 'deno-deploy'])('%s', async (name) => {
    const RENDERER_URL = await startServer(() => ({ TOKEN: 'renderer-token' }))
    const { default: worker } = await load('pass-on.mjs')
    const service = await serve((request) =>
      worker.fetch(request, { TOKEN, RENDERER_URL, RENDERER_TOKEN: 'renderer-token' }),
    )
    await rendered(name, { SERVICE_URL: service.url })
    for (const url of [service.url, RENDERER_URL])
      expect((await fetch(url, { method: 'POST', body: '{}' })).status).toBe(401)
  })

  it('vercel', async () => {
    const { POST } = await load('vercel.mjs')
    const service = await serve(POST)
    await rendered('vercel', { SERVICE_URL: service.url })
    const ask = (authorization, jobPath) =>
      fetch(service.url, {
        method: 'POST',
        headers: { authorization },
        body: JSON.stringify({ jobPath, chunkIndex: 0 }),
      })
    expect((await ask('', `${process.env.STORAGE}/a/job.json`)).status).toBe(401)
    expect((await ask(`Bearer ${TOKEN}`, '/etc/passwd')).status).toBe(403)
    expect((await ask(`Bearer ${TOKEN}`, `${process.env.STORAGE}/a/job.json`)).status).toBe(500)
  })

  it('modal', async () => {
    const read = 'import ast, sys; ast.parse(open(sys.argv[1]).read())'
    if (runs('python3', ['--version']))
      expect(runs('python3', ['-c', read, join(folder, 'workers', 'modal_app.py')])).toBe(true)
    const url = await startServer(() => ({}))
    await rendered('modal', { SERVICE_URL: url })
  })
})

vi.mock('@cloudflare/sandbox', () => ({ Sandbox: class {}, getSandbox: (...args) => getSandbox(...args) }))
let getSandbox

describe('the Worker that makes sandboxes', () => {
  it('makes, commands and destroys them by the SDK', async () => {
    const calls = []
    getSandbox = (binding, id, options) => ({
      exec: async (command) => (
        calls.push([binding, id, options, command]),
        { exitCode: 3, stdout: 'o', stderr: 'e', x: 1 }
      ),
      destroy: async () => void calls.push([id, 'destroyed']),
    })
    const { default: worker, Sandbox } = await import('../examples/workers/sandbox.mjs')
    expect(typeof Sandbox).toBe('function')
    const ask = async (method, path, body, authorization = `Bearer ${TOKEN}`) => {
      const options = { method, headers: { authorization }, body: body && JSON.stringify(body) }
      const response = await worker.fetch(new Request(`https://w/accounts/a/sandbox/namespaces/n${path}`, options), {
        TOKEN,
        Sandbox: 'binding',
      })
      return response.ok ? (await response.json()).result : response.status
    }
    const { id } = await ask('POST', '/sandboxes', { keepAlive: true })
    expect(id).toMatch(/^[\w-]{36}$/)
    expect(await ask('POST', `/sandboxes/${id}/exec`, { command: 'ls' })).toEqual({
      exitCode: 3,
      stdout: 'o',
      stderr: 'e',
    })
    expect(await ask('DELETE', `/sandboxes/${id}`)).toEqual({ id })
    expect(calls).toEqual([
      ['binding', id, { keepAlive: true }, 'ls'],
      [id, 'destroyed'],
    ])
    expect(await ask('DELETE', '/boxes')).toBe(404)
    expect(await ask('DELETE', `/sandboxes/${id}`, undefined, 'Bearer x')).toBe(403)
  })
})

describe('examples with a machine for each chunk', () => {
  it('fly-machines', async () => {
    const fly = await startFly({
      begin: async ({ id, config }) => fly.end(id, (await start(CHUNK, { env: config.env }).ended).code),
    })
    await rendered('fly-machines', {
      FLY_API_TOKEN: 'fly-token',
      FLY_APP: 'film',
      IMAGE: 'film:1',
      FLY_API_URL: fly.url,
    })
    expect([fly.deleted.length, fly.machines.size]).toEqual([4, 0])
  })

  it('hetzner-cloud (needs curl)', async (context) => {
    if (!runs('curl', ['--version'])) context.skip('there is no curl')
    const [hetzner, results] = [await startHetzner(), await startResults()]
    await rendered('hetzner-cloud', {
      HCLOUD_TOKEN: 'hetzner-token',
      HCLOUD_API_URL: hetzner.url,
      IMAGE: '4711',
      RENDER_COMMAND: `${process.execPath} ${CHUNK}`,
      RESULT_URL: results.url,
      POLL_INTERVAL_MS: '20',
    })
    expect([hetzner.deleted.length, hetzner.servers.size, results.kept.size]).toEqual([4, 0, 0])
  })

  it('cloudflare-sandbox (needs curl, setsid and pkill)', async (context) => {
    for (const name of ['curl', 'setsid', 'pkill']) if (!runs(name, ['--version'])) context.skip(`there is no ${name}`)
    const sandboxes = await startSandboxes()
    await rendered('cloudflare-sandbox', {
      CLOUDFLARE_ACCOUNT_ID: 'account',
      CLOUDFLARE_API_TOKEN: 'cloudflare-token',
      CLOUDFLARE_API_URL: sandboxes.url,
      RENDER_COMMAND: `${process.execPath} ${CHUNK}`,
      POLL_INTERVAL_MS: '20',
    })
    expect([sandboxes.made, sandboxes.sandboxes.size]).toEqual([4, 0])
  })

  it('kubernetes', async () => {
    const api = await startApi((pod, { spec }) => {
      const [{ command, args, workingDir }] = spec.template.spec.containers
      pod.create().start()
      spawn(command[0], [...command.slice(1), ...args], { cwd: workingDir }).on('close', (code) => pod.end(code))
    })
    await rendered('kubernetes', { KUBECONFIG: api.kubeconfig, MOUNT_PATH: jobDir, IMAGE: 'ffmpeg:7' })
    expect([api.deletions.length, api.jobs.size]).toEqual([4, 0])
  })
})
