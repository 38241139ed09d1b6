// AwsLambdaAdapter with real handlers behind Lambda's interface.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { AwsLambdaAdapter, JobExecutor } from '../index.js'
import { captureConsole } from '../__test__/support/console.mjs'
import { spec } from '../__test__/support/jobs.mjs'
import { rejection } from '../__test__/support/wait.mjs'
import { startLambda } from './services/lambda.mjs'

const url = 's3://bucket/film/job.json'
const handlers = {
  render: `export const handler = async ({ jobPath, chunkIndex, ...rest }) => {
    const body = { exitCode: 0, output: jobPath + ' ' + chunkIndex + ' ' + Object.keys(rest), stderr: '', outputUrl: 's3://bucket/' + chunkIndex }
    return { statusCode: 200, body: JSON.stringify(body) }
  }`,
  fail: `export const handler = async () => ({ statusCode: 500, body: JSON.stringify({ exitCode: 4, output: 'o', stderr: 'e' }) })`,
  crash: `export const handler = async () => { throw new TypeError('boom') }`,
  slow: `export const handler = () => new Promise((resolve) => setTimeout(resolve, 60_000))`,
  plain: `export const handler = async () => ({ frames: 25 })`,
}

let lambda
beforeAll(async () => void (lambda = await startLambda(handlers, { timeout: 2 })), 120_000)
afterAll(() => lambda?.stop())
beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret')
  vi.stubEnv('AWS_REGION', 'us-east-1')
  vi.stubEnv('AWS_ENDPOINT_URL_LAMBDA', lambda.endpoint)
})
afterEach(() => vi.unstubAllEnvs())

const make = (name) => new AwsLambdaAdapter({ functionName: lambda.functionName(name) })
const execute = (name, more) => make(name).execute({ command: 'x', meta: { chunkId: 2, jobDefUrl: url }, ...more })

describe('a function', () => {
  it.each([
    ['render', { exitCode: 0, stdout: `${url} 2 `, stderr: '', outputUrl: 's3://bucket/2' }],
    ['fail', { exitCode: 4, stdout: 'o', stderr: 'e' }],
    ['crash', { exitCode: 1, stdout: '', stderr: 'Lambda execution failed: boom' }],
    ['plain', { exitCode: 0, stdout: '{"frames":25}', stderr: '' }],
  ])('%s', async (name, outcome) => {
    expect(await execute(name)).toEqual({ ...outcome, durationMs: expect.any(Number) })
  })

  it('that runs out of its own time', async () => {
    const result = await execute('slow')
    expect(result.exitCode).toBe(1)
    expect(result.stderr).toMatch(/^Lambda execution failed: .*timeout/i)
  })

  it('that is not waited for any longer', async () => {
    expect(await execute('slow', { timeout: 100 })).toMatchObject({ exitCode: 1, timedOut: true })
  })

  it('that is not there', async () => {
    const result = await execute('nobody')
    expect(result).toMatchObject({ exitCode: 1, stdout: '', retry: { kind: 'fatal' } })
    expect(result.stderr).toMatch(/function/i)
  })

  it('renders the chunks of a job, 16 at a time', async () => {
    captureConsole()
    const seen = []
    await new JobExecutor(make('render')).execute(spec(48, { mergeCommand: 'true' }), {
      concurrency: 16,
      meta: { jobDefUrl: url },
      onChunkComplete: (id, result) => void seen.push([id, result.stdout]),
    })
    expect(seen.sort(([a], [b]) => a - b)).toEqual(Array.from({ length: 48 }, (_, i) => [i + 1, `${url} ${i + 1} `]))
  })

  it('that crashes fails the job', async () => {
    captureConsole()
    const run = () =>
      new JobExecutor(make('crash')).execute(spec(1), { retries: 1, retryDelay: 0, meta: { jobDefUrl: url } })
    expect((await rejection(run)).message).toBe(
      'Chunk 1 failed after 2 attempts: Chunk 1 failed with exit code 1: Lambda execution failed: boom',
    )
  })
})
