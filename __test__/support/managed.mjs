// Repositories and executors to watch a JobManager through, and ways to wait for its jobs.
import { setTimeout as pause } from 'node:timers/promises'
import { vi } from 'vitest'
import { InMemoryJobRepository, JobExecutor, JobManager } from '../../index.js'
import { adapterOf, spec } from './jobs.mjs'
import { until } from './wait.mjs'

/** Resolves with the job as soon as it is in `state`. */
export const inState = (manager, id, state, ms) =>
  until(
    async () => {
      const job = await manager.getJob(id)
      return job?.state === state && job
    },
    `state ${state} of job ${id}`,
    ms,
  )

/** Resolves when another job, submitted now, has gone all its way: what was on its way before has long happened. */
export async function settledJob(manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(adapterOf()))) {
  const id = await manager.submitJob(spec(3), { retries: 0 })
  await until(async () => /completed|failed/.test((await manager.getJob(id))?.state), 'another job to end')
  return id
}

/** A repository of `vi.fn` mocks, as people write them in their tests. */
export const mockRepository = (methods) => ({
  save: vi.fn().mockResolvedValue(undefined),
  get: vi.fn().mockResolvedValue(undefined),
  list: vi.fn().mockResolvedValue([]),
  delete: vi.fn().mockResolvedValue(undefined),
  ...methods,
})

/** A plain executor whose `execute` is `run`; `calls` are `[this, spec, options]`. */
export function executorOf(run = async () => {}) {
  const executor = {
    calls: [],
    execute(...args) {
      executor.calls.push([this, ...args])
      return run(...args)
    },
  }
  return executor
}

/** A plain repository that keeps every save in `saved`, takes `pause` ms for each and counts how many run at once. */
export function watchedRepository({ pause: ms = 0, records = new InMemoryJobRepository() } = {}) {
  let active = 0
  const repository = {
    saved: [],
    most: 0,
    onSave: () => {},
    async save(job) {
      repository.saved.push(structuredClone(job))
      repository.most = Math.max(repository.most, ++active)
      try {
        await repository.onSave(job, repository.saved.length)
        if (ms) await pause(ms)
        await records.save(job)
      } finally {
        active -= 1
      }
    },
    get: (id) => records.get(id),
    list: () => records.list(),
    delete: (id) => records.delete(id),
  }
  return repository
}
