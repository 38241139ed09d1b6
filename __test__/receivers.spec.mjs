// What the methods of our classes are called on: our objects, also behind a proxy or an heir, and things that are none.
import { describe, expect, it } from 'vitest'
import * as api from '../index.js'
import { captureConsole } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { spec } from './support/jobs.mjs'
import { inState } from './support/managed.mjs'
import { rejection } from './support/wait.mjs'

const { FileJobRepository, InMemoryJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } = api

/** A proxy that hands out proxies of objects, as state libraries make them. */
const reactive = (object) =>
  new Proxy(object, {
    get(target, key, receiver) {
      const value = Reflect.get(target, key, receiver)
      return typeof value === 'object' && value !== null ? reactive(value) : value
    },
  })

const objects = {
  FfmpegStitcher: () => new api.FfmpegStitcher(new LocalWorkerAdapter()),
  FileJobRepository: () => new FileJobRepository(tempFolder()),
  InMemoryJobRepository: () => new InMemoryJobRepository(),
  JobExecutor: () => new JobExecutor(new LocalWorkerAdapter()),
  JobManager: () => new JobManager(new InMemoryJobRepository(), new JobExecutor(new LocalWorkerAdapter())),
  LocalWorkerAdapter: () => new LocalWorkerAdapter(),
  RenderExecutor: () => new api.RenderExecutor(tempFolder()),
}

const methods = Object.keys(objects).flatMap((name) =>
  Object.getOwnPropertyNames(api[name].prototype)
    .filter((method) => method !== 'constructor')
    .map((method) => [name, method]),
)

describe('a method that is called on nothing of ours gives a rejection:', () => {
  it.each(methods)('%s.%s', async (name, method) => {
    for (const receiver of [undefined, null, 5, {}, new Date(), api[name].prototype]) {
      let answer
      expect(() => (answer = api[name].prototype[method].call(receiver))).not.toThrow()
      expect(answer).toBeInstanceOf(Promise)
      expect(await rejection(() => answer)).toBeInstanceOf(TypeError)
    }
  })
})

describe.each([
  ['a proxy', (object) => new Proxy(object, {})],
  ['a proxy that makes proxies', reactive],
  ['an heir', (object) => Object.create(object)],
])('%s of our objects', (_, wrap) => {
  it.each([
    ['InMemoryJobRepository', () => new InMemoryJobRepository()],
    ['FileJobRepository', () => new FileJobRepository(tempFolder())],
  ])('does what they do: JobManager with %s', async (_name, repository) => {
    captureConsole()
    const executor = wrap(new JobExecutor(wrap(new LocalWorkerAdapter())))
    const records = wrap(repository())
    const manager = wrap(new JobManager(records, executor))
    const id = await manager.submitJob(spec(['echo 1', 'echo 2']), { merge: false })
    const job = await inState(manager, id, 'completed')
    expect(job.logs.map(({ stdout }) => stdout).sort()).toEqual(['1\n', '2\n'])
    expect(await records.list()).toEqual([job])
    await manager.deleteJob(id)
    expect(await manager.listJobs()).toEqual([])
  })

  it('is seen with what it overrides', async () => {
    captureConsole()
    const calls = []
    const adapter = wrap(new LocalWorkerAdapter())
    adapter.execute = async ({ command }) => (
      calls.push(command),
      { exitCode: 0, stdout: '', stderr: '', durationMs: 1 }
    )
    await new JobExecutor(adapter).execute(spec(['mine']))
    expect(calls).toEqual(['mine'])
  })
})

it('our objects show nothing of it', () => {
  for (const make of Object.values(objects)) {
    const object = make()
    expect([Object.keys(object), Object.getOwnPropertyNames(object), JSON.stringify(object)]).toEqual([[], [], '{}'])
  }
})
