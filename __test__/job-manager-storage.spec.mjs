// JobManager with an artifact storage: uploads before the chunks, deletions with the job.
import { describe, expect, it, vi } from 'vitest'
import { InMemoryJobRepository, JobExecutor, JobManager } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { adapterOf, ok, spec } from './support/jobs.mjs'
import { executorOf, inState, mockRepository, watchedRepository } from './support/managed.mjs'
import { until } from './support/wait.mjs'

/** A plain storage whose calls are kept, in order, as `[method, ...arguments]`. */
function storageOf(methods) {
  const storage = { calls: [], self: [] }
  const own = {
    uploadAssetBundle: async () => 's3://bucket/assets',
    uploadJobSpec: async () => 's3://bucket/job.json',
    deleteAssetBundle: async () => {},
    deleteJobSpec: async () => {},
    downloadAssetBundle: async () => {},
    ...methods,
  }
  for (const [name, method] of Object.entries(own)) {
    storage[name] = function (...args) {
      storage.calls.push([name, ...structuredClone(args)])
      storage.self.push(this === storage)
      return method(...args)
    }
  }
  return storage
}

const start = async (storage, options, { adapter = adapterOf(), job = spec(1) } = {}) => {
  const repository = watchedRepository()
  const manager = new JobManager(repository, new JobExecutor(adapter), storage)
  const id = await manager.submitJob(job, options)
  return { repository, manager, id, adapter }
}

describe('a job with a storage and a job folder', () => {
  it('is uploaded, bundle first, and its URLs go where they belong', async () => {
    captureConsole()
    const storage = storageOf()
    const job = spec(1, { assetsUrl: 'old://url', own: 1 })
    const { manager, id, adapter } = await start(storage, { jobDir: '/jobs/1', meta: { own: 2 } }, { job })
    const record = await inState(manager, id, 'completed')
    const uploaded = { ...job, assetsUrl: 's3://bucket/assets' }
    expect(storage.calls).toEqual([
      ['uploadAssetBundle', id, '/jobs/1'],
      ['uploadJobSpec', id, uploaded],
    ])
    expect(storage.self).toEqual([true, true])
    expect(record.spec).toEqual(uploaded)
    expect(record.meta).toMatchObject({ jobDefUrl: 's3://bucket/job.json' })
    expect(adapter.calls[0].meta).toMatchObject({ jobDefUrl: 's3://bucket/job.json', own: 2, chunkId: 1 })
    expect(job.assetsUrl).toBe('old://url')
  })

  it.each([undefined, null])('has no URLs where the storage gives none (%s)', async (none) => {
    captureConsole()
    const storage = storageOf({ uploadAssetBundle: () => none, uploadJobSpec: () => none })
    const { manager, id, adapter } = await start(storage, { jobDir: '/jobs/1' })
    const record = await inState(manager, id, 'completed')
    expect(record.spec.assetsUrl).toBeUndefined()
    expect(record.meta?.jobDefUrl).toBeUndefined()
    expect(adapter.calls[0].meta.jobDefUrl).toBeUndefined()
    await manager.deleteJob(id)
    expect(storage.calls.map(([name]) => name)).toEqual(['uploadAssetBundle', 'uploadJobSpec'])
  })

  it('hands the URLs to a plain executor', async () => {
    captureConsole()
    const executor = executorOf()
    const manager = new JobManager(new InMemoryJobRepository(), executor, storageOf())
    await inState(manager, await manager.submitJob(spec(1), { jobDir: '/jobs/1' }), 'completed')
    const [, job, options] = executor.calls[0]
    expect(job.assetsUrl).toBe('s3://bucket/assets')
    expect(options).toMatchObject({ jobDir: '/jobs/1', meta: { jobDefUrl: 's3://bucket/job.json' } })
  })

  it('starts no chunk before it is uploaded', async () => {
    captureConsole()
    const order = []
    const slow = (name) => async () => {
      for (let i = 0; i < 5; i += 1) await new Promise(setImmediate)
      order.push(name)
      return `s3://${name}`
    }
    const storage = storageOf({ uploadAssetBundle: slow('bundle'), uploadJobSpec: slow('spec') })
    const adapter = adapterOf(() => (order.push('chunk'), ok()))
    const { manager, id } = await start(storage, { jobDir: '/jobs/1' }, { adapter })
    await inState(manager, id, 'completed')
    expect(order).toEqual(['bundle', 'spec', 'chunk'])
  })

  it.each([
    ['the bundle', 'uploadAssetBundle', new Error('no space'), 'no space'],
    ['the spec', 'uploadJobSpec', new Error('no access'), 'no access'],
    ['the bundle, by no Error', 'uploadAssetBundle', 'text', 'text'],
  ])('fails when the upload of %s fails', async (_, name, value, message) => {
    const lines = captureConsole()
    for (const fail of [
      () => Promise.reject(value),
      () => {
        throw value
      },
    ]) {
      lines.length = 0
      const storage = storageOf({ [name]: fail })
      const { manager, id, adapter } = await start(storage, { jobDir: '/jobs/1' })
      const record = await inState(manager, id, 'failed')
      expect(record.error).toBe(`Asset/Spec upload failed: ${message}`)
      await until(() => lines.length > 0, 'the line')
      expect(lines[0]).toEqual(['error', `Job ${id} failed to upload assets/spec:`, value])
      expect(adapter.calls).toEqual([])
    }
  })
})

describe('nothing is uploaded', () => {
  it.each([
    ['without a job folder', () => storageOf(), {}],
    ['without a storage', () => undefined, { jobDir: '/jobs/1' }],
  ])('%s', async (_, make, options) => {
    captureConsole()
    const storage = make()
    const { manager, id, adapter } = await start(storage, options)
    const record = await inState(manager, id, 'completed')
    expect([storage?.calls ?? [], record.spec, 'jobDefUrl' in adapter.calls[0].meta]).toEqual([[], spec(1), false])
  })
})

describe('deleteJob', () => {
  it('deletes bundle, spec and record, in this order', async () => {
    captureConsole()
    const storage = storageOf()
    const { manager, id, repository } = await start(storage, { jobDir: '/jobs/1' })
    await inState(manager, id, 'completed')
    repository.delete = vi.fn(repository.delete)
    storage.deleteJobSpec = vi.fn(storage.deleteJobSpec)
    await manager.deleteJob(id)
    expect(storage.calls.slice(2)).toEqual([
      ['deleteAssetBundle', id, 's3://bucket/assets'],
      ['deleteJobSpec', id, 's3://bucket/job.json'],
    ])
    expect(repository.delete.mock.calls).toEqual([[id]])
    const [spec] = storage.deleteJobSpec.mock.invocationCallOrder
    expect(repository.delete.mock.invocationCallOrder[0]).toBeGreaterThan(spec)
    expect(await manager.getJob(id)).toBeUndefined()
  })

  it.each([
    ['both', { spec: { assetsUrl: 'u://1' }, meta: { jobDefUrl: 'u://2' } }, ['u://1', 'u://2']],
    ['the assets the user named', { spec: { assetsUrl: 'u://1' } }, ['u://1']],
    ['the spec', { spec: {}, meta: { jobDefUrl: 'u://2' } }, ['u://2']],
    ['nothing', { spec: {}, meta: { own: 1 } }, []],
    ['nothing of a thin record', {}, []],
  ])('deletes what a record tells of: %s', async (_, record, urls) => {
    captureConsole()
    const storage = storageOf()
    const repository = mockRepository({ get: vi.fn(async () => ({ id: 'a', state: 'completed', ...record })) })
    await new JobManager(repository, executorOf(), storage).deleteJob('a')
    expect(storage.calls.map(([, id, url]) => [id, url])).toEqual(urls.map((url) => ['a', url]))
    expect(repository.delete.mock.calls).toEqual([['a']])
  })

  it('only prints what the storage cannot delete', async () => {
    const lines = captureConsole()
    const [one, two] = [new Error('one'), 'two']
    const storage = storageOf({
      deleteAssetBundle: () => Promise.reject(one),
      deleteJobSpec() {
        throw two
      },
    })
    const record = { id: 'a', state: 'failed', spec: { assetsUrl: 'u://1' }, meta: { jobDefUrl: 'u://2' } }
    const repository = mockRepository({ get: vi.fn(async () => record) })
    await new JobManager(repository, executorOf(), storage).deleteJob('a')
    expect(lines).toEqual([
      ['error', 'Failed to delete assets for job a:', one],
      ['error', 'Failed to delete job spec for job a:', two],
    ])
    expect(repository.delete.mock.calls).toEqual([['a']])
  })

  it('needs no storage', async () => {
    captureConsole()
    const { manager, id, repository } = await start(undefined, {}, { job: spec(1, { assetsUrl: 'u://1' }) })
    await inState(manager, id, 'completed')
    await manager.deleteJob(id)
    expect(await repository.list()).toEqual([])
  })

  it('cancels a running job first', async () => {
    const lines = captureConsole()
    const storage = storageOf()
    const adapter = adapterOf(({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', reject)))
    const { manager, id, repository } = await start(storage, { jobDir: '/jobs/1' }, { adapter, job: spec(3) })
    await until(() => adapter.calls.length === 1, 'the chunk')
    await manager.deleteJob(id)
    expect([adapter.calls.length, await repository.list()]).toEqual([1, []])
    expect(storage.calls.map(([name]) => name).slice(2)).toEqual(['deleteAssetBundle', 'deleteJobSpec'])
    expect(lines.filter(([level]) => level === 'error')).toEqual([])
  })

  it('rejects when the record cannot be deleted', async () => {
    captureConsole()
    const mine = new Error('read only')
    const repository = mockRepository({
      get: vi.fn(async () => ({ id: 'a', state: 'completed' })),
      delete: vi.fn().mockRejectedValue(mine),
    })
    await expect(new JobManager(repository, executorOf()).deleteJob('a')).rejects.toBe(mine)
  })
})
