// JobManager: the life of a job and what is saved, printed and handed to executor and repository on the way.
import { describe, expect, it, vi } from 'vitest'
import { FileJobRepository, InMemoryJobRepository, JobExecutor, JobManager } from '../index.js'
import { captureConsole, captureUnhandled, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, deepFreeze, ok, spec } from './support/jobs.mjs'
import { executorOf, inState, mockRepository, settledJob, watchedRepository } from './support/managed.mjs'
import { gate, rejection, until } from './support/wait.mjs'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe('submitJob', () => {
  it('saves the pending job, then calls the save of the running one, and resolves with a new id', async () => {
    captureConsole()
    const repository = watchedRepository()
    const manager = new JobManager(
      repository,
      executorOf(() => new Promise(() => {})),
    )
    const before = Date.now()
    const id = await manager.submitJob(spec(2))
    expect(id).toMatch(uuid)
    const [first, second] = repository.saved
    expect(first).toEqual({
      id,
      spec: spec(2),
      state: 'pending',
      progress: 0,
      totalChunks: 2,
      completedChunks: 0,
      createdAt: expect.any(Number),
      updatedAt: expect.any(Number),
      metrics: { totalDurationMs: 0 },
      logs: [],
    })
    expect(first.createdAt).toBeGreaterThanOrEqual(before)
    expect(first.updatedAt).toBe(first.createdAt)
    expect(second).toMatchObject({ id, state: 'running', spec: { id: 'film' }, createdAt: first.createdAt })
    await manager.cancelJob(id).catch(() => {})
  }, 15_000)

  it('makes another id each time', async () => {
    captureConsole()
    const manager = new JobManager(new InMemoryJobRepository(), executorOf())
    const ids = await Promise.all(Array.from({ length: 20 }, () => manager.submitJob(spec(1))))
    expect(new Set(ids).size).toBe(20)
    for (const id of ids) await inState(manager, id, 'completed')
  })

  it.each([
    ['rejects', (error) => () => Promise.reject(error)],
    [
      'throws',
      (error) => () => {
        throw error
      },
    ],
  ])('rejects with the very error when the first save %s', async (_, fail) => {
    captureConsole()
    const mine = new Error('disk on fire')
    const executor = executorOf()
    const repository = mockRepository({ save: vi.fn(fail(mine)) })
    expect(await rejection(() => new JobManager(repository, executor).submitJob(spec(1)))).toBe(mine)
    expect([repository.save.mock.calls.length, executor.calls.length]).toEqual([1, 0])
  })

  it.each([
    ['jobSpec', undefined],
    ['jobSpec', 5],
    ['chunks', {}],
    ['chunks', { chunks: 5 }],
  ])('rejects bad arguments with a TypeError that names %s: %j', async (field, job) => {
    const repository = mockRepository()
    const error = await rejection(() => new JobManager(repository, executorOf()).submitJob(job))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(new RegExp(field === 'jobSpec' ? 'spec' : field, 'i'))
    expect(repository.save).not.toHaveBeenCalled()
  })
})

describe('the executor', () => {
  it('is called as a method with the spec, the options, real callbacks and a real signal', async () => {
    captureConsole()
    const executor = executorOf()
    const manager = new JobManager(new InMemoryJobRepository(), executor)
    const stitcher = { stitch() {} }
    const options = { concurrency: 3, jobDir: '/jobs/1', retries: 2, stitcher, outputFile: 'film.mp4', merge: true }
    await inState(manager, await manager.submitJob(spec(2), options), 'completed')
    const [self, job, given] = executor.calls[0]
    expect(self).toBe(executor)
    expect(job).toEqual(spec(2))
    expect(given).toMatchObject(options)
    expect(given.stitcher).toBe(stitcher)
    expect(given.signal).toBeInstanceOf(AbortSignal)
    expect([given.signal.aborted, typeof given.onProgress, typeof given.onChunkComplete]).toEqual([
      false,
      'function',
      'function',
    ])
  })

  it('may return nothing, a value or a promise', async () => {
    captureConsole()
    for (const execute of [() => {}, () => 5, async () => 'x']) {
      const manager = new JobManager(new InMemoryJobRepository(), { execute })
      await inState(manager, await manager.submitJob(spec(1)), 'completed')
    }
  })

  it.each([
    [1, 3, 33],
    [2, 3, 67],
    [1, 8, 13],
    [1, 200, 1],
    [1, 201, 0],
    [5, 5, 100],
  ])('that reports %i of %i makes a progress of %i, saved when the promise resolves', async (done, total, progress) => {
    captureConsole()
    const repository = watchedRepository()
    const seen = []
    const executor = executorOf(async (_, options) => {
      const reported = options.onProgress(done, total)
      expect(typeof reported?.then).toBe('function')
      await reported
      seen.push(await repository.get(id))
    })
    let id
    repository.onSave = (job) => (id = job.id)
    const manager = new JobManager(repository, executor)
    await inState(manager, await manager.submitJob(spec(total)), 'completed')
    expect(seen[0]).toMatchObject({ state: 'running', progress, completedChunks: done })
    expect(await manager.getJob(id)).toMatchObject({ state: 'completed', progress: 100 })
  })

  it('that reports chunks makes logs and metrics, saved when the promise resolves', async () => {
    captureConsole()
    const repository = watchedRepository()
    const seen = []
    let id
    repository.onSave = (job) => (id = job.id)
    const executor = executorOf(async (_, { onChunkComplete }) => {
      await onChunkComplete(7, ok({ durationMs: 12, stdout: 'out', stderr: 'err', own: 'dropped' }))
      seen.push(await repository.get(id))
      await onChunkComplete(8, ok({ durationMs: 30 }))
    })
    const manager = new JobManager(repository, executor)
    const job = await inState(manager, await manager.submitJob(spec(2)), 'completed')
    const first = { chunkId: 7, durationMs: 12, stdout: 'out', stderr: 'err' }
    expect(seen[0]).toMatchObject({ logs: [first], metrics: { totalDurationMs: 12 } })
    expect(job.logs).toEqual([first, { chunkId: 8, durationMs: 30, stdout: '', stderr: '' }])
    expect(job.metrics).toEqual({ totalDurationMs: 42 })
  })
})

describe('a job that fails', () => {
  it.each([
    ['an Error', new Error('no GPU'), 'no GPU'],
    ['text', 'just text', 'just text'],
    ['null', null, 'null'],
    ['undefined', undefined, 'undefined'],
    ['a number', 5, '5'],
  ])('with %s has its message, and prints it with two arguments', async (_, value, error) => {
    const lines = captureConsole()
    const unhandled = captureUnhandled()
    for (const fail of [
      () => Promise.reject(value),
      () => {
        throw value
      },
    ]) {
      lines.length = 0
      const manager = new JobManager(new InMemoryJobRepository(), { execute: fail })
      const id = await manager.submitJob(spec(1))
      expect(await inState(manager, id, 'failed')).toMatchObject({ error, progress: 0 })
      await until(() => lines.length > 0, 'the line')
      expect(lines).toEqual([['error', `Job ${id} failed:`, value]])
    }
    expect(unhandled).toEqual([])
  })

  it('with an AbortError nobody asked for is cancelled', async () => {
    captureConsole()
    const error = Object.assign(new Error('stopped by itself'), { name: 'AbortError' })
    const manager = new JobManager(
      new InMemoryJobRepository(),
      executorOf(() => Promise.reject(error)),
    )
    await inState(manager, await manager.submitJob(spec(1)), 'cancelled')
  })
})

describe('a repository of mocks', () => {
  it('whose records are thin is enough', async () => {
    captureConsole()
    const repository = mockRepository({ get: vi.fn().mockResolvedValue({ state: 'pending' }) })
    const execute = vi.fn().mockResolvedValue(undefined)
    const manager = new JobManager(repository, { execute })
    const id = await manager.submitJob(spec(1))
    await until(() => repository.save.mock.lastCall[0].state === 'completed', 'the final save')
    expect(execute).toHaveBeenCalledTimes(1)
    expect(repository.save).toHaveBeenCalledWith(expect.objectContaining({ id, state: 'running' }))
    expect(repository.save).toHaveBeenLastCalledWith(expect.objectContaining({ state: 'completed', progress: 100 }))
    expect(repository.get).toHaveBeenCalledWith(id)
  })

  it('that has lost the record is not written to again', async () => {
    captureConsole()
    const repository = mockRepository({ get: vi.fn().mockResolvedValue(undefined) })
    const manager = new JobManager(repository, executorOf())
    await manager.submitJob(spec(1))
    await settledJob()
    expect(repository.save.mock.calls.map(([{ state }]) => state)).not.toContain('completed')
  })

  it('answers getJob and listJobs', async () => {
    const job = { id: 'a', state: 'failed', own: [1] }
    const repository = mockRepository({ get: vi.fn(async () => job), list: vi.fn(async () => [job]) })
    const manager = new JobManager(repository, executorOf())
    expect(await manager.getJob('a')).toEqual(job)
    expect(await manager.listJobs()).toEqual([job])
    expect(repository.get.mock.calls).toEqual([['a']])
    expect(repository.list).toHaveBeenCalledTimes(1)
  })

  it.each([
    ['cancelJob', 'pending', 'cancelled'],
    ['cancelJob', 'running', 'cancelled'],
    ['cancelJob', 'paused', 'cancelled'],
    ['cancelJob', 'completed', undefined],
    ['cancelJob', 'failed', undefined],
    ['cancelJob', 'cancelled', undefined],
    ['pauseJob', 'running', 'paused'],
    ['pauseJob', 'paused', undefined],
    ['pauseJob', 'completed', undefined],
    ['pauseJob', 'failed', undefined],
    ['pauseJob', 'cancelled', undefined],
    ['resumeJob', 'running', undefined],
    ['resumeJob', 'completed', undefined],
  ])('%s of a record that is %s saves %s', async (action, state, saved) => {
    const lines = captureConsole()
    const record = { id: 'a', state, spec: spec(1), own: 'field' }
    const repository = mockRepository({ get: vi.fn(async () => ({ ...record })) })
    const executor = executorOf()
    expect(await new JobManager(repository, executor)[action]('a')).toBeUndefined()
    const saves = repository.save.mock.calls.map(([job]) => job)
    if (saved) expect(saves).toEqual([{ ...record, state: saved, updatedAt: expect.any(Number) }])
    else expect(saves).toEqual([])
    expect(lines).toEqual(saved ? [['log', `Job a ${saved}`]] : [])
    expect(executor.calls).toEqual([])
  })

  it.each(['cancelJob', 'pauseJob', 'resumeJob', 'deleteJob'])('%s of an unknown id does nothing', async (action) => {
    const lines = captureConsole()
    const repository = mockRepository()
    const storage = { deleteAssetBundle: vi.fn(), deleteJobSpec: vi.fn() }
    expect(await new JobManager(repository, executorOf(), storage)[action]('nobody')).toBeUndefined()
    expect([repository.save.mock.calls, storage.deleteAssetBundle.mock.calls, lines]).toEqual([[], [], []])
  })
})

describe('saves', () => {
  it('of one job never overlap, go forward only, fold what arrives meanwhile, and lose nothing', async () => {
    captureConsole()
    const repository = watchedRepository({ pause: 15 })
    const manager = new JobManager(repository, new JobExecutor(adapterOf(({ args }) => ok({ stdout: args[0] }))))
    const id = await manager.submitJob(spec(200), { concurrency: 8 })
    const job = await inState(manager, id, 'completed')
    expect(job.logs.map(({ chunkId }) => chunkId).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 200 }, (_, i) => i + 1),
    )
    expect(repository.most).toBe(1)
    const counts = repository.saved.map(({ completedChunks }) => completedChunks)
    expect(counts).toEqual(counts.toSorted((a, b) => a - b))
    expect(repository.saved.length).toBeLessThan(120)
    expect(repository.saved.map(({ state }) => state).filter((s, i, all) => s !== all[i - 1])).toEqual([
      'pending',
      'running',
      'completed',
    ])
  })

  it('do not bring back a record that was deleted behind the back', async () => {
    captureConsole()
    const repository = new InMemoryJobRepository()
    const merged = gate()
    const mergeAdapter = adapterOf(async () => {
      const [{ id }] = await repository.list()
      await until(async () => (await repository.get(id)).completedChunks === 2, 'the last progress')
      await repository.delete(id)
      merged.open()
      return ok()
    })
    const manager = new JobManager(repository, new JobExecutor(adapterOf()))
    await manager.submitJob(spec(2, { mergeCommand: 'merge' }), { mergeAdapter })
    await merged.promise
    await settledJob()
    expect(await repository.list()).toEqual([])
  })

  it.for([
    ['deleted', undefined],
    ['edited', { mine: 'new', state: 'completed', completedChunks: 5 }],
  ])('in a folder keep it %s when that was done behind the back', async ([how, record]) => {
    captureConsole()
    const repository = new FileJobRepository(tempFolder())
    const done = gate()
    const adapter = adapterOf(async (job, call) => {
      if (call === 3) {
        const [job] = await repository.list()
        await (how === 'deleted' ? repository.delete(job.id) : repository.save({ ...job, mine: 'new' }))
      }
      if (call === 5) done.open()
      return ok()
    })
    const manager = new JobManager(repository, new JobExecutor(adapter))
    const id = await manager.submitJob(spec(5))
    await done.promise
    const expected = record ? expect.objectContaining(record) : undefined
    expect(await manager.waitForJob(id)).toEqual(expected)
    await settledJob()
    expect(await manager.getJob(id)).toEqual(expected)
  })

  it('leave fields of the user’s alone that only have the names of ours', async () => {
    captureConsole()
    const theirs = { phase: new Date(0), error: { code: 1 }, manager: { name: 'Ada' }, options: new Map() }
    const records = new InMemoryJobRepository()
    const repository = watchedRepository({ records })
    repository.get = async (id) => ({ ...(await records.get(id)), ...theirs })
    const manager = new JobManager(repository, new JobExecutor(adapterOf()))
    const id = await manager.submitJob(spec(2))
    await manager.waitForJob(id)
    expect(repository.saved.at(-1)).toMatchObject({ state: 'completed', ...theirs })
  })
})

describe('what belongs to the caller', () => {
  it('is never changed', async () => {
    captureConsole()
    const job = deepFreeze(spec(2, { own: { list: [1] } }))
    const options = deepFreeze({ jobDir: '/jobs/1', retries: 1, meta: { own: { a: 1 } }, completedChunkIds: [] })
    const before = JSON.stringify([job, options])
    const storage = { uploadAssetBundle: async () => 's3://a', uploadJobSpec: async () => 's3://a/job.json' }
    const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(adapterOf()), storage)
    await inState(manager, await manager.submitJob(job, options), 'completed')
    expect(JSON.stringify([job, options])).toBe(before)
  })

  it('is used: callbacks, with the same arguments', async () => {
    captureConsole()
    const seen = []
    const note =
      (name) =>
      (...args) =>
        void seen.push([name, ...args])
    const result = ok({ stdout: 'x' })
    const adapter = adapterOf((job) => {
      job.onStdout('out')
      job.onStderr('err')
      return result
    })
    const names = ['onChunkStdout', 'onChunkStderr', 'onProgress', 'onChunkComplete']
    const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(adapter))
    const options = Object.fromEntries(names.map((name) => [name, note(name)]))
    await inState(manager, await manager.submitJob(spec(1), options), 'completed')
    const expected = [
      [1, 'out'],
      [1, 'err'],
      [1, 1],
      [1, result],
    ]
    expect(seen).toEqual(names.map((name, i) => [name, ...expected[i]]))
    expect(seen[3][2]).toBe(result)
  })

  it('is used: the signal ends the job as cancelled', async () => {
    const lines = captureConsole()
    const control = new AbortController()
    const adapter = adapterOf((job) => new Promise((_, reject) => job.signal.addEventListener('abort', reject)))
    const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(adapter))
    const id = await manager.submitJob(spec(2), { signal: control.signal })
    await until(() => adapter.calls.length === 1, 'the chunk')
    control.abort()
    await inState(manager, id, 'cancelled')
    expect(printed(lines, 'error')).toEqual([])
  })

  it('is used: a signal that was aborted before', async () => {
    captureConsole()
    const adapter = adapterOf()
    const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(adapter))
    await inState(manager, await manager.submitJob(spec(2), { signal: AbortSignal.abort() }), 'cancelled')
    expect(adapter.calls).toEqual([])
  })
})
