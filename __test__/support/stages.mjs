// A managed job on disk, held at a chosen phase: what the control tests act upon.
import { readdirSync } from 'node:fs'
import { FileJobRepository, JobExecutor, JobManager } from '../../index.js'
import { printed } from './console.mjs'
import { tempFolder } from './files.mjs'
import { adapterOf, exit, gatedAdapter, ok, spec } from './jobs.mjs'
import { gate, until } from './wait.mjs'

export const PHASES = ['before the start', 'in the upload', 'in a chunk', 'in the retry delay', 'in the merge']

/** Brings a job of two chunks to `phase`. `lines` are the captured lines of the console. */
export async function stage(phase, lines) {
  const dir = tempFolder()
  const files = new FileJobRepository(dir)
  const entrance = gate() // what holds a phase that no signal can end
  const reached = gate()
  const chunks = gatedAdapter()
  const merger = gatedAdapter()
  let failing = phase === 'in the retry delay'
  let [id, reads] = [undefined, 0]
  if (phase !== 'in a chunk') chunks.open = true
  if (phase !== 'in the merge') merger.open = true

  const repository = {
    save: (job) => ((id ??= job.id), files.save(job)),
    list: () => files.list(),
    delete: (one) => files.delete(one),
    async get(one) {
      reads += 1
      if (phase === 'before the start' && reads === 1) {
        reached.open()
        await entrance.promise
      }
      return files.get(one)
    },
  }
  const storage = {
    async uploadAssetBundle() {
      if (phase === 'in the upload') {
        reached.open()
        await entrance.promise
      }
      return 's3://assets'
    },
    uploadJobSpec: async () => 's3://job.json',
    deleteAssetBundle: async () => {},
    deleteJobSpec: async () => {},
  }
  const adapter = adapterOf((job) => (failing ? exit(1, 'flaky') : chunks.execute(job)))
  const manager = new JobManager(repository, new JobExecutor(adapter), storage)
  const options = { jobDir: dir, retries: 1, retryDelay: 60_000, mergeAdapter: merger }
  const submitted = manager.submitJob(spec(2, { mergeCommand: 'merge all' }), options)
  submitted.catch(() => {})

  if (phase === 'in a chunk') await until(() => chunks.active === 1, phase)
  else if (phase === 'in the merge') await until(() => merger.active === 1, phase)
  else if (phase === 'in the retry delay') await until(() => printed(lines, 'warn').length === 1, phase)
  else await reached.promise

  return {
    id,
    manager,
    submitted,
    /** Lets through what waits outside of the reach of any signal. */
    letThrough: () => entrance.open(),
    /** Lets everything that runs from now on end well. */
    release() {
      failing = false
      entrance.open()
      chunks.release()
      merger.release()
    },
    running: () => chunks.active + merger.active,
    started: () => adapter.calls.length + merger.started.length,
    /** The state on disk; `gone` without a record. */
    state: async () => (await files.get(id))?.state ?? 'gone',
    names: () => readdirSync(dir),
    /** Runs another job to its end, and deletes it: time enough for anything late. */
    async another() {
      const other = new JobManager(files, new JobExecutor(adapterOf(() => ok())))
      const next = await other.submitJob(spec(2))
      await until(async () => (await files.get(next)).state === 'completed', 'another job')
      await other.deleteJob(next)
    },
  }
}
