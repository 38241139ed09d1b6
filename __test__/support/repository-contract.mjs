// What every job repository must do: by itself, and under a JobManager.
import { describe, expect, it, vi } from 'vitest'
import { JobExecutor, JobManager } from '../../index.js'
import { captureConsole } from './console.mjs'
import { adapterOf, ok, spec } from './jobs.mjs'
import { until } from './wait.mjs'

export const record = (id, extra) => ({
  id,
  spec: spec(2),
  state: 'pending',
  progress: 0,
  totalChunks: 2,
  completedChunks: 0,
  createdAt: 1000,
  updatedAt: 1000,
  metrics: { totalDurationMs: 0 },
  logs: [],
  ...extra,
})

const byId = (a, b) => (a.id < b.id ? -1 : 1)

export function repositoryContract(name, make) {
  describe(`${name}, as a job repository`, () => {
    it('gives back what was saved, unknown fields included', async () => {
      const repository = make()
      const job = record('a', { spec: spec([{ id: 7, own: { deep: [1, null, 'ü'] } }], { own: true }), own: 'field' })
      expect(await repository.save(job)).toBeUndefined()
      expect(await repository.get('a')).toEqual(job)
    })

    it('knows nothing of an id never saved', async () => {
      const repository = make()
      expect(await repository.get('nobody')).toBeUndefined()
      expect(await repository.list()).toEqual([])
      expect(await repository.delete('nobody')).toBeUndefined()
    })

    it('replaces a record that is saved again', async () => {
      const repository = make()
      await repository.save(record('a'))
      await repository.save(record('a', { state: 'running', logs: [{ chunkId: 1 }] }))
      await repository.save(record('a', { state: 'completed', logs: [] }))
      expect(await repository.get('a')).toEqual(record('a', { state: 'completed', logs: [] }))
      expect(await repository.list()).toHaveLength(1)
    })

    it('lists all records', async () => {
      const repository = make()
      const jobs = ['a', 'b', 'c'].map((id, i) => record(id, { createdAt: i }))
      await Promise.all(jobs.map((job) => repository.save(job)))
      expect((await repository.list()).sort(byId)).toEqual(jobs)
    })

    it('deletes one record, and only that', async () => {
      const repository = make()
      await Promise.all(['a', 'b'].map((id) => repository.save(record(id))))
      expect(await repository.delete('a')).toBeUndefined()
      expect(await repository.get('a')).toBeUndefined()
      expect(await repository.list()).toEqual([record('b')])
    })

    it('hands out copies', async () => {
      const repository = make()
      const job = record('a')
      await repository.save(job)
      job.spec.chunks[0].command = 'changed'
      const first = await repository.get('a')
      expect(first).toEqual(record('a'))
      first.spec.chunks.length = 0
      ;(await repository.list())[0].logs.push('x')
      expect(await repository.get('a')).toEqual(record('a'))
    })

    it('keeps a managed job, from pending to completed', async () => {
      captureConsole()
      const repository = make()
      const save = vi.spyOn(repository, 'save')
      const adapter = adapterOf((job) => ok({ stdout: job.args[0], durationMs: 5 }))
      const manager = new JobManager(repository, new JobExecutor(adapter))
      const id = await manager.submitJob(spec(3), { concurrency: 2 })
      await until(async () => (await repository.get(id)).state === 'completed', 'the job to complete')
      const job = await repository.get(id)
      expect(job).toMatchObject({
        id,
        spec: spec(3),
        state: 'completed',
        progress: 100,
        totalChunks: 3,
        completedChunks: 3,
        createdAt: expect.any(Number),
        updatedAt: expect.any(Number),
        metrics: { totalDurationMs: 15 },
        logs: expect.any(Array),
      })
      const log = (n) => ({ chunkId: n, durationMs: 5, stdout: String(n), stderr: '' })
      expect(job.logs.sort((a, b) => a.chunkId - b.chunkId)).toEqual([1, 2, 3].map(log))
      expect(save.mock.calls[0][0]).toMatchObject({ id, state: 'pending' })
      expect(save.mock.contexts.every((self) => self === repository)).toBe(true)
    })

    it('forgets a managed job that is deleted', async () => {
      captureConsole()
      const repository = make()
      const manager = new JobManager(repository, new JobExecutor(adapterOf()))
      const id = await manager.submitJob(spec(1))
      await manager.deleteJob(id)
      expect(await manager.getJob(id)).toBeUndefined()
      expect(await manager.listJobs()).toEqual([])
    })
  })
}
