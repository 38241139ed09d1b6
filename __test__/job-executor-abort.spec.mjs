// JobExecutor: the signal of the user, at every moment of a job.
import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { JobExecutor, LocalWorkerAdapter } from '../index.js'
import { captureConsole, captureUnhandled, captureWarnings, printed } from './support/console.mjs'
import { adapterOf, chunk, exit, gatedAdapter, ok, spec } from './support/jobs.mjs'
import { nodeAdapter } from './support/node-adapter.mjs'
import { processMark } from './support/processes.mjs'
import { gate, outcome, rejection, until, within } from './support/wait.mjs'

const run = (adapter, job, options) => new JobExecutor(adapter).execute(job, options)
const listeners = (signal) => getEventListeners(signal, 'abort').length
const aborted = { name: 'AbortError', message: 'Job aborted' }

const opening = [
  ['log', 'Starting job execution with concurrency 1...'],
  ['log', 'Job Directory: /jobs/1'],
  ['log', 'Chunks: 2'],
]
const first = ['log', '[Worker 1] Starting chunk 1 (Attempt 1/1)...']

/** Lines about a failure, of which an abort prints none. */
const complaints = (lines) => lines.filter(([level]) => level !== 'log')

describe('an abort before the first chunk', () => {
  it.each([
    ['with chunks to run', {}, undefined],
    ['with nothing to run', { completedChunkIds: [1, 2] }, undefined],
    ['with a reason of the user', {}, new Error('mine')],
  ])('rejects, %s, after the opening lines', async (_, options, reason) => {
    const lines = captureConsole()
    const control = new AbortController()
    control.abort(reason)
    const adapter = adapterOf()
    const job = spec(2, { mergeCommand: 'merge' })
    const error = await rejection(() => run(adapter, job, { ...options, signal: control.signal, jobDir: '/jobs/1' }))
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject(aborted)
    expect(lines).toEqual(opening)
    expect(adapter.calls).toEqual([])
    expect(listeners(control.signal)).toBe(0)
  })
})

describe('an abort in a running chunk', () => {
  it.each([
    ['without retries', 0],
    ['with retries', 3],
  ])('rejects, %s, and prints no failure', async (_, retries) => {
    const lines = captureConsole()
    const adapter = gatedAdapter()
    const control = new AbortController()
    const job = rejection(() => run(adapter, spec(2), { signal: control.signal, jobDir: '/jobs/1', retries }))
    await until(() => adapter.active === 1, 'the chunk to start')
    control.abort()
    expect(await job).toMatchObject(aborted)
    expect([adapter.active, adapter.started]).toEqual([0, [1]])
    expect(lines).toEqual([...opening, [first[0], first[1].replace('1/1', `1/${retries + 1}`)]])
  })

  it.for([
    ['our own adapter', () => new LocalWorkerAdapter()],
    ['a JS adapter', nodeAdapter],
  ])('of %s ends all its processes first', async ([, make], context) => {
    const lines = captureConsole()
    const mark = processMark(context)
    const control = new AbortController()
    const sleep = `env HELIOS_TEST_MARK=${mark.env.HELIOS_TEST_MARK} sleep 60`
    const job = rejection(() => run(make(), spec([sleep, sleep, sleep]), { signal: control.signal, concurrency: 2 }))
    await until(() => mark.living().length >= 2, 'two processes')
    control.abort()
    expect(await job).toMatchObject(aborted)
    expect([mark.living(), complaints(lines)]).toEqual([[], []])
  })

  it('waits for a JS adapter that needs a while', async () => {
    captureConsole()
    const ended = gate()
    const control = new AbortController()
    const adapter = { execute: () => ended.promise }
    let settled = false
    const job = outcome(run(adapter, spec(1), { signal: control.signal }))
    void job.then(() => (settled = true))
    control.abort()
    for (let i = 0; i < 20; i += 1) await new Promise(setImmediate)
    expect(settled).toBe(false)
    ended.fail(new Error('stopped'))
    expect((await job).error).toMatchObject(aborted)
  })

  it('leaves a JS adapter that ignores it after killGraceMs, with a warning, and ignores its late result', async () => {
    const lines = captureConsole()
    const unhandled = captureUnhandled()
    const late = [gate(), gate()]
    const control = new AbortController()
    const adapter = { execute: ({ meta }) => late[meta.chunkId - 71].promise }
    const seen = []
    const note = (...args) => void seen.push(args)
    const options = {
      signal: control.signal,
      killGraceMs: 100,
      concurrency: 2,
      onProgress: note,
      onChunkComplete: note,
    }
    const job = rejection(() => run(adapter, spec([chunk(71), chunk(72)]), options))
    await until(() => printed(lines, 'log').filter((line) => line.includes('Starting chunk')).length === 2, 'both')
    const started = performance.now()
    control.abort()
    expect(await within(5000, job)).toMatchObject(aborted)
    expect(performance.now() - started).toBeGreaterThanOrEqual(95)
    expect(printed(lines, 'warn').join('\n')).toMatch(/71/)
    expect(printed(lines, 'warn').join('\n')).toMatch(/72/)
    const before = lines.length
    late[0].open(ok())
    late[1].fail(new Error('late'))
    for (let i = 0; i < 20; i += 1) await new Promise(setImmediate)
    expect([seen, lines.length, unhandled]).toEqual([[], before, []])
  })

  it('gives a JS adapter five seconds by default', async () => {
    captureConsole()
    const control = new AbortController()
    const job = rejection(() => run({ execute: () => new Promise(() => {}) }, spec(1), { signal: control.signal }))
    await new Promise(setImmediate)
    const started = performance.now()
    control.abort()
    expect(await within(15_000, job)).toMatchObject(aborted)
    expect(performance.now() - started).toBeGreaterThan(4900)
  })

  it('is no failure even where the adapter calls it one', async () => {
    for (const value of [exit(143, 'terminated'), new Error('my own'), 'text']) {
      const lines = captureConsole([])
      const control = new AbortController()
      const adapter = adapterOf(() => {
        control.abort()
        if (value.exitCode) return value
        throw value
      })
      const error = await rejection(() => run(adapter, spec(2), { signal: control.signal, retries: 2 }))
      expect(error).toMatchObject(aborted)
      expect([complaints(lines), adapter.calls.length]).toEqual([[], 1])
    }
  })

  it('is no success even where the adapter ends well', async () => {
    captureConsole()
    const control = new AbortController()
    const adapter = adapterOf(() => (control.abort(), ok()))
    const mergeAdapter = adapterOf()
    const job = spec(1, { mergeCommand: 'merge' })
    expect(await rejection(() => run(adapter, job, { signal: control.signal, mergeAdapter }))).toMatchObject(aborted)
    expect(mergeAdapter.calls).toEqual([])
  })
})

describe('an abort between chunks', () => {
  it('starts no other', async () => {
    captureConsole()
    const control = new AbortController()
    const adapter = adapterOf()
    const options = { signal: control.signal, onChunkComplete: (id) => void (id === 2 && control.abort()) }
    expect(await rejection(() => run(adapter, spec(4), options))).toMatchObject(aborted)
    expect(adapter.calls.map(({ meta }) => meta.chunkId)).toEqual([1, 2])
  })

  it('is seen in the property alone: of a look-alike without events', async () => {
    captureConsole()
    const signal = { aborted: false }
    const adapter = adapterOf(({ meta }) => {
      if (meta.chunkId === 2) signal.aborted = true
      return ok()
    })
    expect(await rejection(() => run(adapter, spec(4), { signal }))).toMatchObject(aborted)
    expect(adapter.calls.map(({ meta }) => meta.chunkId)).toEqual([1, 2])
  })

  it('is seen in the property alone: before another attempt', async () => {
    captureConsole()
    const signal = { aborted: false, addEventListener() {} }
    const adapter = adapterOf(() => {
      signal.aborted = true
      return exit(1)
    })
    const error = await rejection(() => run(adapter, spec(1), { signal, retries: 5, retryDelay: 1 }))
    expect(error).toMatchObject(aborted)
    expect(adapter.calls).toHaveLength(1)
  })
})

describe('an abort in the retry delay', () => {
  it.each([
    ['a JS adapter', () => adapterOf(() => exit(1, 'x')), 'render'],
    ['our own adapter', () => new LocalWorkerAdapter(), 'sh -c "echo x >&2; exit 1"'],
  ])('of %s ends the wait at once', async (_, make, command) => {
    const lines = captureConsole()
    const control = new AbortController()
    const options = { signal: control.signal, retries: 1, retryDelay: 60_000 }
    const job = rejection(() => run(make(), spec([command]), options))
    await until(() => printed(lines, 'warn').length === 1, 'the retry line')
    control.abort()
    expect(await within(2000, job)).toMatchObject(aborted)
    expect(printed(lines, 'warn')[0]).toMatch(
      /^\[Worker 1\] Chunk 1 failed \(Attempt 1\/2\)\. Retrying in 60000ms\.\.\. /,
    )
    expect([lines.length, listeners(control.signal)]).toEqual([5, 0])
  })
})

describe('an abort in the merge', () => {
  it('ends a merge command of ours', async (context) => {
    captureConsole()
    const mark = processMark(context)
    const control = new AbortController()
    const job = spec(['true'], { mergeCommand: `env HELIOS_TEST_MARK=${mark.env.HELIOS_TEST_MARK} sleep 60` })
    const end = rejection(() => run(new LocalWorkerAdapter(), job, { signal: control.signal }))
    await until(() => mark.living().length > 0, 'the merge to start')
    control.abort()
    expect((await within(10_000, end)).message).toMatch(/^Job (was )?aborted$/)
    expect(mark.living()).toEqual([])
    expect(listeners(control.signal)).toBe(0)
  })
})

describe('the signal', () => {
  it.each([
    ['our own adapter', () => new LocalWorkerAdapter()],
    ['a JS adapter', () => adapterOf(() => new Promise((resolve) => setImmediate(resolve, ok())))],
  ])('has at most one listener per job with %s, and none after it', async (_, make) => {
    captureConsole()
    const warnings = captureWarnings()
    const { signal } = new AbortController()
    let most = 0
    const look = () => void (most = Math.max(most, listeners(signal)))
    const job = spec(Array.from({ length: 40 }, () => 'echo x'))
    await run(make(), job, { signal, concurrency: 16, onProgress: look, onChunkStdout: look, onChunkComplete: look })
    expect(most).toBeLessThanOrEqual(1)
    expect([listeners(signal), warnings]).toEqual([0, []])
  })

  it('of many jobs at once has one listener, ends them all, and has none after it', async () => {
    captureConsole()
    const warnings = captureWarnings()
    const control = new AbortController()
    const held = gate()
    const adapter = adapterOf(() => held.promise)
    const jobs = Array.from({ length: 20 }, () => outcome(run(adapter, spec(1), { signal: control.signal })))
    await until(() => adapter.calls.length === 20, 'all jobs')
    expect(listeners(control.signal)).toBe(1)
    control.abort()
    held.open(ok())
    for (const { error } of await Promise.all(jobs)) expect(error).toMatchObject(aborted)
    expect([listeners(control.signal), warnings]).toEqual([0, []])
  })

  it('has no listener after a failure, and keeps its onabort', async () => {
    captureConsole()
    const control = new AbortController()
    let heard = 0
    const mine = () => void (heard += 1)
    control.signal.onabort = mine
    const { signal } = control
    await rejection(() =>
      run(
        adapterOf(() => exit(1)),
        spec(1),
        { signal },
      ),
    )
    expect([listeners(signal) - 1, signal.onabort]).toEqual([0, mine])
    await rejection(() =>
      run(
        adapterOf(() => (control.abort(), ok())),
        spec(1),
        { signal },
      ),
    )
    expect([signal.onabort, heard]).toEqual([mine, 1])
  })

  it('of one job does not end another', async () => {
    captureConsole()
    const controls = [new AbortController(), new AbortController()]
    const adapter = gatedAdapter()
    const executor = new JobExecutor(adapter)
    const jobs = controls.map(({ signal }) => outcome(executor.execute(spec(2), { signal })))
    await until(() => adapter.active === 2, 'both jobs')
    controls[0].abort()
    expect((await jobs[0]).error).toMatchObject(aborted)
    adapter.release()
    expect(await jobs[1]).toEqual({ value: undefined })
  })
})
