// What every adapter must do that has a service render its chunks. `make(url, config)` gives one for a service at `url`,
// `ok(response)` is an answer of that service, `outcome` what comes of it, `prefix` what failures begin with, `abortion` what
// comes of an abort. Of adapters that reject, `outcomeOf(promise)` makes what others give.
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { FileJobRepository, InMemoryJobRepository, JobExecutor, JobManager, LocalStorageAdapter } from '../../index.js'
import { captureConsole, printed } from './console.mjs'
import { tempFolder } from './files.mjs'
import { spec } from './jobs.mjs'
import { barrier, loopback, silent } from './loopback.mjs'
import { rejection, until, within } from './wait.mjs'

/** Nothing of ours may take longer to end than this. The promise is 100 ms; machines that run tests have other work. */
const AT_ONCE = 400

export function serviceAdapterContract(name, contract) {
  const { make, prefix, ok, outcome, outcomeOf = (running) => running, runsCommands = false } = contract
  const { abortion = { exitCode: 1, stderr: `${prefix}Job was aborted` } } = contract
  const url = 's3://bucket/job/job.json'
  const job = (chunkId = 1, more) => ({ command: 'render', meta: { chunkId, jobDefUrl: url }, ...more })
  const fine = (_, response) => ok(response)
  const slow = {
    'before the answer': () => {},
    'inside of the answer': (_, response) => void response.writeHead(200, { 'content-length': 100 }).write('{'),
  }

  describe(`${name}, as an adapter of a service`, () => {
    it('gives a result and tells the callbacks of it once', async () => {
      const server = await loopback(fine)
      const heard = []
      const result = await make(server.url).execute(
        job(1, {
          onStdout: (data) => void heard.push(['out', data]),
          onStderr: (data) => void heard.push(['err', data]),
        }),
      )
      expect(result).toEqual({ ...outcome, durationMs: expect.any(Number) })
      expect(heard).toEqual([['out', outcome.stdout]])
    })

    if (contract.measures !== false)
      it('measures how long it took', async () => {
        const server = await loopback(async (_, response) => {
          await pause(60)
          ok(response)
        })
        const { durationMs } = await make(server.url).execute(job())
        expect(durationMs).toBeGreaterThanOrEqual(59)
        expect(durationMs).toBeLessThan(5000)
      })

    it.each([
      [
        'throws',
        () => {
          throw new RangeError('mine')
        },
      ],
      ['rejects', () => Promise.reject(new RangeError('mine'))],
    ])('rejects with what a callback %s', async (_, onStdout) => {
      const server = await loopback(fine)
      const error = await rejection(() => make(server.url).execute(job(1, { onStdout })))
      expect([error.name, error.message]).toEqual(['RangeError', 'mine'])
    })

    it.each([
      ['job', undefined],
      ['job.meta', { meta: 5 }],
      ['job.meta.chunkId', { meta: { chunkId: '1' } }],
      ['job.meta.jobDefUrl', { meta: { chunkId: 1, jobDefUrl: 5 } }],
      ['job.timeout', { timeout: 'long' }],
      ['job.signal', { signal: 5 }],
      ['job.onStdout', { onStdout: 'f' }],
    ])('rejects a wrong %s by its name', async (field, bad) => {
      const server = await loopback(fine)
      const error = await rejection(() => make(server.url).execute(bad && job(1, bad)))
      expect(error).toBeInstanceOf(TypeError)
      expect(error.message).toMatch(new RegExp(`^${field} must be `))
      expect(server.requests).toEqual([])
    })

    it('uses one connection for requests that follow each other', async () => {
      const server = await loopback(fine)
      const adapter = make(server.url)
      for (let chunk = 0; chunk < 20; chunk += 1) await adapter.execute(job(chunk))
      expect([server.requests.length, server.connections]).toEqual([20, 1])
    })

    it('has 64 under way at once', async () => {
      const all = barrier(64)
      const server = await loopback(async (_, response) => {
        await all()
        ok(response)
      })
      const adapter = make(server.url)
      const results = await within(20_000, Promise.all(Array.from({ length: 64 }, (_, i) => adapter.execute(job(i)))))
      expect(results.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
      const chunks = server.requests.map(({ body }) => JSON.parse(body).chunkIndex).sort((a, b) => a - b)
      expect(chunks).toEqual(Array.from({ length: 64 }, (_, i) => i))
    })

    it('refuses an answer that would fill the memory', async () => {
      const server = await loopback((_, response) => {
        const piece = Buffer.alloc(1 << 20, 'x')
        const more = () => response.writable && response.write(piece, () => setImmediate(more))
        more()
      })
      const result = await outcomeOf(make(server.url).execute(job()))
      expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
      expect(result.stderr).toMatch(/longer than 67108864 bytes/)
    })
  })

  describe(`${name}, aborted`, () => {
    const aborted = { stdout: '', ...abortion, durationMs: expect.any(Number) }

    it('sends nothing when it was before', async () => {
      const server = await loopback(fine)
      expect(await outcomeOf(make(server.url).execute(job(1, { signal: AbortSignal.abort() })))).toEqual(aborted)
      expect([server.connections, server.requests.length]).toEqual([0, 0])
    })

    it.each(Object.entries(slow))('drops the request at once: %s', async (_, answer) => {
      const server = await loopback(answer)
      const stop = new AbortController()
      const running = outcomeOf(make(server.url).execute(job(1, { signal: stop.signal })))
      await until(() => server.requests.length > 0, 'the request')
      const started = performance.now()
      stop.abort(new Error('changed my mind'))
      expect(await running).toEqual(aborted)
      expect(performance.now() - started).toBeLessThan(AT_ONCE)
      await until(() => server.cut === 1 && server.sockets.size === 0, 'the end of the connection')
    })

    it('gives up connecting', async () => {
      const server = await silent()
      const stop = new AbortController()
      const running = outcomeOf(make(`https://127.0.0.1:${server.port}`).execute(job(1, { signal: stop.signal })))
      await until(() => server.sockets.size > 0, 'the connection')
      const started = performance.now()
      stop.abort()
      expect(await running).toEqual(aborted)
      expect(performance.now() - started).toBeLessThan(AT_ONCE)
      await until(() => server.sockets.size === 0, 'the end of the connection')
    })

    it.each(['abort', 'timeout'])('leaves a mark for the worker after the %s', async (how) => {
      const server = await loopback(() => {})
      const storage = new LocalStorageAdapter({ storageDir: tempFolder() })
      const jobDefUrl = await storage.uploadJobSpec('film', spec(2))
      const stop = new AbortController()
      const adapter = make(server.url, { storage })
      const more = how === 'abort' ? { signal: stop.signal } : { timeout: 50 }
      const running = outcomeOf(adapter.execute(job(2, { meta: { chunkId: 2, jobDefUrl }, ...more })))
      await until(() => server.requests.length > 0, 'the request')
      stop.abort()
      expect((await running).exitCode).not.toBe(0)
      expect(await storage.cancelMark(jobDefUrl, 2)).toMatch(/./)
      expect(await storage.cancelMark(jobDefUrl, 1)).toBeUndefined()
    })

    it('only warns of a storage that fails', async () => {
      const lines = captureConsole()
      const server = await loopback(() => {})
      const asked = []
      const storage = {
        markCancelled: async (...args) => {
          asked.push(args)
          throw new Error('the bucket is gone')
        },
      }
      const result = await outcomeOf(make(server.url, { storage }).execute(job(4, { timeout: 30 })))
      expect(result.timedOut).toBe(true)
      expect(asked).toEqual([[url, 4]])
      expect(printed(lines, 'warn')).toEqual(['Warning: chunk 4 could not be marked as cancelled: the bucket is gone'])
    })
  })

  describe(`${name}, with a timeout`, () => {
    it.each(Object.entries(slow))('says so: %s', async (_, answer) => {
      const server = await loopback(answer)
      const started = performance.now()
      const result = await outcomeOf(make(server.url).execute(job(1, { timeout: 80 })))
      expect(result).toEqual({
        exitCode: 1,
        stdout: '',
        stderr: `${contract.timeoutPrefix ?? prefix}Worker job timed out after 80ms`,
        durationMs: expect.any(Number),
        timedOut: true,
      })
      expect(performance.now() - started).toBeGreaterThanOrEqual(79)
      await until(() => server.sockets.size === 0, 'the end of the connection')
    })

    it('has it from chunkTimeout of a job', async () => {
      captureConsole()
      const server = await loopback(() => {})
      const options = { chunkTimeout: 60, meta: { jobDefUrl: url } }
      const error = await rejection(() => new JobExecutor(make(server.url)).execute(spec(1), options))
      expect(error.message).toContain('Worker job timed out after 60ms')
      expect(error.timedOut).toBe(true)
    })
  })

  describe(`${name}, in a job`, () => {
    const run = (adapter, job, options) =>
      new JobExecutor(adapter).execute(job, { meta: { jobDefUrl: url }, ...options })

    if (!runsCommands)
      it('renders chunks and joins them here', async () => {
        captureConsole()
        const server = await loopback(fine)
        const [jobDir, results] = [tempFolder(), []]
        const onChunkComplete = (id, result) => void results.push([id, result.stdout])
        await run(make(server.url), spec([0, 1, 2], { mergeCommand: 'sh -c "echo merged > film.txt"' }), {
          jobDir,
          onChunkComplete,
        })
        expect(server.requests.map(({ body }) => JSON.parse(body))).toEqual(
          [0, 1, 2].map((chunkIndex) => ({ jobPath: url, chunkIndex })),
        )
        expect(results).toEqual([0, 1, 2].map((id) => [id, outcome.stdout]))
        const { readFileSync } = await import('node:fs')
        expect(readFileSync(`${jobDir}/film.txt`, 'utf8')).toBe('merged\n')
      })

    if (!runsCommands)
      it('is called where somebody watches, and still joins nothing itself', async () => {
        captureConsole()
        const server = await loopback(fine)
        const adapter = make(server.url)
        const spy = vi.spyOn(adapter, 'execute')
        await run(adapter, spec(2, { mergeCommand: 'true' }))
        expect(spy.mock.calls.map(([{ meta }]) => [meta.chunkId, meta.jobDefUrl])).toEqual([
          [1, url],
          [2, url],
        ])
        expect(server.requests.length).toBe(2)
      })

    it('can be extended', async () => {
      captureConsole()
      const server = await loopback(fine)
      const seen = []
      class Own extends make(server.url).constructor {
        async execute(job) {
          seen.push(job.meta.chunkId)
          return { ...(await super.execute(job)), stdout: 'changed' }
        }
      }
      const results = []
      const adapter = make(server.url)
      Object.setPrototypeOf(adapter, Own.prototype)
      await run(adapter, spec(1), { onChunkComplete: (_, { stdout }) => void results.push(stdout) })
      expect([seen, results]).toEqual([[1], ['changed']])
    })

    it('ends at once with an AbortError, and the workers are told', async () => {
      captureConsole()
      const server = await loopback(() => {})
      const marks = []
      const storage = { markCancelled: async (...args) => void marks.push(args) }
      const stop = new AbortController()
      const options = { concurrency: 3, signal: stop.signal }
      const running = rejection(() => run(make(server.url, { storage }), spec(5), options))
      await until(() => server.requests.length === 3, 'three requests')
      const started = performance.now()
      stop.abort()
      expect((await running).name).toBe('AbortError')
      expect(performance.now() - started).toBeLessThan(AT_ONCE)
      expect(marks.sort()).toEqual([1, 2, 3].map((id) => [url, id]))
      expect(server.requests.length).toBe(3)
    })

    it('puts a chunk off when the service has too much to do', async () => {
      captureConsole()
      const server = await loopback((_, response, { number }) => {
        if (number > 2) return ok(response)
        response.writeHead(429, { 'retry-after': '0.05' }).end()
      })
      await run(make(server.url), spec(1))
      expect(server.requests.length).toBe(3)
    })

    it('does not ask again what cannot work', async () => {
      captureConsole()
      const server = await loopback((_, response) => void response.writeHead(404).end())
      const error = await rejection(() => run(make(server.url), spec(1), { retries: 5, retryDelay: 0 }))
      expect(error.message).toMatch(/^Chunk 1 failed after 1 attempts: /)
      expect(server.requests.length).toBe(1)
    })

    it('tries again after a connection that broke', async () => {
      captureConsole()
      const server = await loopback((request, response, { number }) => {
        if (number > 1) ok(response)
        else request.socket.resetAndDestroy()
      })
      await run(make(server.url), spec(1), { retries: 1, retryDelay: 0 })
      expect(server.requests.length).toBe(2)
    })

    it.each([
      ['in memory', () => new InMemoryJobRepository()],
      ['in files', () => new FileJobRepository(tempFolder())],
    ])('gets the URL of the definition from a manager whose records are %s', async (_, repository) => {
      captureConsole()
      const server = await loopback(fine)
      const storage = new LocalStorageAdapter({ storageDir: tempFolder() })
      const manager = new JobManager(repository(), new JobExecutor(make(server.url)), storage)
      const id = await manager.submitJob(spec(2), { jobDir: tempFolder() })
      const status = await manager.waitForJob(id)
      expect(status.state).toBe('completed')
      expect(server.requests.map(({ body }) => JSON.parse(body).jobPath)).toEqual(Array(2).fill(status.meta.jobDefUrl))
    })
  })
}
