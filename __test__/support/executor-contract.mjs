// What every executor must do, seen through a JobManager.
import { describe, expect, it } from 'vitest'
import { InMemoryJobRepository, JobManager } from '../../index.js'
import { captureConsole, printed } from './console.mjs'
import { adapterOf, exit, gatedAdapter, ok, spec } from './jobs.mjs'
import { until } from './wait.mjs'

/** `make(adapter)` gives an executor that runs its chunks with the adapter. */
export function executorContract(name, make) {
  describe(`${name}, as an executor`, () => {
    const manage = (adapter) => new JobManager(new InMemoryJobRepository(), make(adapter))
    const inState = (manager, id, state) =>
      until(async () => {
        const job = await manager.getJob(id)
        return job.state === state && job
      }, `state ${state}`)

    it('completes a job, with progress, logs and metrics', async () => {
      captureConsole()
      const manager = manage(adapterOf((job) => ok({ stdout: job.args[0], stderr: 'e', durationMs: 3 })))
      const id = await manager.submitJob(spec(2))
      expect(await inState(manager, id, 'completed')).toMatchObject({
        progress: 100,
        completedChunks: 2,
        metrics: { totalDurationMs: 6 },
        logs: [1, 2].map((n) => ({ chunkId: n, durationMs: 3, stdout: String(n), stderr: 'e' })),
      })
    })

    it('fails a job, with the message', async () => {
      const lines = captureConsole()
      const manager = manage(adapterOf((job) => (job.meta.chunkId === 2 ? exit(5, 'broken') : ok())))
      const id = await manager.submitJob(spec(3))
      const job = await inState(manager, id, 'failed')
      expect(job.error).toBe('Chunk 2 failed after 1 attempts: Chunk 2 failed with exit code 5: broken')
      expect(job.completedChunks).toBe(1)
      expect(job.logs.map(({ chunkId }) => chunkId)).toEqual([1])
      expect(printed(lines, 'error')).toContain(`Job ${id} failed: Error: ${job.error}`)
    })

    it('is aborted by cancel', async () => {
      captureConsole()
      const adapter = gatedAdapter()
      const manager = manage(adapter)
      const id = await manager.submitJob(spec(3))
      await until(() => adapter.active === 1, 'the first chunk')
      await manager.cancelJob(id)
      expect(adapter.active).toBe(0)
      expect((await manager.getJob(id)).state).toBe('cancelled')
      expect(adapter.started).toEqual([1])
    })

    it('continues after pause and resume where it stopped', async () => {
      captureConsole()
      const calls = []
      const gated = gatedAdapter()
      const adapter = adapterOf((job) => {
        calls.push(job.meta.chunkId)
        return job.meta.chunkId === 2 ? gated.execute(job) : ok()
      })
      const manager = manage(adapter)
      const id = await manager.submitJob(spec(3))
      await until(() => gated.active === 1, 'the second chunk')
      await manager.pauseJob(id)
      expect(await manager.getJob(id)).toMatchObject({ state: 'paused', completedChunks: 1, progress: 33 })
      gated.release()
      await manager.resumeJob(id)
      const job = await inState(manager, id, 'completed')
      expect(calls).toEqual([1, 2, 2, 3])
      expect(job.logs.map(({ chunkId }) => chunkId)).toEqual([1, 2, 3])
    })
  })
}
