// JobExecutor: what the adapter is given, in which order, how many at once, and what is printed.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { JobExecutor, LocalWorkerAdapter } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { executorContract } from './support/executor-contract.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, chunk, deepFreeze, gatedAdapter, ok, spec } from './support/jobs.mjs'
import { until } from './support/wait.mjs'

class Subclass extends JobExecutor {
  execute(job, options) {
    return super.execute(job, options)
  }
}

executorContract('JobExecutor', (adapter) => new JobExecutor(adapter))
executorContract('a subclass of JobExecutor', (adapter) => new Subclass(adapter))
executorContract('a plain object', (adapter) => ({
  execute: (job, options) => new JobExecutor(adapter).execute(job, options),
}))

const run = (adapter, job, options) => new JobExecutor(adapter).execute(job, options)

describe('the job of the adapter', () => {
  it('is made of command, folder, environment and chunk, and nothing else', async () => {
    captureConsole()
    const adapter = adapterOf()
    const one = chunk(1, { command: `render --from 0 'a b' ""` })
    expect(await run(adapter, spec([one]), { jobDir: '/jobs/1' })).toBeUndefined()
    expect(adapter.calls).toEqual([
      {
        command: 'render',
        args: ['--from', '0', 'a b', ''],
        cwd: '/jobs/1',
        env: process.env,
        meta: { chunkId: 1, ...one },
        signal: undefined,
        onStdout: undefined,
        onStderr: undefined,
      },
    ])
  })

  it('has the environment object of this process', async () => {
    captureConsole()
    const adapter = adapterOf()
    await run(adapter, spec(2))
    expect(adapter.calls.every(({ env }) => env === process.env)).toBe(true)
  })

  it('has the very signal of the user', async () => {
    captureConsole()
    const adapter = adapterOf()
    const signals = [new AbortController().signal, { aborted: false, addEventListener() {}, removeEventListener() {} }]
    for (const signal of signals) {
      await run(adapter, spec(1), { signal })
      expect(adapter.calls.at(-1).signal).toBe(signal)
    }
  })

  it.each([
    ['jobDir', undefined, process.cwd()],
    ['jobDir', 'relative/folder', 'relative/folder'],
  ])('has its folder from %s %s', async (_, jobDir, cwd) => {
    const lines = captureConsole()
    const adapter = adapterOf()
    await run(adapter, spec(1), { jobDir })
    expect(adapter.calls[0].cwd).toBe(cwd)
    expect(lines).toContainEqual(['log', `Job Directory: ${cwd}`])
  })

  it('has callbacks for the outputs that were asked for', async () => {
    captureConsole()
    const heard = []
    const adapter = adapterOf((job) => {
      job.onStdout?.('out')
      job.onStderr?.('err')
      return ok()
    })
    await run(adapter, spec(1), { onChunkStdout: (...args) => void heard.push(['stdout', ...args]) })
    await run(adapter, spec([chunk(4)]), { onChunkStderr: (...args) => void heard.push(['stderr', ...args]) })
    expect(heard).toEqual([
      ['stdout', 1, 'out'],
      ['stderr', 4, 'err'],
    ])
    expect(adapter.calls.map(({ onStdout, onStderr }) => [typeof onStdout, typeof onStderr])).toEqual([
      ['function', 'undefined'],
      ['undefined', 'function'],
    ])
  })
})

describe('the meta of the adapter', () => {
  it('has unknown fields of the chunk, as they are', async () => {
    captureConsole()
    const adapter = adapterOf()
    const own = { fn: () => 1, date: new Date(5), map: new Map([[1, 2]]), big: 1n, none: undefined, nested: { a: [1] } }
    await run(adapter, spec([chunk(3, own)]))
    const { meta } = adapter.calls[0]
    for (const key of Object.keys(own)) expect([key, meta[key] === own[key]]).toEqual([key, true])
    expect(Object.keys(meta).sort()).toEqual(['chunkId', ...Object.keys(chunk(3, own))].sort())
  })

  it('has the meta of the options below that of the chunk', async () => {
    captureConsole()
    const adapter = adapterOf()
    const meta = { jobDefUrl: 's3://bucket/job.json', id: 99, command: 'no', chunkId: 98, shared: { a: 1 } }
    await run(adapter, spec([chunk(1)]), { meta })
    expect(adapter.calls[0].meta).toEqual({ ...meta, chunkId: 1, ...chunk(1) })
    expect(adapter.calls[0].meta.shared).toBe(meta.shared)
  })

  it('lets a chunk have a chunkId of its own', async () => {
    captureConsole()
    const adapter = adapterOf()
    await run(adapter, spec([chunk(1, { chunkId: 'mine' })]))
    expect(adapter.calls[0].meta.chunkId).toBe('mine')
  })

  it('has chunk 0 as 0', async () => {
    const lines = captureConsole()
    const adapter = adapterOf()
    await run(adapter, spec([chunk(0)]))
    expect(adapter.calls[0].meta.chunkId).toBe(0)
    expect(lines).toContainEqual(['log', '[Worker 1] Chunk 0 completed (1/1)'])
  })
})

describe('the adapter', () => {
  it('is called as a method, looked up at each call', async () => {
    captureConsole()
    const seen = []
    class Base {
      execute(job) {
        seen.push(['first', this === adapter, job.meta.chunkId])
        adapter.execute = function () {
          seen.push(['second', this === adapter])
          return ok()
        }
        return ok()
      }
    }
    const adapter = new Base()
    await run(adapter, spec(2))
    expect(seen).toEqual([
      ['first', true, 1],
      ['second', true],
    ])
  })

  it.each([
    ['a value', () => ok()],
    ['a promise', async () => ok()],
    // oxlint-disable-next-line no-thenable
    ['a thenable', () => ({ then: (resolve) => void resolve(ok()) })],
  ])('may give %s', async (_, execute) => {
    const lines = captureConsole()
    await run({ execute }, spec(1))
    expect(lines).toContainEqual(['log', '[Worker 1] Chunk 1 completed (1/1)'])
  })

  it('gets its own result object back in onChunkComplete', async () => {
    captureConsole()
    const result = Object.freeze(ok({ outputUrl: 's3://x', own: new Date(1) }))
    const seen = []
    await run(
      adapterOf(() => result),
      spec(1),
      { onChunkComplete: (id, r) => void seen.push(id, r) },
    )
    expect(seen[0]).toBe(1)
    expect(seen[1]).toBe(result)
  })

  it('of ours runs natively, unless its method is replaced, in whatever way', async () => {
    captureConsole()
    class Own extends LocalWorkerAdapter {
      execute() {
        return ok({ stdout: 'own' })
      }
    }
    const stdout = async (adapter) => {
      let seen
      await run(adapter, spec(['echo native']), { onChunkComplete: (_, r) => void (seen = r.stdout) })
      return seen
    }
    expect(await stdout(new LocalWorkerAdapter())).toBe('native\n')
    expect(await stdout(new Own())).toBe('own')
    const adapter = new LocalWorkerAdapter()
    const onInstance = vi.spyOn(adapter, 'execute').mockResolvedValue(ok({ stdout: 'instance' }))
    expect(await stdout(adapter)).toBe('instance')
    onInstance.mockRestore()
    expect(await stdout(adapter)).toBe('native\n')
    const onPrototype = vi.spyOn(LocalWorkerAdapter.prototype, 'execute').mockResolvedValue(ok({ stdout: 'prototype' }))
    try {
      expect(await stdout(adapter)).toBe('prototype')
    } finally {
      onPrototype.mockRestore()
    }
    expect(await stdout(adapter)).toBe('native\n')
  })
})

describe('the order of work', () => {
  const opening = (c, n) => [
    `Starting job execution with concurrency ${c}...`,
    'Job Directory: /jobs/1',
    `Chunks: ${n}`,
  ]

  it('is that of the array, one at a time by default, and every step is printed', async () => {
    const lines = captureConsole()
    const adapter = adapterOf(() => (lines.push('run'), ok()))
    await run(adapter, spec([chunk(3), chunk(1), chunk(2)]), {
      jobDir: '/jobs/1',
      onProgress: (...args) => void lines.push(['progress', ...args]),
      onChunkComplete: (id) => void lines.push(['complete', id]),
    })
    const step = (id, n) => [
      ['log', `[Worker 1] Starting chunk ${id} (Attempt 1/1)...`],
      'run',
      ['progress', n, 3],
      ['complete', id],
      ['log', `[Worker 1] Chunk ${id} completed (${n}/3)`],
    ]
    expect(lines).toEqual([
      ...opening(1, 3).map((line) => ['log', line]),
      ...[3, 1, 2].flatMap((id, i) => step(id, i + 1)),
      ['log', 'Skipping merge step (no merge mechanism provided).'],
    ])
  })

  it.each([
    [undefined, 1],
    [0, 1],
    [NaN, 1],
    [-3, 1],
    ['', 1],
    ['many', 1],
    [1, 1],
    [2, 2],
    ['3', 3],
    [2.9, 2],
    [0.5, 1],
    [5, 5],
    [100, 5],
    [Infinity, 5],
  ])('with concurrency %o is %i of 5 chunks at once', async (concurrency, most) => {
    const lines = captureConsole()
    const adapter = gatedAdapter()
    const job = run(adapter, spec(5), { concurrency })
    await until(() => adapter.active === most, `${most} chunks at once`)
    expect(adapter.started).toEqual([1, 2, 3, 4, 5].slice(0, most))
    adapter.release()
    await job
    expect(adapter.most).toBe(most)
    expect(adapter.started).toEqual([1, 2, 3, 4, 5])
    if (most === 1 && concurrency !== 0.5) expect(printed(lines, 'log')[0]).toBe(opening(1)[0])
    if (Number.isInteger(Number(concurrency)) && most > 1) {
      expect(printed(lines, 'log')[0]).toBe(opening(concurrency)[0])
    }
  })

  it('numbers the workers from 1', async () => {
    const lines = captureConsole()
    await run(adapterOf(), spec(3), { concurrency: 3 })
    const starts = printed(lines, 'log').filter((line) => line.includes('Starting chunk'))
    expect(starts).toEqual([1, 2, 3].map((n) => `[Worker ${n}] Starting chunk ${n} (Attempt 1/1)...`))
  })

  it('keeps a worker until onChunkComplete has resolved', async () => {
    captureConsole()
    const order = []
    const adapter = adapterOf((job) => (order.push(`run ${job.meta.chunkId}`), ok()))
    await run(adapter, spec(2), {
      onChunkComplete: async (id) => {
        await new Promise(setImmediate)
        order.push(`complete ${id}`)
      },
    })
    expect(order).toEqual(['run 1', 'complete 1', 'run 2', 'complete 2'])
  })

  it('skips what is done already, and counts it', async () => {
    const lines = captureConsole()
    const adapter = adapterOf()
    const progress = []
    await run(adapter, spec(4), { completedChunkIds: [3, 1, 77], onProgress: (...args) => void progress.push(args) })
    expect(adapter.calls.map(({ meta }) => meta.chunkId)).toEqual([2, 4])
    expect(progress).toEqual([
      [3, 4],
      [4, 4],
    ])
    expect(lines).toContainEqual(['log', '[Worker 1] Chunk 4 completed (4/4)'])
  })

  it('ends at once when there is nothing to run', async () => {
    const lines = captureConsole()
    const adapter = adapterOf()
    await run(adapter, spec([]), { jobDir: '/jobs/1' })
    await run(adapter, spec(2), { jobDir: '/jobs/1', completedChunkIds: [1, 2] })
    expect(adapter.calls).toEqual([])
    const end = 'Skipping merge step (no merge mechanism provided).'
    expect(printed(lines, 'log')).toEqual([...opening(1, 0), end, ...opening(1, 2), end])
  })

  it('runs each of several jobs by itself', async () => {
    captureConsole()
    const executor = new JobExecutor(adapterOf((job) => ok({ stdout: job.meta.tag })))
    const seen = { a: [], b: [] }
    const start = (tag) =>
      executor.execute(spec(3), { meta: { tag }, onChunkComplete: (id, r) => void seen[tag].push([id, r.stdout]) })
    await Promise.all([start('a'), start('b')])
    for (const tag of ['a', 'b']) expect(seen[tag]).toEqual([1, 2, 3].map((id) => [id, tag]))
  })
})

describe('what belongs to the caller', () => {
  it.each([
    ['JS', () => adapterOf()],
    ['native', () => new LocalWorkerAdapter()],
  ])('is never changed, with a %s adapter', async (_, make) => {
    captureConsole()
    const jobDir = tempFolder()
    writeFileSync(join(jobDir, 'in'), '')
    const job = deepFreeze(spec(['true', 'true'], { mergeCommand: 'true', own: { list: [1] } }))
    const options = deepFreeze({ jobDir, concurrency: 2, retries: 1, completedChunkIds: [2], meta: { a: { b: 1 } } })
    const before = JSON.stringify([job, options])
    await run(make(), job, options)
    expect(JSON.stringify([job, options])).toBe(before)
  })
})
