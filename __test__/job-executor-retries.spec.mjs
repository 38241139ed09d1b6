// JobExecutor: what becomes of failed attempts: pauses that grow, hints of adapters, rules of the owner, other chunks.
import { describe, expect, it } from 'vitest'
import { FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { rejection, until } from './support/wait.mjs'

const ok = { exitCode: 0, stdout: '', stderr: '', durationMs: 0 }
const failed = (more) => ({ exitCode: 1, stdout: '', stderr: 'no', durationMs: 0, ...more })
const jobOf = (count) => ({ chunks: Array.from({ length: count }, (_, i) => ({ id: i + 1, command: 'render' })) })

/** An adapter that answers with the given answers in turn, then with success; a function is called, an error thrown. */
function scripted(...answers) {
  const times = []
  return {
    times,
    async execute(job) {
      times.push(performance.now())
      const next = answers.length > 0 ? answers.shift() : ok
      const answer = typeof next === 'function' ? next(job) : next
      if (answer instanceof Error) throw answer
      return answer
    },
  }
}

const run = (adapter, options, count = 1) => new JobExecutor(adapter).execute(jobOf(count), options)
const pauses = ({ times }) => times.slice(1).map((time, i) => time - times[i])

describe('retryBackoff', () => {
  it('lets pauses grow, to the longest', async () => {
    captureConsole()
    const adapter = scripted(failed(), failed(), failed(), failed())
    const retryBackoff = { factor: 3, maxDelayMs: 100, jitter: 0 }
    await run(adapter, { retries: 4, retryDelay: 20, retryBackoff })
    const [first, second, third, fourth] = pauses(adapter)
    expect(first).toBeGreaterThanOrEqual(19)
    expect(first).toBeLessThan(59)
    expect(second).toBeGreaterThanOrEqual(59)
    expect(third).toBeGreaterThanOrEqual(99)
    expect(fourth).toBeGreaterThanOrEqual(99)
    expect(fourth).toBeLessThan(500)
  })

  it('is announced as it is', async () => {
    const printed = captureConsole()
    await run(scripted(failed(), failed()), { retries: 2, retryDelay: 5, retryBackoff: { jitter: 0 } })
    const warnings = printed.filter(([level]) => level === 'warn').map(([, text]) => text)
    expect(warnings.map((text) => /Retrying in (.*)ms/.exec(text)[1])).toEqual(['5', '10'])
  })

  it('has a part of chance, unless it is told not to', async () => {
    const printed = captureConsole()
    const answers = Array.from({ length: 20 }, () => failed())
    await run(scripted(...answers), { retries: 20, retryDelay: 8, retryBackoff: { factor: 1 } })
    const delays = printed
      .filter(([level]) => level === 'warn')
      .map(([, text]) => Number(/Retrying in (.*)ms/.exec(text)[1]))
    expect(new Set(delays).size).toBeGreaterThan(5)
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(4)
    expect(Math.max(...delays)).toBeLessThanOrEqual(8)
  })

  it.each([
    ['a number', 2, 'options.retryBackoff must be an object'],
    ['a factor that is none', { factor: 'much' }, 'options.retryBackoff.factor must be a number'],
  ])('must not be %s', async (_, retryBackoff, message) => {
    expect(await rejection(() => run(scripted(), { retryBackoff }))).toMatchObject({ name: 'TypeError', message })
  })
})

describe('a hint of the adapter', () => {
  it('that it will go wrong every time ends the attempts', async () => {
    captureConsole()
    for (const answer of [
      failed({ retry: { kind: 'fatal' } }),
      Object.assign(new Error('bad'), { retry: { kind: 'fatal' } }),
    ]) {
      const adapter = scripted(answer)
      const error = await rejection(() => run(adapter, { retries: 5, retryDelay: 0 }))
      expect(error.message).toMatch(/^Chunk 1 failed after 1 attempts: /)
      expect(adapter.times).toHaveLength(1)
    }
  })

  it('that it has too much to do uses up no retry', async () => {
    const printed = captureConsole()
    const throttled = failed({ retry: { kind: 'throttled', afterMs: 1 } })
    const adapter = scripted(throttled, throttled, throttled, failed())
    const error = await rejection(() => run(adapter, { retries: 0 }))
    expect(error.message).toBe('Chunk 1 failed after 1 attempts: Chunk 1 failed with exit code 1: no')
    expect(adapter.times).toHaveLength(4)
    expect(printed).toContainEqual([
      'warn',
      '[Worker 1] Chunk 1 was put off (Attempt 1/1). Retrying in 1ms... Error: Chunk 1 failed with exit code 1: no',
    ])
  })

  it('of a time is waited for, also with a transient failure', async () => {
    captureConsole()
    const adapter = scripted(failed({ retry: { kind: 'transient', afterMs: 80 } }))
    await run(adapter, { retries: 0, retryDelay: 0 })
    expect(pauses(adapter)[0]).toBeGreaterThanOrEqual(79)
  })

  it('that is transient is a failure as any', async () => {
    captureConsole()
    const transient = failed({ retry: { kind: 'transient' } })
    await run(scripted(transient), { retries: 1, retryDelay: 0 })
    await rejection(() => run(scripted(transient), { retries: 0 }))
  })

  it.each([
    ['unknown', { kind: 'odd' }],
    ['no object', 'throttled'],
    ['null', null],
  ])('that is %s is none', async (_, retry) => {
    captureConsole()
    await rejection(() => run(scripted(failed({ retry })), { retries: 0 }))
  })

  it('in an endless row ends in the end', async () => {
    captureConsole()
    const execute = async () => failed({ retry: { kind: 'throttled', afterMs: 0 } })
    const error = await rejection(() => run({ execute }, { retries: 1, retryDelay: 0 }))
    expect(error.message).toMatch(/^Chunk 1 failed after 2 attempts: /)
  })

  it('is waited for no longer than until an abort', async () => {
    captureConsole()
    const controller = new AbortController()
    const throttled = () => {
      setTimeout(() => controller.abort(), 20)
      return failed({ retry: { kind: 'throttled', afterMs: 60_000 } })
    }
    const error = await rejection(() => run(scripted(throttled), { signal: controller.signal }))
    expect(error.name).toBe('AbortError')
  })

  it('lets fewer chunks run at once for a while', async () => {
    captureConsole()
    let running = 0
    let most = 0
    let calls = 0
    const width = []
    const execute = async () => {
      running += 1
      calls += 1
      most = Math.max(most, running)
      const call = calls
      await new Promise((resolve) => setTimeout(resolve, 5))
      width.push(running)
      running -= 1
      // All of the first eight hear the same: that is one decrease, not eight.
      return call <= 8 ? failed({ retry: { kind: 'throttled', afterMs: 0 } }) : ok
    }
    await run({ execute }, { concurrency: 8 }, 100)
    expect(most).toBe(8)
    // Right afterwards four at once; in the end as many as were asked for.
    expect(Math.max(...width.slice(8, 12))).toBe(4)
    expect(Math.max(...width.slice(-20))).toBe(8)
    expect(calls).toBe(108)
  })
})

describe('retryOn', () => {
  const commandFails = (script, options) =>
    new JobExecutor(new LocalWorkerAdapter()).execute(
      { chunks: [{ id: 7, command: `sh -c '${script}'` }] },
      { retries: 2, retryDelay: 0, ...options },
    )
  const attemptsOf = (printed) => printed.filter(([, text]) => text.includes('Starting chunk')).length

  it.each([
    ['an exit code', { exitCode: 3 }, 'exit 3', 1],
    ['one of several exit codes', { exitCode: [2, 3] }, 'exit 3', 1],
    ['another exit code', { exitCode: [2, 4] }, 'exit 3', 3],
    ['a signal', { signal: 'SIGKILL' }, 'kill -9 $$', 1],
    ['one of several signals', { signal: ['SIGTERM', 'SIGKILL'] }, 'kill -9 $$', 1],
    ['a text', { text: 'out of memory' }, 'echo out of memory >&2; exit 1', 1],
    ['a text on standard output', { text: 'out of memory' }, 'echo out of memory; exit 1', 1],
    ['a pattern', { text: /OUT\s+of/i }, 'echo out of memory >&2; exit 1', 1],
    ['a pattern that does not fit', { text: /^of/ }, 'echo out of memory >&2; exit 1', 3],
    ['all of several', { exitCode: 1, text: 'memory' }, 'echo out of memory >&2; exit 1', 1],
    ['but not all of several', { exitCode: 2, text: 'memory' }, 'echo out of memory >&2; exit 1', 3],
  ])('has rules about %s', async (_, rule, script, attempts) => {
    const printed = captureConsole()
    await rejection(() => commandFails(script, { retryOn: [{ ...rule, kind: 'fatal' }] }))
    expect(attemptsOf(printed)).toBe(attempts)
  })

  it('takes the first rule that fits, and an adapter’s hint counts where none does', async () => {
    captureConsole()
    const rules = [
      { exitCode: 9, kind: 'fatal' },
      { text: 'no', kind: 'transient' },
      { exitCode: 1, kind: 'fatal' },
    ]
    const fatal = { retry: { kind: 'fatal' } }
    await run(scripted(failed(fatal)), { retries: 1, retryDelay: 0, retryOn: rules })
    const unknown = scripted(failed({ ...fatal, stderr: 'x', exitCode: 2 }))
    await rejection(() => run(unknown, { retries: 1, retryDelay: 0, retryOn: rules }))
    expect(unknown.times).toHaveLength(1)
  })

  it('may be a function: it gets the error, chunk and attempt, with the options as this', async () => {
    captureConsole()
    const seen = []
    const options = {
      retries: 5,
      retryDelay: 0,
      retryOn(error, about) {
        seen.push([this === options, error.message, error.exitCode, about])
        return about.attempt < 2
      },
    }
    const error = await rejection(() => run(scripted(failed(), failed({ exitCode: 2 })), options))
    expect(error.message).toMatch(/^Chunk 1 failed after 2 attempts: /)
    expect(seen).toEqual([
      [true, 'Chunk 1 failed with exit code 1: no', 1, { chunkId: 1, attempt: 1 }],
      [true, 'Chunk 1 failed with exit code 2: no', 2, { chunkId: 1, attempt: 2 }],
    ])
  })

  it.each([
    ['true', true, 3],
    ['false', false, 1],
    ['nothing', undefined, 3],
    ['null', null, 3],
    ['a kind', 'fatal', 1],
    ['a hint', { kind: 'fatal' }, 1],
    ['a promise', Promise.resolve(false), 1],
  ])('a function may say %s', async (_, verdict, attempts) => {
    captureConsole()
    const adapter = scripted(failed(), failed(), failed())
    await rejection(() => run(adapter, { retries: 2, retryDelay: 0, retryOn: () => verdict }))
    expect(adapter.times).toHaveLength(attempts)
  })

  it('gets the very value that an adapter threw', async () => {
    captureConsole()
    const thrown = new Error('mine')
    const seen = []
    await run(scripted(thrown), { retries: 1, retryDelay: 0, retryOn: (error) => void seen.push(error) })
    expect(seen).toEqual([thrown])
    expect(seen[0]).toBe(thrown)
  })

  it('that throws, or rejects, fails the job with that value', async () => {
    captureConsole()
    const thrown = new Error('judge')
    for (const retryOn of [
      () => {
        throw thrown
      },
      () => Promise.reject(thrown),
    ]) {
      const adapter = scripted(failed())
      expect(await rejection(() => run(adapter, { retries: 9, retryDelay: 0, retryOn }))).toBe(thrown)
      expect(adapter.times).toHaveLength(1)
    }
  })

  it.each([
    ['a string', 'always', 'options.retryOn must be a function or an array of rules'],
    ['a rule that is none', [1], 'options.retryOn[0] must be an object'],
    ['a rule without a kind', [{ exitCode: 1 }], "options.retryOn[0].kind must be 'transient', 'throttled' or 'fatal'"],
    ['a rule about a number', [{ kind: 'fatal', text: 1 }], 'options.retryOn[0].text must be a string or a RegExp'],
  ])('must not be %s', async (_, retryOn, message) => {
    expect(await rejection(() => run(scripted(), { retryOn }))).toMatchObject({ name: 'TypeError', message })
  })

  it('must not say something else', async () => {
    captureConsole()
    const error = await rejection(() => run(scripted(failed()), { retryOn: () => 'maybe' }))
    expect(error.message).toBe(
      "what options.retryOn returns must be a boolean, undefined, 'transient', 'throttled' or 'fatal', or an object with such a kind",
    )
  })
})

describe('failFast: false', () => {
  it('renders the other chunks, fails with the first failure, and does not merge', async () => {
    const printed = captureConsole()
    const done = []
    const execute = async ({ meta }) => (meta.chunkId % 3 === 0 ? failed() : ok)
    const options = { failFast: false, concurrency: 2, onChunkComplete: (id) => void done.push(id) }
    const spec = { ...jobOf(10), mergeCommand: 'merge' }
    const error = await rejection(() => new JobExecutor({ execute }).execute(spec, options))
    expect(error.message).toBe('Chunk 3 failed after 1 attempts: Chunk 3 failed with exit code 1: no')
    expect(done.sort((a, b) => a - b)).toEqual([1, 2, 4, 5, 7, 8, 10])
    expect(printed.filter(([, text]) => text.includes('failed after')).length).toBe(3)
    expect(printed.some(([, text]) => text.includes('merge'))).toBe(false)
  })

  it('keeps what was rendered in the record of a job that failed', async () => {
    captureConsole()
    const execute = async ({ meta }) => (meta.chunkId === 2 ? failed() : ok)
    const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor({ execute }))
    const id = await manager.submitJob(jobOf(5), { failFast: false })
    const job = await until(async () => {
      const status = await manager.getJob(id)
      return status.state === 'failed' && status
    })
    expect(job.logs.map(({ chunkId }) => chunkId)).toEqual([1, 3, 4, 5])
    expect(job).toMatchObject({ completedChunks: 4, progress: 80 })
  })

  it('does not outlive an abort', async () => {
    captureConsole()
    const controller = new AbortController()
    const execute = async () => (controller.abort(), failed())
    const options = { failFast: false, signal: controller.signal }
    expect((await rejection(() => run({ execute }, options, 3))).name).toBe('AbortError')
  })
})
