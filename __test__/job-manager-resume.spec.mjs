// JobManager: what pause leaves and resume takes up again.
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { FileJobRepository, InMemoryJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole, captureUnhandled, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, chunk, exit, gatedAdapter, ok, spec } from './support/jobs.mjs'
import { executorOf, inState, watchedRepository } from './support/managed.mjs'
import { until } from './support/wait.mjs'

const paused = (extra) => ({
  id: 'a',
  spec: spec(3),
  state: 'paused',
  progress: 33,
  totalChunks: 3,
  completedChunks: 1,
  createdAt: 1,
  updatedAt: 1,
  metrics: { totalDurationMs: 4 },
  logs: [{ chunkId: 2, durationMs: 4, stdout: '', stderr: '' }],
  ...extra,
})

/** A repository that holds one record. */
async function holding(record, repository = new InMemoryJobRepository()) {
  await repository.save(record)
  return repository
}

/** Submits a job whose chunk 2 waits, and pauses it there. */
async function pausedAtTwo(options, { storage, job = spec(3), repository = new InMemoryJobRepository() } = {}) {
  const gated = gatedAdapter()
  const adapter = adapterOf((one) => (one.meta?.chunkId === 2 ? gated.execute(one) : ok({ durationMs: 2 })))
  const manager = new JobManager(repository, new JobExecutor(adapter), storage)
  const id = await manager.submitJob(job, options)
  await until(() => gated.active === 1, 'the second chunk')
  await manager.pauseJob(id)
  gated.release()
  return { manager, id, adapter, repository, ran: () => adapter.calls.map(({ meta }) => meta?.chunkId ?? 'merge') }
}

describe('pauseJob', () => {
  it('stops the work, keeps what is done and says so', async () => {
    const lines = captureConsole()
    const { manager, id, ran } = await pausedAtTwo()
    expect(await manager.getJob(id)).toMatchObject({ state: 'paused', completedChunks: 1, progress: 33 })
    expect((await manager.getJob(id)).logs.map(({ chunkId }) => chunkId)).toEqual([1])
    expect(ran()).toEqual([1, 2])
    expect(lines.at(-1)).toEqual(['log', `Job ${id} paused`])
    expect(printed(lines, 'error')).toEqual([])
  })
})

describe('resumeJob', () => {
  it('runs what is not recorded as done, and nothing twice', async () => {
    captureConsole()
    const { manager, id, ran } = await pausedAtTwo()
    await manager.resumeJob(id)
    const record = await inState(manager, id, 'completed')
    expect(ran()).toEqual([1, 2, 2, 3])
    expect(record).toMatchObject({ progress: 100, completedChunks: 3, totalChunks: 3 })
    expect(record.logs.map(({ chunkId }) => chunkId)).toEqual([1, 2, 3])
    expect(record.metrics.totalDurationMs).toBe(record.logs.reduce((sum, { durationMs }) => sum + durationMs, 0))
  })

  it('tells a plain executor which chunks are done', async () => {
    captureConsole()
    const executor = executorOf()
    const manager = new JobManager(await holding(paused()), executor)
    await manager.resumeJob('a', { jobDir: '/jobs/1' })
    await inState(manager, 'a', 'completed')
    const [, job, options] = executor.calls[0]
    expect(job).toEqual(spec(3))
    expect(options).toMatchObject({ completedChunkIds: [2], jobDir: '/jobs/1' })
    expect(options.signal).toBeInstanceOf(AbortSignal)
  })

  it('uses the options of submitJob, each replaced where a new one is given', async () => {
    captureConsole()
    const jobDir = tempFolder()
    const [first, second] = [[], []]
    const note = (list) => (done) => void list.push(done)
    const { manager, id, adapter } = await pausedAtTwo({ jobDir, meta: { own: 1 }, onProgress: note(first) })
    await manager.resumeJob(id, { onProgress: note(second) })
    await inState(manager, id, 'completed')
    expect([first, second]).toEqual([[1], [2, 3]])
    expect(adapter.calls.map(({ cwd, meta }) => [cwd, meta.own])).toEqual(Array(4).fill([jobDir, 1]))
  })

  it('may get another job folder, merge and adapter', async () => {
    captureConsole()
    const mergeAdapter = adapterOf()
    const job = spec(3, { mergeCommand: 'merge' })
    const { manager, id, ran } = await pausedAtTwo({ jobDir: '/jobs/1', merge: false }, { job })
    await manager.resumeJob(id, { jobDir: '/jobs/2', merge: true, mergeAdapter })
    await inState(manager, id, 'completed')
    expect(mergeAdapter.calls.map(({ command, cwd }) => [command, cwd])).toEqual([['merge', '/jobs/2']])
    expect(ran()).toEqual([1, 2, 2, 3])
  })

  it('works on a record of another process, with a new manager', async () => {
    captureConsole()
    const dir = tempFolder()
    const { id } = await pausedAtTwo({}, { repository: new FileJobRepository(dir) })
    const adapter = adapterOf()
    const manager = new JobManager(new FileJobRepository(dir), new JobExecutor(adapter))
    await manager.resumeJob(id, { concurrency: 2 })
    const record = await inState(manager, id, 'completed')
    expect(adapter.calls.map(({ meta }) => meta.chunkId)).toEqual([2, 3])
    expect(record.logs.map(({ chunkId }) => chunkId).sort()).toEqual([1, 2, 3])
  })

  it('works on a record the user has edited after the end', async () => {
    captureConsole()
    const repository = new InMemoryJobRepository()
    const adapter = adapterOf()
    const manager = new JobManager(repository, new JobExecutor(adapter))
    const id = await manager.submitJob(spec(3))
    const record = await inState(manager, id, 'completed')
    const logs = record.logs.filter(({ chunkId }) => chunkId !== 2)
    await until(async () => {
      await repository.save({ ...record, state: 'paused', logs, own: 'note' })
      await manager.resumeJob(id)
      return adapter.calls.length > 3
    }, 'the resumed run')
    expect(await inState(manager, id, 'completed')).toMatchObject({ own: 'note', completedChunks: 3 })
    expect(adapter.calls.map(({ meta }) => meta.chunkId)).toEqual([1, 2, 3, 2])
  })

  it('works on a thin record', async () => {
    captureConsole()
    const manager = new JobManager(
      await holding({ id: 'a', state: 'paused', spec: { chunks: [chunk(1)] } }),
      executorOf(),
    )
    await manager.resumeJob('a')
    expect(await inState(manager, 'a', 'completed')).toMatchObject({ progress: 100 })
  })

  it('uploads nothing again, and passes the URLs on', async () => {
    captureConsole()
    const storage = {
      uploadAssetBundle: vi.fn(async () => 's3://assets'),
      uploadJobSpec: vi.fn(async () => 's3://job.json'),
    }
    const { manager, id, adapter } = await pausedAtTwo({ jobDir: '/jobs/1' }, { storage })
    await manager.resumeJob(id)
    const record = await inState(manager, id, 'completed')
    expect([storage.uploadAssetBundle.mock.calls.length, storage.uploadJobSpec.mock.calls.length]).toEqual([1, 1])
    expect(adapter.calls.map(({ meta }) => meta.jobDefUrl)).toEqual(Array(4).fill('s3://job.json'))
    expect(record).toMatchObject({ spec: { assetsUrl: 's3://assets' }, meta: { jobDefUrl: 's3://job.json' } })
  })

  it('twice runs once', async () => {
    captureConsole()
    const { manager, id, ran } = await pausedAtTwo()
    await Promise.all([manager.resumeJob(id), manager.resumeJob(id)])
    await manager.resumeJob(id)
    await inState(manager, id, 'completed')
    expect(ran()).toEqual([1, 2, 2, 3])
  })

  it('right after pauseJob waits for the old run', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(gated))
    const id = await manager.submitJob(spec(2))
    for (let round = 0; round < 5; round += 1) {
      await until(() => gated.active === 1, 'the chunk')
      await Promise.all([manager.pauseJob(id), manager.resumeJob(id)])
    }
    await until(() => gated.active === 1, 'the chunk')
    gated.release()
    await inState(manager, id, 'completed')
    expect([gated.most, gated.started]).toEqual([1, [1, 1, 1, 1, 1, 1, 2]])
  })

  it('as soon as the record says failed goes on, although its save has not ended', async () => {
    captureConsole()
    const records = new InMemoryJobRepository()
    let [broken, seen, stored] = [true, () => {}, () => {}]
    const repository = watchedRepository({ records })
    const [isSeen, isStored] = [new Promise((go) => (seen = go)), new Promise((go) => (stored = go))]
    repository.onSave = async (job) => {
      if (job.state !== 'failed') return
      await records.save(job)
      seen()
      await isStored
    }
    const adapter = adapterOf(() => (broken ? exit(1) : ok()))
    const manager = new JobManager(repository, new JobExecutor(adapter))
    const id = await manager.submitJob(spec(1))
    await isSeen
    expect((await manager.getJob(id)).state).toBe('failed')
    broken = false
    const resumed = manager.resumeJob(id)
    stored()
    await resumed
    expect(await manager.waitForJob(id)).toMatchObject({ state: 'completed' })
    expect(adapter.calls).toHaveLength(2)
  })

  it('has it in its file when it resolves', async () => {
    captureConsole()
    const dir = tempFolder()
    const gated = gatedAdapter()
    const manager = new JobManager(new FileJobRepository(dir), new JobExecutor(gated))
    const id = await manager.submitJob(spec(1))
    for (let round = 0; round < 5; round += 1) {
      await until(() => gated.active === 1, 'the chunk')
      await manager.pauseJob(id)
      await manager.resumeJob(id)
      expect(JSON.parse(readFileSync(join(dir, `${id}.json`), 'utf8')).state).toBe('running')
    }
    gated.release()
    await manager.waitForJob(id)
  })

  it('that fails in the background is printed', async () => {
    const lines = captureConsole()
    const unhandled = captureUnhandled()
    const mine = new Error('cannot read')
    const repository = watchedRepository()
    await repository.save(paused())
    const { get } = repository
    let reads = 0
    repository.get = (id) => ((reads += 1) === 2 ? Promise.reject(mine) : get(id))
    const manager = new JobManager(repository, executorOf())
    await manager.resumeJob('a').catch(() => {})
    await until(() => lines.length > 0, 'the line')
    expect(lines[0]).toEqual(['error', 'Unhandled error resuming job a:', mine])
    expect(unhandled).toEqual([])
  })
})

describe('the files of chunks that are done', () => {
  /** Three chunks, each writing its file and a line into `runs`; the second waits for `go`, as long as there is a folder. */
  async function rendered({ writes = true } = {}) {
    const jobDir = tempFolder()
    const command = (id) => {
      const wait = id === 2 ? 'while [ -e runs ] && [ ! -e go ]; do sleep 0.01; done; ' : ''
      return `sh -c "echo ${id} >> runs; ${wait}${writes ? `echo video ${id} > chunk-${id}.mp4` : 'true'}"`
    }
    const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor(new LocalWorkerAdapter()))
    const job = spec([1, 2, 3].map((id) => chunk(id, { command: command(id) })))
    const id = await manager.submitJob(job, { jobDir })
    const runs = () => readFileSync(join(jobDir, 'runs'), 'utf8').trim().split('\n')
    await until(async () => (await manager.getJob(id)).completedChunks === 1 && runs().length === 2, 'the second chunk')
    await manager.pauseJob(id)
    writeFileSync(join(jobDir, 'go'), '')
    const resume = async () => {
      await manager.resumeJob(id)
      const record = await inState(manager, id, 'completed')
      expect(record.logs.map(({ chunkId }) => chunkId).sort()).toEqual([1, 2, 3])
      return runs()
    }
    return { file: join(jobDir, 'chunk-1.mp4'), resume }
  }

  it('count when they are as they were', async () => {
    captureConsole()
    const { resume } = await rendered()
    expect(await resume()).toEqual(['1', '2', '2', '3'])
  })

  it.each([
    ['vanished', rmSync],
    ['grown', (file) => appendFileSync(file, 'more')],
    ['emptied', (file) => writeFileSync(file, '')],
  ])('are rendered again when they have %s', async (_, change) => {
    captureConsole()
    const { file, resume } = await rendered()
    change(file)
    expect(await resume()).toEqual(['1', '2', '1', '2', '3'])
    expect(readFileSync(file, 'utf8')).toBe('video 1\n')
  })

  it('need not exist where the commands never wrote any', async () => {
    captureConsole()
    const { resume } = await rendered({ writes: false })
    expect(await resume()).toEqual(['1', '2', '2', '3'])
  })
})
