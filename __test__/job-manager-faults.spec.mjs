// JobManager when repository or callbacks fail in the background: printed, saved where it can be, never unhandled.
import { describe, expect, it } from 'vitest'
import { InMemoryJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole, captureUnhandled } from './support/console.mjs'
import { adapterOf, gatedAdapter, ok, spec } from './support/jobs.mjs'
import { executorOf, inState, settledJob, watchedRepository } from './support/managed.mjs'
import { rejection, until, within } from './support/wait.mjs'

const ways = [
  ['rejects', (error) => Promise.reject(error)],
  [
    'throws',
    (error) => {
      throw error
    },
  ],
]

/** Whether `value` itself has been printed as an error. */
const complained = (lines, value) => lines.some(([level, , ...rest]) => level === 'error' && rest.includes(value))

describe('the first read in the background', () => {
  it.each(ways)('that %s is printed, and the job ends failed', async (_, fail) => {
    const lines = captureConsole()
    const unhandled = captureUnhandled()
    const mine = new Error('cannot read')
    const repository = watchedRepository()
    const { get } = repository
    let reads = 0
    repository.get = (id) => ((reads += 1) === 1 ? fail(mine) : get(id))
    const executor = executorOf()
    const manager = new JobManager(repository, executor)
    const id = await within(5000, manager.submitJob(spec(1)))
    await until(() => lines.length > 0, 'the line')
    expect(lines[0]).toEqual(['error', `Unhandled error in job ${id}:`, mine])
    expect(await inState(manager, id, 'failed')).toMatchObject({ error: 'cannot read' })
    expect([executor.calls, unhandled]).toEqual([[], []])
  })
})

describe('a save in the background', () => {
  const cases = ways.flatMap(([how, fail]) =>
    [
      ['running', (job) => job.state === 'running' && job.completedChunks === 0],
      ['progress', (job) => job.completedChunks === 1],
      ['the end', (job) => job.state === 'completed'],
    ].map(([what, matches]) => [what, how, fail, matches]),
  )

  it.each(cases)('of %s that %s once is printed, and the job ends failed', async (_, __, fail, matches) => {
    const lines = captureConsole()
    const unhandled = captureUnhandled()
    const mine = new Error('cannot write')
    const repository = watchedRepository()
    let failed = false
    repository.onSave = (job) => {
      if (failed || !matches(job)) return undefined
      failed = true
      return fail(mine)
    }
    // The second chunk waits until the save has failed, so that it cannot be folded away.
    const adapter = adapterOf(async ({ meta }) => {
      if (meta.chunkId === 2 && matches({ state: 'running', completedChunks: 1 })) await until(() => failed, 'the save')
      return ok()
    })
    const manager = new JobManager(repository, new JobExecutor(adapter))
    const id = await within(5000, manager.submitJob(spec(2)))
    const record = await inState(manager, id, 'failed')
    expect(record.error).toContain('cannot write')
    await until(() => complained(lines, mine), 'the error to be printed')
    await settledJob()
    expect((await manager.getJob(id)).state).toBe('failed')
    expect(unhandled).toEqual([])
  })

  it('that fails ever after leaves what was saved, and hangs nothing', async () => {
    const lines = captureConsole()
    const unhandled = captureUnhandled()
    const mine = new Error('gone for good')
    const repository = watchedRepository()
    repository.onSave = (_, n) => (n > 1 ? Promise.reject(mine) : undefined)
    const manager = new JobManager(repository, new JobExecutor(adapterOf()))
    const id = await within(5000, manager.submitJob(spec(2)))
    await until(() => complained(lines, mine), 'the error to be printed')
    await settledJob()
    await within(
      10_000,
      manager.cancelJob(id).catch((error) => expect(error).toBe(mine)),
    )
    expect((await manager.getJob(id)).state).toBe('pending')
    expect(unhandled).toEqual([])
  })
})

describe('a callback of the caller that fails', () => {
  const values = [
    ['an Error', new Error('mine'), 'mine'],
    ['text', 'text', 'text'],
  ]
  const names = ['onProgress', 'onChunkComplete', 'onChunkStdout', 'onChunkStderr']
  const makes = [
    ['JS', () => adapterOf((job) => (job.onStdout?.('x'), job.onStderr?.('x'), ok()))],
    ['our own', () => new LocalWorkerAdapter()],
  ]
  const cases = makes.flatMap(([whose, make]) =>
    names.flatMap((name) => values.map(([what, value, error]) => [name, what, whose, make, value, error])),
  )

  it.each(cases)('%s with %s, with a %s adapter, fails the job with it', async (name, _, __, make, value, error) => {
    const lines = captureConsole()
    const unhandled = captureUnhandled()
    for (const [, fail] of ways) {
      lines.length = 0
      const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(make()))
      const options = { [name]: () => fail(value), retries: 2, retryDelay: 0 }
      const id = await manager.submitJob(spec(['sh -c "echo x; echo y >&2"']), options)
      expect(await inState(manager, id, 'failed')).toMatchObject({ error })
      await until(() => complained(lines, value), 'the error to be printed')
      expect(lines.filter(([level]) => level === 'error')).toEqual([['error', `Job ${id} failed:`, value]])
    }
    expect(unhandled).toEqual([])
  })
})

describe('control of a job whose repository fails', () => {
  it.each(['cancelJob', 'pauseJob', 'resumeJob', 'deleteJob', 'getJob'])(
    '%s rejects with the very error',
    async (name) => {
      captureConsole()
      const mine = new Error('cannot read')
      const repository = watchedRepository()
      for (const [, fail] of ways) {
        repository.get = () => fail(mine)
        const manager = new JobManager(repository, executorOf())
        expect(await rejection(() => manager[name]('a'))).toBe(mine)
      }
    },
  )

  it('still ends the work', async () => {
    captureConsole()
    const unhandled = captureUnhandled()
    const repository = watchedRepository()
    const adapter = gatedAdapter()
    const manager = new JobManager(repository, new JobExecutor(adapter))
    const id = await manager.submitJob(spec(2))
    await until(() => adapter.active === 1, 'the chunk')
    repository.onSave = () => Promise.reject(new Error('cannot write'))
    await within(
      10_000,
      manager.cancelJob(id).catch((error) => expect(error.message).toBe('cannot write')),
    )
    expect([adapter.active, adapter.started, unhandled]).toEqual([0, [1], []])
  })
})

describe('wrong types reject with a TypeError that names the field:', () => {
  it.each(['getJob', 'cancelJob', 'pauseJob', 'resumeJob', 'deleteJob'])('id of %s', async (name) => {
    const manager = new JobManager(new InMemoryJobRepository(), executorOf())
    for (const id of [undefined, 5, {}]) {
      const error = await rejection(() => manager[name](id))
      expect(error).toBeInstanceOf(TypeError)
      expect(error.message).toMatch(/\bid\b/i)
    }
  })
})
