// Workloads that compare both sides: processes, their output, the executor, the repository.
// Each takes the package under test, its sizes and a scratch folder, does its set-up, and returns
// `{ warmUp?, run, check? }`; only `run` is measured.
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { assertEqual, InstantAdapter, jobId, makeRecord, makeSpec, pool } from './fixtures.mjs'
import { MB } from './measure.mjs'

const TRUE = existsSync('/bin/true') ? '/bin/true' : '/usr/bin/true'

/** `count` processes that end at once, as chunks of one job; with `ballastMb` of memory in use in this process. */
export function processes({ JobExecutor, LocalWorkerAdapter }, { count, concurrency, ballastMb = 0 }) {
  const ballast = Array.from({ length: ballastMb / 16 }, () => Buffer.alloc(16 * MB, 1))
  const executor = new JobExecutor(new LocalWorkerAdapter())
  const execute = (n) =>
    executor.execute(
      makeSpec(n, () => TRUE),
      { concurrency, merge: false },
    )
  return { warmUp: () => execute(4), run: () => execute(count), check: () => ({ ballast: ballast.length }) }
}

/** One process that writes `megabytes` to its standard output. */
export function output({ LocalWorkerAdapter }, { megabytes, callback }) {
  const adapter = new LocalWorkerAdapter()
  const produce = async (bytes) => {
    let received = 0
    const job = { command: 'sh', args: ['-c', `yes | head -c ${bytes}`] }
    if (callback) job.onStdout = (data) => (received += data.length)
    const result = await adapter.execute(job)
    return { received, length: result.stdout.length }
  }
  const bytes = megabytes * MB
  return {
    warmUp: () => produce(MB),
    run: () => produce(bytes),
    check: ({ received, length }) => {
      assertEqual('characters of stdout', length, bytes)
      if (callback) assertEqual('characters given to onStdout', received, bytes)
    },
  }
}

/** A job whose adapter is a JavaScript object that answers at once: what is left is the executor itself. */
export function executor({ JobExecutor }, { chunks, concurrency }) {
  const adapter = new InstantAdapter()
  const jobExecutor = new JobExecutor(adapter)
  const spec = makeSpec(chunks)
  const options = { concurrency, merge: false }
  return {
    warmUp: async () => {
      await jobExecutor.execute(makeSpec(chunks / 10), options)
      adapter.calls = 0
    },
    run: () => jobExecutor.execute(spec, options),
    check: () => assertEqual('calls of the adapter', adapter.calls, chunks),
  }
}

/** Reads every job of a folder by its id. */
export function getJobs({ FileJobRepository }, { jobs, concurrency }, { jobFolder }) {
  const repository = new FileJobRepository(jobFolder)
  const read = (count) =>
    pool(count, concurrency, async (i) => {
      const id = jobId(i)
      assertEqual('id of the job read', (await repository.get(id)).id, id)
    })
  return { warmUp: () => read(Math.ceil(jobs / 20)), run: () => read(jobs) }
}

/** Reads all jobs of a folder at once. */
export function listJobs({ FileJobRepository }, { jobs }, { jobFolder, smallJobFolder }) {
  const repository = new FileJobRepository(jobFolder)
  return {
    warmUp: () => new FileJobRepository(smallJobFolder).list(),
    run: () => repository.list(),
    check: (listed) => assertEqual('jobs listed', listed.length, jobs),
  }
}

/** Saves new jobs into an empty folder. */
export function saveJobs({ FileJobRepository }, { jobs, chunks, concurrency, fsync }, { scratch }) {
  const records = Array.from({ length: jobs }, (_, i) => makeRecord(i, chunks))
  const save = (folder, count) => {
    const repository = new FileJobRepository(join(scratch, folder), { fsync })
    return pool(count, concurrency, (i) => repository.save(records[i]))
  }
  return {
    warmUp: () => save('warm-up', Math.ceil(jobs / 20)),
    run: () => save('jobs', jobs),
    check: async () => {
      const names = await readdir(join(scratch, 'jobs'))
      assertEqual('files saved', names.filter((name) => name.endsWith('.json')).length, jobs)
    },
  }
}
