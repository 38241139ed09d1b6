// WorkerRuntime: one chunk of a job that is defined elsewhere.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { LocalStorageAdapter, WorkerRuntime } from '../index.js'
import { tempFolder } from './support/files.mjs'
import { deepFreeze, spec } from './support/jobs.mjs'
import { processMark } from './support/processes.mjs'
import { outcome, rejection, until } from './support/wait.mjs'
import { jobFile, jobOf, plainStorage, shell } from './support/workers.mjs'

afterEach(() => void [vi.unstubAllEnvs(), vi.unstubAllGlobals()])

const runtime = (config) => new WorkerRuntime({ workspaceDir: tempFolder(), ...config })
const run = (jobPath, config, id = 1) => runtime(config).run(jobPath, id)
const stubFetch = (response) => {
  const fetch = vi.fn(async () => response)
  vi.stubGlobal('fetch', fetch)
  return fetch
}

/** A job in a LocalStorageAdapter, with its assets. */
async function stored(command, extra) {
  const [storageDir, dir] = [join(tempFolder(), 'storage'), tempFolder()]
  writeFileSync(join(dir, 'asset.txt'), 'asset')
  const storage = new LocalStorageAdapter({ storageDir })
  const assetsUrl = await storage.uploadAssetBundle('4f1a', dir)
  const jobPath = await storage.uploadJobSpec('4f1a', jobOf(command, { assetsUrl, ...extra }))
  return { storage, jobPath, place: join(storageDir, '4f1a') }
}

describe('the definition of a job', () => {
  it('is fetched with the fetch of this realm, which gets the URL and nothing else', async () => {
    const fetch = stubFetch({ ok: true, json: async () => deepFreeze(jobOf('echo fetched')) })
    expect((await run('https://host/job.json')).stdout).toBe('fetched\n')
    expect(fetch.mock.calls).toEqual([['https://host/job.json']])
  })

  it('is not there', async () => {
    stubFetch({ ok: false, statusText: 'Not Found', json: async () => ({}) })
    const error = await rejection(() => run('http://host/job.json'))
    expect(error).toMatchObject({ name: 'Error', message: 'Failed to fetch job spec: Not Found' })
  })

  it('cannot be fetched: what fetch throws comes back as the same object', async () => {
    const mine = new TypeError('fetch failed')
    vi.stubGlobal('fetch', () => Promise.reject(mine))
    expect(await rejection(() => run('http://host/job.json'))).toBe(mine)
  })

  it('is a file', async () => {
    expect((await run(jobFile('echo file'))).stdout).toBe('file\n')
  })

  it.each([
    ['missing', 'ENOENT', 'no such file or directory, open'],
    ['.', 'EISDIR', 'illegal operation on a directory, read'],
  ])('is a file that cannot be read, as Node says it: %s', async (name, code, text) => {
    const path = join(tempFolder(), name)
    expect(await rejection(() => run(path))).toMatchObject({ code, path, message: `${code}: ${text} '${path}'` })
  })

  it.each([[null], [[]], [{}], [{ chunks: {} }], [5]])('is no definition: %j', async (value) => {
    const message = 'Invalid JobSpec: missing chunks array'
    const file = join(tempFolder(), 'job.json')
    writeFileSync(file, JSON.stringify(value))
    expect((await rejection(() => run(file))).message).toBe(message)
    stubFetch({ ok: true, json: async () => value })
    expect((await rejection(() => run('http://host/job.json'))).message).toBe(message)
  })

  it('is no JSON', async () => {
    const file = join(tempFolder(), 'job.json')
    writeFileSync(file, '{"chunks":')
    expect(await rejection(() => run(file))).toBeInstanceOf(SyntaxError)
  })

  it('is in the storage', async () => {
    const { storage, jobPath } = await stored(shell('cat asset.txt'))
    expect((await run(jobPath, { storage })).stdout).toBe('asset')
  })

  it('is in a storage of the user’s own, under the id that its URL says', async () => {
    const storage = plainStorage({
      async downloadJobSpec(...call) {
        storage.calls.push(call)
        return jobOf('echo mine')
      },
    })
    expect((await run('own://team/4f1a/job.json', { storage })).stdout).toBe('mine\n')
    expect(storage.calls).toEqual([['4f1a', 'own://team/4f1a/job.json']])
  })

  it('is in a storage that there is not', async () => {
    const text =
      'Worker was not configured with an ArtifactStorage adapter, but the job spec is in one: s3://b/a/job.json'
    expect((await rejection(() => run('s3://b/a/job.json'))).message).toBe(text)
    const error = await rejection(() => run('own://a/job.json', { storage: plainStorage() }))
    expect([error.name, error.message]).toEqual(['TypeError', 'downloadJobSpec must be a function'])
  })
})

describe('assets', () => {
  it('are brought into the workspace itself, under the id of the definition', async () => {
    const [workspaceDir, storage] = [tempFolder(), plainStorage()]
    const result = await run(jobFile(shell('pwd; cat asset.txt'), { assetsUrl: 's3://b/a' }), { workspaceDir, storage })
    expect(result.stdout).toBe(`${workspaceDir}\nasset`)
    expect(storage.calls).toEqual([['downloadAssetBundle', 'film', 's3://b/a', workspaceDir]])
    expect(readdirSync(workspaceDir)).toEqual(['asset.txt'])
  })

  it('need a storage', async () => {
    const text = 'Worker was not configured with an ArtifactStorage adapter, but the job requires remote assets.'
    expect((await rejection(() => run(jobFile('true', { assetsUrl: 's3://b/a' })))).message).toBe(text)
  })

  it('that cannot be brought: nothing runs', async () => {
    const [mine, file] = [new Error('no'), join(tempFolder(), 'ran')]
    const storage = plainStorage({ downloadAssetBundle: () => Promise.reject(mine) })
    expect(await rejection(() => run(jobFile(`touch ${file}`, { assetsUrl: 's3://b/a' }), { storage }))).toBe(mine)
    expect(existsSync(file)).toBe(false)
  })
})

describe('the command', () => {
  it.each([
    ['echo out; echo err >&2', { exitCode: 0, stdout: 'out\n', stderr: 'err\n', durationMs: expect.any(Number) }],
    ['exit 3', { exitCode: 3, stdout: '', stderr: '', durationMs: expect.any(Number) }],
  ])('gives its result: %s', async (script, result) => {
    expect(await run(jobFile(shell(script)))).toEqual(result)
  })

  it('has the environment of this process', async () => {
    vi.stubEnv('HELIOS_TEST_VALUE', 'inherited')
    expect((await run(jobFile('printenv HELIOS_TEST_VALUE'))).stdout).toBe('inherited\n')
  })

  it('that is not there rejects as Node does, an unknown chunk by its number', async () => {
    const error = await rejection(() => run(jobFile('no-such-command')))
    expect(error).toMatchObject({ message: 'spawn no-such-command ENOENT', code: 'ENOENT' })
    expect((await rejection(() => run(jobFile('true'), {}, 9))).message).toBe('Chunk with ID 9 not found in job spec')
  })
})

describe('what a chunk leaves', () => {
  const outputs = (place) => join(place, '.helios-outputs')

  it('is stored beside the definition: its file, and what its command said', async () => {
    const { storage, jobPath, place } = await stored(shell('echo said; echo loud >&2; printf video > 1.mp4'))
    const result = await run(jobPath, { storage })
    expect(result).toMatchObject({ exitCode: 0, outputUrl: `local://${join(outputs(place), '1.mp4')}` })
    expect(readdirSync(outputs(place)).sort()).toEqual(['1.log', '1.mp4'])
    expect(readFileSync(join(outputs(place), '1.mp4'), 'utf8')).toBe('video')
    expect(readFileSync(join(outputs(place), '1.log'), 'utf8')).toBe('said\nloud\n')
    await storage.downloadChunkOutput('4f1a', result.outputUrl, join(place, 'back.mp4'))
    expect(readFileSync(join(place, 'back.mp4'), 'utf8')).toBe('video')
  })

  it('is its log when it failed, and nothing when it wrote nothing', async () => {
    const failed = await stored(shell('echo why >&2; printf half > 1.mp4; exit 1'))
    expect(await run(failed.jobPath, { storage: failed.storage })).not.toHaveProperty('outputUrl')
    expect(readdirSync(outputs(failed.place))).toEqual(['1.log'])
    const silent = await stored('true')
    expect(await run(silent.jobPath, { storage: silent.storage })).toMatchObject({ exitCode: 0 })
    expect(existsSync(outputs(silent.place))).toBe(false)
  })

  it('is not what somebody else has left in the workspace', async () => {
    const [workspaceDir, storage] = [tempFolder(), plainStorage({ uploadChunkOutput: vi.fn() })]
    writeFileSync(join(workspaceDir, '1.mp4'), 'of another job')
    expect(await run(jobFile('true'), { workspaceDir, storage })).not.toHaveProperty('outputUrl')
    expect(storage.uploadChunkOutput).not.toHaveBeenCalled()
  })

  it('goes to a storage of the user’s own that keeps outputs: log first, then the file', async () => {
    const calls = []
    const uploadChunkOutput = async (id, chunk, file) => `own://${calls.push([id, chunk, readFileSync(file, 'utf8')])}`
    const workspaceDir = tempFolder()
    const file = jobFile(shell('echo said; printf video > 1.mp4'))
    const result = await run(file, { workspaceDir, storage: plainStorage({ uploadChunkOutput }) })
    expect(calls).toEqual([
      ['film', 1, 'said\n'],
      ['film', 1, 'video'],
    ])
    expect(result.outputUrl).toBe('own://2')
    expect(readdirSync(workspaceDir)).toEqual(['1.mp4'])
  })

  it('cannot be stored: that is a failure, unless it is only the log', async () => {
    const mine = new Error('full')
    const uploadChunkOutput = async (_, __, file) => {
      if (file.endsWith(broken)) throw mine
      return 'own://1'
    }
    const go = () =>
      run(jobFile(shell('echo said; printf video > 1.mp4')), { storage: plainStorage({ uploadChunkOutput }) })
    let broken = '.log'
    expect(await go()).toMatchObject({ exitCode: 0, outputUrl: 'own://1' })
    broken = '.mp4'
    expect(await rejection(go)).toBe(mine)
  })

  it('is dropped where the storage keeps no outputs', async () => {
    const result = await run(jobFile(shell('printf video > 1.mp4')), { storage: plainStorage() })
    expect(result).toEqual({ exitCode: 0, stdout: '', stderr: '', durationMs: expect.any(Number) })
  })
})

describe('a mark that the chunk is cancelled', () => {
  it('ends the whole tree of its command with an AbortError', async (context) => {
    const mark = processMark(context)
    vi.stubEnv('HELIOS_TEST_MARK', mark.env.HELIOS_TEST_MARK)
    const { storage, jobPath } = await stored(shell('sleep 60 & (sleep 60 & wait) & wait'))
    const done = outcome(run(jobPath, { storage }))
    await until(() => mark.living().length >= 4, 'the processes to start')
    await storage.markCancelled(jobPath, 1)
    expect((await done).error).toMatchObject({ name: 'AbortError', message: 'Job aborted' })
    expect(mark.living()).toEqual([])
  })

  it('of an earlier attempt, or of another chunk, ends nothing', async () => {
    const { storage, jobPath } = await stored('echo done')
    await storage.markCancelled(jobPath, 1)
    await storage.markCancelled(jobPath, 2)
    expect(await run(jobPath, { storage })).toMatchObject({ exitCode: 0, stdout: 'done\n' })
  })
})

describe('arguments', () => {
  it.each([
    [undefined, 'config.workspaceDir must be a string'],
    [{}, 'config.workspaceDir must be a string'],
    [5, 'config must be an object'],
    [{ workspaceDir: 5 }, 'config.workspaceDir must be a string'],
    [{ workspaceDir: '/w', storage: 's3' }, 'config.storage must be an ArtifactStorage'],
  ])('of the constructor: %j', (config, message) => {
    expect(() => new WorkerRuntime(config)).toThrow(new TypeError(message))
  })

  it('of run reject', async () => {
    const one = runtime()
    expect((await rejection(() => one.run(5, 1))).message).toBe('jobPath must be a string')
    expect((await rejection(() => one.run('x', '1'))).message).toBe('chunkId must be a number')
  })

  it('may be spied on: methods of a storage are looked up when they are called', async () => {
    const { storage, jobPath } = await stored('true')
    const spy = vi.spyOn(storage, 'downloadJobSpec').mockResolvedValue(spec(['echo spied']))
    expect((await run(jobPath, { storage })).stdout).toBe('spied\n')
    expect(spy).toHaveBeenCalledExactlyOnceWith('4f1a', jobPath)
  })
})

it('runs many chunks at once', async () => {
  const workspaceDir = tempFolder()
  mkdirSync(join(workspaceDir, 'jobs'))
  const file = join(workspaceDir, 'jobs', 'job.json')
  writeFileSync(file, JSON.stringify(spec(Array.from({ length: 16 }, (_, i) => `echo ${i + 1}`))))
  const one = runtime({ workspaceDir })
  const ids = Array.from({ length: 16 }, (_, i) => i + 1)
  const results = await Promise.all(ids.map((id) => one.run(file, id)))
  expect(results.map(({ stdout }) => stdout)).toEqual(ids.map((id) => `${id}\n`))
})
