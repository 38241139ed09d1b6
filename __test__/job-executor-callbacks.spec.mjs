// JobExecutor: callbacks of the user that throw or reject end the job with that very value, once.
import { describe, expect, it } from 'vitest'
import { JobExecutor, LocalWorkerAdapter } from '../index.js'
import { captureConsole, captureUnhandled, printed } from './support/console.mjs'
import { adapterOf, gatedAdapter, ok, spec } from './support/jobs.mjs'
import { nodeAdapter } from './support/node-adapter.mjs'
import { processMark } from './support/processes.mjs'
import { outcome, rejection, until } from './support/wait.mjs'

const run = (adapter, job, options) => new JobExecutor(adapter).execute(job, options)

const adapters = [
  ['our own adapter', () => new LocalWorkerAdapter()],
  ['a JS adapter', nodeAdapter],
  [
    'a plain adapter',
    () =>
      adapterOf((job) => {
        job.onStdout?.('out')
        job.onStderr?.('err')
        return ok()
      }),
  ],
]
const callbacks = ['onProgress', 'onChunkComplete', 'onChunkStdout', 'onChunkStderr']
const ways = [
  [
    'throws',
    (value) => () => {
      throw value
    },
  ],
  ['rejects', (value) => () => Promise.reject(value)],
  ['rejects later', (value) => async () => new Promise((_, reject) => setImmediate(reject, value))],
]
const values = [new Error('mine'), 'just text', undefined, Object.assign(new Error('stop'), { name: 'AbortError' })]

describe.each(adapters)('with %s', (_, make) => {
  const cases = callbacks.flatMap((name) => ways.map(([how, way]) => [name, how, way]))

  it.each(cases)('%s that %s fails the job with the very value', async (name, how, way) => {
    const lines = captureConsole()
    const unhandled = captureUnhandled()
    for (const value of values) {
      lines.length = 0
      let calls = 0
      const callback = (...args) => {
        calls += 1
        return way(value)(...args)
      }
      const job = spec(['sh -c "echo out; echo err >&2"', 'true'])
      const options = { [name]: callback, retries: 3, retryDelay: 0 }
      expect((await outcome(run(make(), job, options))).error === value).toBe(true)
      const starts = printed(lines, 'log').filter((line) => line.includes('Starting chunk'))
      // What rejects later may do so while another chunk runs already; no chunk is ever rendered twice.
      if (how === 'rejects later') expect(new Set(starts).size).toBe(starts.length)
      else expect([calls, starts]).toEqual([1, ['[Worker 1] Starting chunk 1 (Attempt 1/4)...']])
      expect(printed(lines, 'warn')).toEqual([])
    }
    await new Promise(setImmediate)
    expect(unhandled).toEqual([])
  })
})

describe('a callback that throws', () => {
  it('ends a running process of our own adapter', async (context) => {
    captureConsole()
    const mark = processMark(context)
    const mine = new Error('mine')
    const command = `env HELIOS_TEST_MARK=${mark.env.HELIOS_TEST_MARK} sh -c "echo x; sleep 60"`
    const onChunkStdout = () => {
      throw mine
    }
    expect(await rejection(() => run(new LocalWorkerAdapter(), spec([command]), { onChunkStdout }))).toBe(mine)
    expect(mark.living()).toEqual([])
  })

  it('lets other chunks of a JS adapter end before the rejection', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const mine = new Error('mine')
    const adapter = adapterOf((job) => (job.meta.chunkId === 1 ? ok() : gated.execute(job)))
    const onChunkComplete = (id) => {
      if (id === 1) throw mine
    }
    let settled = false
    const job = outcome(run(adapter, spec(4), { concurrency: 2, onChunkComplete }))
    void job.then(() => (settled = true))
    await until(() => gated.active === 1, 'the other chunk')
    for (let i = 0; i < 20; i += 1) await new Promise(setImmediate)
    expect(settled).toBe(false)
    gated.release()
    expect((await job).error).toBe(mine)
    expect(adapter.calls).toHaveLength(2)
  })

  it('does not disturb the JS adapter that called it', async () => {
    captureConsole()
    const seen = []
    const mine = new Error('mine')
    const adapter = adapterOf((job) => {
      try {
        job.onStdout('x')
      } catch (error) {
        seen.push(error === mine ? 'mine' : error)
      }
      return ok()
    })
    const onChunkStdout = () => {
      throw mine
    }
    expect(await rejection(() => run(adapter, spec(1), { onChunkStdout }))).toBe(mine)
    expect(seen.filter((error) => error !== 'mine')).toEqual([])
  })

  it('merges nothing', async () => {
    captureConsole()
    const mergeAdapter = adapterOf()
    const onChunkComplete = () => Promise.reject(new Error('mine'))
    await rejection(() => run(adapterOf(), spec(1, { mergeCommand: 'merge' }), { onChunkComplete, mergeAdapter }))
    expect(mergeAdapter.calls).toEqual([])
  })
})

describe('callbacks', () => {
  it('are called with these arguments, in this order', async () => {
    captureConsole()
    const seen = []
    const note =
      (name) =>
      (...args) =>
        void seen.push([name, ...args])
    await run(new LocalWorkerAdapter(), spec(['sh -c "echo a; sleep 0.1; echo b >&2"']), {
      onChunkStdout: note('stdout'),
      onChunkStderr: note('stderr'),
      onProgress: note('progress'),
      onChunkComplete: note('complete'),
    })
    expect(seen).toEqual([
      ['stdout', 1, 'a\n'],
      ['stderr', 1, 'b\n'],
      ['progress', 1, 1],
      ['complete', 1, { exitCode: 0, stdout: 'a\n', stderr: 'b\n', durationMs: expect.any(Number) }],
    ])
  })

  it('count each chunk once, up to the whole, at any concurrency', async () => {
    captureConsole()
    const progress = []
    const adapter = adapterOf(() => new Promise((resolve) => setTimeout(resolve, Math.random() * 3, ok())))
    await run(adapter, spec(30), { concurrency: 7, onProgress: (...args) => void progress.push(args) })
    expect(progress).toEqual(Array.from({ length: 30 }, (_, i) => [i + 1, 30]))
  })

  it('may start another job', async () => {
    captureConsole()
    const inner = adapterOf()
    const onChunkComplete = () => run(inner, spec(2))
    await run(adapterOf(), spec(2), { onChunkComplete })
    expect(inner.calls).toHaveLength(4)
  })
})
