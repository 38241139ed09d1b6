// AsyncLocalStorage: what we call for a caller finds what was stored when he called us, as request-scoped logging and
// tracing need it.
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, it } from 'vitest'
import { InMemoryJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { exit, ok, spec } from './support/jobs.mjs'
import { tempFolder } from './support/files.mjs'
import { until } from './support/wait.mjs'

const storage = new AsyncLocalStorage()
const requests = ['a', 'b', 'c', 'd']

/** What was found in the storage, by who looked: one set of values for each. */
function observer() {
  const found = {}
  const look = (who) => void (found[who] ??= new Set()).add(storage.getStore())
  const looking =
    (who, answer) =>
    (...given) => (look(who), answer?.(...given))
  return { found, looking }
}

/** What each of the jobs that run at once in a context of their own has found. */
const inRequests = (run) =>
  Promise.all(
    requests.map(async (request) => {
      const { found, looking } = observer()
      await storage.run(request, () => run(looking))
      return found
    }),
  )

/** Each of `who` found its own request and nothing else. */
const own = (...who) => requests.map((request) => Object.fromEntries(who.map((name) => [name, new Set([request])])))

const callbacks = (looking) => ({
  onProgress: looking('onProgress'),
  onChunkComplete: looking('onChunkComplete'),
  onChunkStdout: looking('onChunkStdout'),
})

const pause = () => new Promise((resolve) => setTimeout(resolve, 1))

describe('the context of the caller is found', () => {
  it('by adapters, also on retries, and by stitchers', async () => {
    captureConsole()
    const found = await inRequests(async (looking) => {
      let calls = 0
      const execute = looking('execute', async () => (await pause(), calls++ % 2 ? ok() : exit(1)))
      const stitch = looking('stitch', pause)
      const options = { concurrency: 2, retries: 9, retryDelay: 2, stitcher: { stitch }, outputFile: 'out.mp4' }
      await new JobExecutor({ execute }).execute(spec(6), options)
    })
    expect(found).toEqual(own('execute', 'stitch'))
  })

  it('by the callbacks of commands', async () => {
    captureConsole()
    const found = await inRequests(async (looking) => {
      const executor = new JobExecutor(new LocalWorkerAdapter())
      const mergeAdapter = { execute: looking('merge', async () => ok()) }
      const job = spec(['echo 1', 'echo 2', 'echo 3'], { mergeCommand: 'merge' })
      await executor.execute(job, { concurrency: 2, mergeAdapter, ...callbacks(looking) })
      await new LocalWorkerAdapter().execute({ command: 'echo', args: ['4'], onStdout: looking('onStdout') })
    })
    expect(found).toEqual(own('onStdout', 'merge', 'onProgress', 'onChunkComplete', 'onChunkStdout'))
  })

  it('by everything that a manager calls for a job', async () => {
    captureConsole()
    const found = await inRequests(async (looking) => {
      const records = new InMemoryJobRepository()
      const repository = {
        save: looking('save', async (job) => (await pause(), records.save(job))),
        get: looking('get', (id) => records.get(id)),
        list: () => records.list(),
        delete: (id) => records.delete(id),
      }
      const assets = { uploadAssetBundle: looking('upload', async () => (await pause(), 'bundle')) }
      const artifacts = { ...assets, uploadJobSpec: looking('uploadSpec', async () => 'job.json') }
      const manager = new JobManager(repository, new JobExecutor(new LocalWorkerAdapter()), artifacts)
      const job = spec(['echo 1', 'echo 2'])
      const id = await manager.submitJob(job, { jobDir: tempFolder(), merge: false, ...callbacks(looking) })
      await until(async () => (await records.get(id)).state === 'completed', 'the end of the job')
    })
    const who = ['save', 'get', 'upload', 'uploadSpec', 'onProgress', 'onChunkComplete', 'onChunkStdout']
    expect(found).toEqual(own(...who))
  })

  it('again after what was awaited', async () => {
    const found = await inRequests(async (looking) => {
      await new LocalWorkerAdapter().execute({ command: 'true' })
      looking('after')()
    })
    expect(found).toEqual(own('after'))
  })
})
