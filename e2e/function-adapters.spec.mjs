// CloudflareWorkersAdapter and DenoDeployAdapter with the runtimes of these services.
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { CloudflareWorkersAdapter, DenoDeployAdapter, JobExecutor } from '../index.js'
import { captureConsole } from '../__test__/support/console.mjs'
import { spec } from '../__test__/support/jobs.mjs'
import { until } from '../__test__/support/wait.mjs'
import { missing, startWorker } from './services/fetch-worker.mjs'

const TOKEN = 'hush-hush'
const html = expect.stringContaining('<html>Please log in</html>')

/** How an adapter gives what it got: as a result, or in an error for what is no answer of a worker. */
const settled = (running) => running.catch((error) => ({ error: error.message, retry: error.retry }))

const SERVICES = [
  {
    name: 'CloudflareWorkersAdapter',
    runtime: 'workerd',
    make: (url, token = TOKEN) => new CloudflareWorkersAdapter({ serviceUrl: url, authToken: token }),
    durationMs: expect.any(Number),
    failures: {
      page: { exitCode: 0, stdout: html },
      json: { exitCode: 1, stderr: expect.stringMatching(/^Cloudflare Workers execution failed: /) },
      throwing: { exitCode: 1, stderr: 'HTTP Error 500: Internal Server Error', retry: { kind: 'transient' } },
      throttled: {
        exitCode: 1,
        stderr: 'HTTP Error 429: Too Many Requests',
        retry: { kind: 'throttled', afterMs: 2000 },
      },
    },
    refused: { exitCode: 1, stderr: 'HTTP Error 401: Unauthorized', retry: { kind: 'fatal' } },
    gone: { exitCode: 1, retry: { kind: 'transient' } },
  },
  {
    name: 'DenoDeployAdapter',
    runtime: 'deno',
    make: (url, token = TOKEN) => new DenoDeployAdapter({ serviceUrl: url, authToken: token }),
    durationMs: 5,
    failures: {
      page: { error: html },
      json: { error: expect.stringContaining('received invalid JSON') },
      throwing: { error: expect.stringMatching(/failed with status 500: /), retry: { kind: 'transient' } },
      throttled: {
        error: expect.stringContaining('failed with status 429: '),
        retry: { kind: 'throttled', afterMs: 2000 },
      },
    },
    refused: { error: expect.stringContaining('failed with status 401: '), retry: { kind: 'fatal' } },
    gone: { error: expect.stringContaining('fetch failed'), retry: { kind: 'transient' } },
  },
]

for (const { name, runtime, make, durationMs, failures, refused, gone } of SERVICES) {
  const reason = missing(runtime)
  if (reason) console.log(`The tests of ${name} are skipped: ${reason}.`)
  describe.skipIf(reason)(`${name} and ${runtime}`, () => {
    let worker
    beforeAll(async () => void (worker = await startWorker(runtime, TOKEN)), 60_000)
    afterAll(() => worker?.stop())
    beforeEach(() => captureConsole())
    afterEach(() => vi.restoreAllMocks())
    const job = (does, more) => ({
      command: 'render',
      meta: { chunkId: 3, jobDefUrl: `https://jobs.example/${does}` },
      ...more,
    })
    const execute = (does, more) => settled(make(worker.url).execute(job(does, more)))

    it('gives the result of a worker', async () => {
      expect(await execute('fine')).toMatchObject({ exitCode: 0, stdout: 'chunk 3', stderr: '', durationMs })
    })

    it('gives its exit code, its errors and where its file is', async () => {
      const result = await execute('failing')
      expect(result).toMatchObject({ exitCode: 3, stdout: 'chunk 3', stderr: 'no font', outputUrl: 's3://film/3.mp4' })
    })

    it('gives much output whole', async () => {
      expect(await execute('long')).toMatchObject({ exitCode: 0, stdout: 'frame '.repeat(500_000) })
    })

    it.each(Object.keys(failures))('makes of an answer what it is: %s', async (does) => {
      expect(await execute(does)).toMatchObject(failures[does])
    })

    it('is not let in with a wrong token', async () => {
      expect(await settled(make(worker.url, 'wrong').execute(job('fine')))).toMatchObject(refused)
    })

    it('settles at once when it is aborted, and ends the work where the runtime can', async () => {
      const before = await worker.beats()
      const controller = new AbortController()
      const running = execute('endless', { signal: controller.signal })
      await until(async () => (await worker.beats()) > before, 'the worker to begin')
      const started = performance.now()
      controller.abort()
      await running
      expect(performance.now() - started).toBeLessThan(100)
      // workerd goes on when a client goes away: on Cloudflare workers hear of it by the mark in the storage.
      if (runtime === 'workerd') return
      const isStill = async () => {
        const beats = await worker.beats()
        await pause(100)
        return (await worker.beats()) === beats
      }
      await until(isStill, 'the worker to end')
    })

    it('renders a job, 16 chunks at a time', async () => {
      const done = new Set()
      const chunks = spec(Array.from({ length: 200 }, () => 'render'))
      await new JobExecutor(make(worker.url)).execute(chunks, {
        concurrency: 16,
        meta: { jobDefUrl: 'https://jobs.example/fine' },
        onChunkComplete: (id) => void done.add(id),
      })
      expect(done.size).toBe(200)
    })

    it('fails for now when the runtime dies', async () => {
      const own = await startWorker(runtime, TOKEN)
      const running = settled(make(own.url).execute(job('endless')))
      await until(async () => (await own.beats()) > 0, 'the worker to begin')
      await own.stop()
      expect(await running).toMatchObject(gone)
    })
  })
}
