// What a test runner puts between us and the world: its own realm, its spies, its fakes. Run in every pool of vitest.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  FfmpegStitcher,
  FileJobRepository,
  InMemoryJobRepository,
  JobExecutor,
  JobManager,
  LocalWorkerAdapter,
  RenderExecutor,
  WorkerRuntime,
  createAwsHandler,
  createCloudRunServer,
  initInfrastructure,
  syncWorkspaceDependencies,
} from '../index.js'
import { tempFolder } from './support/files.mjs'
import { adapterOf, ok, spec } from './support/jobs.mjs'
import { inState } from './support/managed.mjs'
import { record } from './support/repository-contract.mjs'
import { rejection } from './support/wait.mjs'

afterEach(() => void vi.restoreAllMocks())

const quiet = () => {
  const spies = {}
  for (const level of ['log', 'warn', 'error']) spies[level] = vi.spyOn(console, level).mockImplementation(() => {})
  return spies
}

describe('console spies', () => {
  it('see what is printed', async () => {
    const { log, warn, error } = quiet()
    initInfrastructure()
    expect(log.mock.calls).toEqual([['Infrastructure initialized']])
    const adapter = adapterOf(() => {
      throw new Error('no')
    })
    await rejection(() => new JobExecutor(adapter).execute(spec(1), { retries: 1, retryDelay: 0 }))
    expect(log).toHaveBeenCalledWith('[Worker 1] Starting chunk 1 (Attempt 1/2)...')
    expect(warn).toHaveBeenCalledWith('[Worker 1] Chunk 1 failed (Attempt 1/2). Retrying in 0ms... Error: no')
    expect(error).toHaveBeenCalledWith('[Worker 1] Chunk 1 failed after 2 attempts:', 'no')
  })

  it('see what is printed in the background', async () => {
    const { log, error } = quiet()
    const mine = new Error('mine')
    const manager = new JobManager(new InMemoryJobRepository(), { execute: () => Promise.reject(mine) })
    const id = await manager.submitJob(spec(1))
    await inState(manager, id, 'failed')
    await vi.waitFor(() => expect(error.mock.calls).toEqual([[`Job ${id} failed:`, mine]]))
    await manager.cancelJob(id)
    expect(log).not.toHaveBeenCalled()
  })

  it('see what a repository warns of', async () => {
    const { warn } = quiet()
    const dir = tempFolder()
    mkdirSync(join(dir, 'a.json'))
    expect(await new FileJobRepository(dir).list()).toStrictEqual([])
    expect(warn.mock.calls).toEqual([[`Failed to read job file ${join(dir, 'a.json')}:`, expect.any(String)]])
  })
})

describe('errors', () => {
  const broken = () => {
    const dir = tempFolder()
    writeFileSync(join(dir, 'a.json'), '{')
    return new FileJobRepository(dir)
  }

  it.each([
    ['a bad argument', () => new LocalWorkerAdapter().execute({}), TypeError],
    ['a command that is not there', () => new LocalWorkerAdapter().execute({ command: 'no-such-command' }), Error],
    ['an empty command', () => new LocalWorkerAdapter().execute({ command: '' }), TypeError],
    ['a timeout', () => new LocalWorkerAdapter().execute({ command: 'sleep', args: ['9'], timeout: 20 }), Error],
    ['an abort', () => new LocalWorkerAdapter().execute({ command: 'true', signal: AbortSignal.abort() }), Error],
    ['an aborted job', () => new JobExecutor(adapterOf()).execute(spec(1), { signal: AbortSignal.abort() }), Error],
    ['a failed chunk', () => new JobExecutor(adapterOf(() => ok({ exitCode: 1 }))).execute(spec(1)), Error],
    ['a bad spec', () => new JobExecutor(adapterOf()).execute({}), TypeError],
    ['a bad job', () => new JobManager(new InMemoryJobRepository(), {}).submitJob(), TypeError],
    ['a broken record', () => broken().get('a'), SyntaxError],
    ['a bad id', () => broken().get('../a'), Error],
    ['a folder that is none', () => new FileJobRepository('/dev/null').list(), Error],
    ['a circular record', () => broken().save(((job) => ((job.self = job), job))({ id: 'a' })), TypeError],
    ['nothing to stitch', () => new FfmpegStitcher().stitch([], 'out.mp4'), Error],
    ['an unknown chunk', () => new RenderExecutor('/tmp').executeChunk(spec(1), 9), Error],
    ['a missing option', () => syncWorkspaceDependencies({}), TypeError],
  ])('of this realm come of %s', async (_, call, type) => {
    quiet()
    const error = await rejection(call)
    expect(error).toBeInstanceOf(type)
    expect(error).toBeInstanceOf(Error)
    expect(typeof error.stack).toBe('string')
  })

  it('of the user stay what they are', async () => {
    quiet()
    const mine = new RangeError('mine')
    const mergeAdapter = { execute: () => Promise.reject(mine) }
    const job = spec(1, { mergeCommand: 'merge' })
    expect(await rejection(() => new JobExecutor(adapterOf()).execute(job, { mergeAdapter }))).toBe(mine)
  })
})

describe('results', () => {
  const result = { exitCode: 0, stdout: 'out\n', stderr: '', durationMs: expect.any(Number) }

  it('of a command are plain objects of this realm', async () => {
    expect(await new LocalWorkerAdapter().execute({ command: 'echo', args: ['out'] })).toStrictEqual(result)
  })

  it('handed to a callback are so', async () => {
    quiet()
    const onChunkComplete = vi.fn()
    await new JobExecutor(new LocalWorkerAdapter()).execute(spec(['echo out']), { onChunkComplete })
    expect(onChunkComplete.mock.calls).toStrictEqual([[1, result]])
  })

  it('of a render executor are so', async () => {
    expect(await new RenderExecutor(tempFolder()).executeChunk(spec(['echo out']), 1)).toStrictEqual(result)
  })

  it('of workers are so, with the fetch of this realm', async () => {
    const fetch = vi.fn(async () => ({ ok: true, json: async () => spec(['echo out']) }))
    vi.stubGlobal('fetch', fetch)
    try {
      const url = 'https://host/job.json'
      expect(await new WorkerRuntime({ workspaceDir: tempFolder() }).run(url, 1)).toStrictEqual(result)
      const body = '{"exitCode":0,"output":"out\\n","stderr":""}'
      expect(await createAwsHandler()({ jobPath: url, chunkIndex: 1 })).toStrictEqual({ statusCode: 200, body })
      expect(fetch).toHaveBeenCalledTimes(2)
    } finally {
      vi.unstubAllGlobals()
    }
  })

  it('of a server are so', async () => {
    const { server, listen } = createCloudRunServer({ port: 0 })
    await new Promise((resolve) => listen(resolve))
    const response = await fetch(`http://127.0.0.1:${server.address().port}`, { method: 'POST', body: 'null' })
    expect([response.status, await response.json()]).toEqual([400, { message: 'Missing jobPath or chunkIndex' }])
    await new Promise((resolve) => server.close(resolve).closeAllConnections())
  })

  it.each([
    ['files', () => new FileJobRepository(tempFolder())],
    ['memory', () => new InMemoryJobRepository()],
  ])('of a repository in %s are so', async (_, make) => {
    const repository = make()
    const job = record('a', { logs: [{ chunkId: 1, durationMs: 2, stdout: '', stderr: '' }] })
    await repository.save(job)
    expect(await repository.get('a')).toStrictEqual(job)
    expect(await repository.list()).toStrictEqual([job])
    expect((await repository.get('a')).logs).toBeInstanceOf(Array)
  })

  it('the jobs of an adapter are so', async () => {
    quiet()
    const adapter = { execute: vi.fn(() => ok()) }
    await new JobExecutor(adapter).execute(spec(['render "a b"']), { jobDir: '/jobs/1' })
    const [[job]] = adapter.execute.mock.calls
    expect(job.args).toStrictEqual(['a b'])
    expect(job.meta).toStrictEqual({ chunkId: 1, ...spec(['render "a b"']).chunks[0] })
    expect(Object.getPrototypeOf(job)).toBe(Object.prototype)
    expect(job.env).toBe(process.env)
  })

  it('the inputs of a stitcher are so', async () => {
    quiet()
    const stitcher = { stitch: vi.fn() }
    await new JobExecutor(adapterOf()).execute(spec(1), { jobDir: '/jobs/1', stitcher, outputFile: 'film.mp4' })
    expect(stitcher.stitch.mock.calls).toStrictEqual([[['/jobs/1/chunk-1.mp4'], '/jobs/1/film.mp4']])
  })

  it('what a managed job saves is so', async () => {
    quiet()
    const repository = { save: vi.fn(async () => {}), get: vi.fn(async () => ({ state: 'pending' })) }
    const execute = vi.fn(async () => {})
    await new JobManager(repository, { execute }).submitJob(spec(1), { jobDir: '/jobs/1' })
    await vi.waitFor(() => expect(repository.save.mock.lastCall[0].state).toBe('completed'))
    const [[first]] = repository.save.mock.calls
    expect(Object.getPrototypeOf(first)).toBe(Object.prototype)
    expect(first.logs).toStrictEqual([])
    expect(first.spec).toStrictEqual(spec(1))
    const [job, options] = execute.mock.calls[0]
    expect(job).toStrictEqual(spec(1))
    expect(options.signal).toBeInstanceOf(AbortSignal)
    expect(typeof options.onProgress(1, 1).then).toBe('function')
  })
})

describe('method spies', () => {
  const replaced = { exitCode: 0, stdout: 'replaced', stderr: '', durationMs: 0 }
  const run = async (adapter) => {
    let stdout
    await new JobExecutor(adapter).execute(spec(['echo native']), {
      onChunkComplete: (_, r) => void (stdout = r.stdout),
    })
    return stdout
  }

  it('on an instance are seen, and forgotten when they are restored', async () => {
    quiet()
    const adapter = new LocalWorkerAdapter()
    const through = vi.spyOn(adapter, 'execute')
    expect([await run(adapter), through.mock.calls.length]).toEqual(['native\n', 1])
    through.mockResolvedValue(replaced)
    expect(await run(adapter)).toBe('replaced')
    through.mockRestore()
    expect(await run(adapter)).toBe('native\n')
  })

  it('on the prototype are seen', async () => {
    quiet()
    const spy = vi.spyOn(LocalWorkerAdapter.prototype, 'execute').mockResolvedValue(replaced)
    expect(await run(new LocalWorkerAdapter())).toBe('replaced')
    spy.mockRestore()
    expect(await run(new LocalWorkerAdapter())).toBe('native\n')
  })

  it.each([
    ['an instance', (repository) => repository],
    ['the prototype', () => FileJobRepository.prototype],
  ])('on %s of a repository are seen by a manager', async (_, target) => {
    quiet()
    const repository = new FileJobRepository(tempFolder())
    const methods = ['save', 'get', 'list', 'delete']
    const [save, get, list, remove] = methods.map((name) => vi.spyOn(target(repository), name))
    const manager = new JobManager(repository, new JobExecutor(adapterOf()))
    const id = await manager.submitJob(spec(1))
    await inState(manager, id, 'completed')
    await manager.listJobs()
    await manager.deleteJob(id)
    const states = save.mock.calls.map(([{ state }]) => state)
    expect([states[0], states.at(-1)]).toEqual(['pending', 'completed'])
    for (const spy of [get, list, remove]) expect(spy).toHaveBeenCalled()
  })

  it('on an executor are seen by a manager', async () => {
    quiet()
    const executor = new JobExecutor(adapterOf())
    const spy = vi.spyOn(executor, 'execute').mockResolvedValue(undefined)
    const manager = new JobManager(new InMemoryJobRepository(), executor)
    await inState(manager, await manager.submitJob(spec(1)), 'completed')
    expect(spy).toHaveBeenCalledTimes(1)
  })

  it('on a stitcher are seen by an executor', async () => {
    quiet()
    const stitcher = new FfmpegStitcher()
    const spy = vi.spyOn(stitcher, 'stitch').mockResolvedValue(undefined)
    await new JobExecutor(adapterOf()).execute(spec(1), { stitcher, outputFile: 'film.mp4', jobDir: '/jobs/1' })
    expect(spy.mock.calls).toEqual([[['/jobs/1/chunk-1.mp4'], '/jobs/1/film.mp4']])
  })
})

describe('subclasses', () => {
  it('override and call up', async () => {
    quiet()
    class Loud extends LocalWorkerAdapter {
      async execute(job) {
        const result = await super.execute(job)
        return { ...result, stdout: result.stdout.toUpperCase() }
      }
    }
    class Kept extends InMemoryJobRepository {
      saves = 0
      save(job) {
        this.saves += 1
        return super.save(job)
      }
    }
    const repository = new Kept()
    const manager = new JobManager(repository, new JobExecutor(new Loud()))
    const job = await inState(manager, await manager.submitJob(spec(['echo loud'])), 'completed')
    expect(job.logs[0].stdout).toBe('LOUD\n')
    expect(repository.saves).toBeGreaterThan(1)
    expect(repository).toBeInstanceOf(InMemoryJobRepository)
  })
})
