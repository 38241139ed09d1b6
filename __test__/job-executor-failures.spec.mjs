// JobExecutor: chunks that fail, attempts, delays, and everything that is printed about them.
import { describe, expect, it } from 'vitest'
import { JobExecutor, LocalWorkerAdapter } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { adapterOf, exit, gatedAdapter, ok, spec } from './support/jobs.mjs'
import { processMark } from './support/processes.mjs'
import { outcome, rejection, until } from './support/wait.mjs'

const run = (adapter, job, options) => new JobExecutor(adapter).execute(job, options)
const thrower = (value) => ({
  execute() {
    throw value
  },
})
const rejecter = (value) => ({ execute: () => Promise.reject(value) })

const reasons = [
  ['an exit code', exit(7, 'bad frame'), 'Chunk 1 failed with exit code 7: bad frame'],
  ['exit code -1', exit(-1, ''), 'Chunk 1 failed with exit code -1: '],
]

const values = [
  ['an Error', new Error('no GPU'), 'no GPU'],
  ['a TypeError', new TypeError('wrong'), 'wrong'],
  ['an Error without message', new Error(), ''],
  ['text', 'plain text', 'plain text'],
  ['a number', 42, '42'],
  ['null', null, 'null'],
  ['undefined', undefined, 'undefined'],
  ['an object', { code: 5 }, '[object Object]'],
  ['a symbol', Symbol('odd'), 'Symbol(odd)'],
  ['an array', [1, 2], '1,2'],
]

const failures = [
  ...reasons.map(([what, result, message]) => [what, { execute: async () => result }, message]),
  ...values.map(([what, value, message]) => [`${what} thrown`, thrower(value), message]),
  ...values.map(([what, value, message]) => [`${what} rejected`, rejecter(value), message]),
]

describe('a chunk fails for good', () => {
  it.each(failures)('by %s: said with two arguments, and by the rejection', async (_, adapter, message) => {
    const lines = captureConsole()
    const error = await rejection(() => run(adapter, spec(2), { jobDir: '/jobs/1' }))
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({ name: 'Error', message: `Chunk 1 failed after 1 attempts: ${message}` })
    expect(lines).toEqual([
      ['log', 'Starting job execution with concurrency 1...'],
      ['log', 'Job Directory: /jobs/1'],
      ['log', 'Chunks: 2'],
      ['log', '[Worker 1] Starting chunk 1 (Attempt 1/1)...'],
      ['error', '[Worker 1] Chunk 1 failed after 1 attempts:', message],
    ])
  })

  it.each(failures)('by %s, after more attempts, each announced', async (_, adapter, message) => {
    const lines = captureConsole()
    const error = await rejection(() => run(adapter, spec(1), { retries: 2, retryDelay: 1 }))
    expect(error.message).toBe(`Chunk 1 failed after 3 attempts: ${message}`)
    const retry = (a) => `[Worker 1] Chunk 1 failed (Attempt ${a}/3). Retrying in 1ms... Error: ${message}`
    expect(lines.slice(3)).toEqual([
      ['log', '[Worker 1] Starting chunk 1 (Attempt 1/3)...'],
      ['warn', retry(1)],
      ['log', '[Worker 1] Starting chunk 1 (Attempt 2/3)...'],
      ['warn', retry(2)],
      ['log', '[Worker 1] Starting chunk 1 (Attempt 3/3)...'],
      ['error', '[Worker 1] Chunk 1 failed after 3 attempts:', message],
    ])
  })

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['a number', 0],
    ['an object without exit code', {}],
  ])('when its adapter gives %s as result', async (_, result) => {
    captureConsole()
    const error = await rejection(() => run({ execute: async () => result }, spec(1)))
    expect(error.message).toMatch(/^Chunk 1 failed after 1 attempts: ./)
  })

  it.each([
    ['no adapter', undefined],
    ['an adapter without execute', {}],
  ])('or the job does, with %s', async (_, adapter) => {
    captureConsole()
    expect(await rejection(async () => run(adapter, spec(1)))).toBeInstanceOf(Error)
  })

  it('and no progress is reported', async () => {
    captureConsole()
    const seen = []
    const note = (...args) => void seen.push(args)
    await rejection(() =>
      run(
        adapterOf(() => exit(1)),
        spec(1),
        { onProgress: note, onChunkComplete: note },
      ),
    )
    expect(seen).toEqual([])
  })
})

describe('another attempt', () => {
  it('may succeed', async () => {
    const lines = captureConsole()
    const adapter = adapterOf((_, n) => (n < 3 ? exit(1, `try ${n}`) : ok({ stdout: 'third' })))
    const seen = []
    const options = { retries: 5, retryDelay: 0, onChunkComplete: (id, r) => void seen.push([id, r.stdout]) }
    await run(adapter, spec(1), options)
    expect(seen).toEqual([[1, 'third']])
    expect(adapter.calls).toHaveLength(3)
    expect(lines).toContainEqual(['log', '[Worker 1] Chunk 1 completed (1/1)'])
  })

  it('gets a job as good as new', async () => {
    captureConsole()
    const adapter = adapterOf((job, n) => {
      const seen = JSON.stringify([job.command, job.args, job.meta.frameCount])
      job.args.push('spoilt')
      job.meta.frameCount = 0
      return n < 2 ? exit(1, seen) : ok({ stdout: seen })
    })
    let stdout
    await run(adapter, spec(1), { retries: 1, retryDelay: 0, onChunkComplete: (_, r) => void (stdout = r.stdout) })
    expect(stdout).toBe(JSON.stringify(['render', ['1'], 10]))
  })

  it('waits for the delay', async () => {
    captureConsole()
    const times = []
    const adapter = adapterOf(() => (times.push(performance.now()), exit(1)))
    await rejection(() => run(adapter, spec(1), { retries: 1, retryDelay: 150 }))
    expect(times[1] - times[0]).toBeGreaterThanOrEqual(148)
    expect(times[1] - times[0]).toBeLessThan(3000)
  })

  it('waits a second by default', async () => {
    const lines = captureConsole()
    const times = []
    const adapter = adapterOf((_, n) => (times.push(performance.now()), n < 2 ? exit(1, 'e') : ok()))
    await run(adapter, spec(1), { retries: 1 })
    expect(times[1] - times[0]).toBeGreaterThanOrEqual(995)
    const line = '[Worker 1] Chunk 1 failed (Attempt 1/2). Retrying in 1000ms... Error: '
    expect(printed(lines, 'warn')).toEqual([`${line}Chunk 1 failed with exit code 1: e`])
  })

  it('starts at once with a delay of 0', async () => {
    const lines = captureConsole()
    const started = performance.now()
    const adapter = adapterOf(() => exit(1))
    await rejection(() => run(adapter, spec(1), { retries: 9, retryDelay: 0 }))
    expect(performance.now() - started).toBeLessThan(900)
    expect(adapter.calls).toHaveLength(10)
    expect(printed(lines, 'warn')[0]).toContain('Retrying in 0ms...')
  })

  it('leaves the event loop its turns', async () => {
    captureConsole()
    let turned = false
    setImmediate(() => (turned = true))
    const adapter = adapterOf(() => (turned ? ok() : new Promise((resolve) => setImmediate(resolve, exit(1)))))
    await run(adapter, spec(1), { retries: 1000, retryDelay: 0 })
    expect(turned).toBe(true)
  })

  it('is given to each chunk anew', async () => {
    captureConsole()
    const attempts = {}
    const adapter = adapterOf(({ meta }) => {
      attempts[meta.chunkId] = (attempts[meta.chunkId] ?? 0) + 1
      return attempts[meta.chunkId] < 3 ? exit(1) : ok()
    })
    await run(adapter, spec(3), { retries: 2, retryDelay: 0, concurrency: 2 })
    expect(attempts).toEqual({ 1: 3, 2: 3, 3: 3 })
  })
})

describe('after a failure', () => {
  it('no new chunk starts', async () => {
    captureConsole()
    const adapter = adapterOf(({ meta }) => (meta.chunkId === 2 ? exit(1) : ok()))
    await rejection(() => run(adapter, spec(5)))
    expect(adapter.calls.map(({ meta }) => meta.chunkId)).toEqual([1, 2])
  })

  it('nothing is merged', async () => {
    const lines = captureConsole()
    const mergeAdapter = adapterOf()
    const job = spec(1, { mergeCommand: 'merge' })
    await rejection(() =>
      run(
        adapterOf(() => exit(1)),
        job,
        { mergeAdapter },
      ),
    )
    expect(mergeAdapter.calls).toEqual([])
    expect(printed(lines, 'log').filter((line) => line.includes('merge'))).toEqual([])
  })

  it('chunks of a JS adapter that still run are awaited before the rejection', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const adapter = adapterOf((job) => (job.meta.chunkId === 1 ? exit(1, 'first') : gated.execute(job)))
    let settled = false
    const job = outcome(run(adapter, spec(5), { concurrency: 3 }))
    void job.then(() => (settled = true))
    await until(() => gated.active === 2, 'two more chunks')
    for (let i = 0; i < 20; i += 1) await new Promise(setImmediate)
    expect(settled).toBe(false)
    gated.release()
    const { error } = await job
    expect(error.message).toBe('Chunk 1 failed after 1 attempts: Chunk 1 failed with exit code 1: first')
    expect([gated.active, adapter.calls.length]).toEqual([0, 3])
  })

  it('the first of several failures is thrown', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const adapter = adapterOf(async (job) => {
      if (job.meta.chunkId === 2) return exit(1, 'second chunk, first failure')
      await gated.execute(job)
      return exit(1, 'later')
    })
    const job = outcome(run(adapter, spec(3), { concurrency: 3 }))
    await until(() => gated.active === 2, 'the others')
    gated.release()
    const message = 'Chunk 2 failed after 1 attempts: Chunk 2 failed with exit code 1: second chunk, first failure'
    expect((await job).error.message).toBe(message)
  })

  it('chunks of our own adapter that still run are ended before the rejection', async (context) => {
    const lines = captureConsole()
    const mark = processMark(context)
    const sleep = `env HELIOS_TEST_MARK=${mark.env.HELIOS_TEST_MARK} sh -c "echo up; sleep 60 & wait"`
    const fail = 'sh -c "echo no >&2; exit 4"'
    let up = 0
    const slowFail = `sh -c "sleep 0.3; exit 4"`
    const job = spec([sleep, sleep, slowFail, fail])
    const options = { concurrency: 3, onChunkStdout: () => void (up += 1) }
    const error = await rejection(() => run(new LocalWorkerAdapter(), job, options))
    expect(error.message).toBe('Chunk 3 failed after 1 attempts: Chunk 3 failed with exit code 4: ')
    expect(up).toBe(2)
    expect(mark.living()).toEqual([])
    expect(printed(lines, 'log').some((line) => line.includes('Starting chunk 4'))).toBe(false)
  })
})
