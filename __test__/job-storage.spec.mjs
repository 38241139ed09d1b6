// Jobs whose workers are elsewhere: they get what they need from a storage, and what they render comes back from it.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { InMemoryJobRepository, JobExecutor, JobManager, LocalStorageAdapter } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, exit, ok, spec } from './support/jobs.mjs'
import { inState } from './support/managed.mjs'
import { content } from './support/storage-contract.mjs'
import { rejection } from './support/wait.mjs'

const write = (dir, files) => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  return dir
}
const files = (dir) => Object.keys(content(dir, false)).sort()

/**
 * A worker elsewhere: it has the storage and the URL of the definition, and nothing else. The file of a chunk tells of what it
 * was rendered.
 */
const worker = (storage, render = ({ id, assets }) => `${id}: ${assets}`) =>
  adapterOf(async ({ meta: { jobDefUrl, chunkId } }, call) => {
    const [job, workspace] = [await storage.downloadJobSpec('', jobDefUrl), tempFolder()]
    if (job.assetsUrl) await storage.downloadAssetBundle(job.id, job.assetsUrl, workspace)
    const rendered = render({ id: chunkId, assets: files(workspace).join(' '), call })
    if (rendered === undefined) return exit(1, 'no')
    const file = join(workspace, 'rendered.mp4')
    writeFileSync(file, rendered)
    const key = jobDefUrl.split('/').at(-2)
    return ok({ outputUrl: await storage.uploadChunkOutput(key, chunkId, file) })
  })

describe('with a storage', () => {
  let jobDir, storageDir, storage
  beforeEach(() => {
    captureConsole()
    jobDir = write(tempFolder(), { 'scene.json': '{}', 'textures/wood.png': 'w' })
    storageDir = tempFolder()
    storage = new LocalStorageAdapter({ storageDir })
  })

  describe('a manager', () => {
    const manage = (adapter) => new JobManager(new InMemoryJobRepository(), new JobExecutor(adapter), storage)

    it('brings what was rendered elsewhere, and deletes all it has stored with the job', async () => {
      const manager = manage(worker(storage))
      const id = await manager.submitJob(spec(4), { jobDir, concurrency: 2 })
      const record = await inState(manager, id, 'completed')
      for (const chunk of [1, 2, 3, 4]) {
        expect(readFileSync(join(jobDir, `chunk-${chunk}.mp4`), 'utf8')).toBe(`${chunk}: scene.json textures/wood.png`)
      }
      expect(record).toMatchObject({ completedChunks: 4, progress: 100 })
      expect(files(join(storageDir, id))).toContain('.helios-outputs/4.mp4')
      await manager.deleteJob(id)
      expect(readdirSync(storageDir)).toEqual([])
    })

    it('keeps two submissions of one job apart', async () => {
      const [one, two] = [tempFolder(), tempFolder()].map((dir, i) => write(dir, { [`scene-${i}`]: '' }))
      const manager = manage(worker(storage))
      const ids = await Promise.all([one, two].map((dir) => manager.submitJob(spec(2), { jobDir: dir })))
      for (const id of ids) await inState(manager, id, 'completed')
      expect(readFileSync(join(one, 'chunk-2.mp4'), 'utf8')).toBe('2: scene-0')
      expect(readFileSync(join(two, 'chunk-2.mp4'), 'utf8')).toBe('2: scene-1')
    })

    it('leaves at home what workers do not need or must not see', async () => {
      write(jobDir, {
        '.env': 's',
        '.env.local': 's',
        'deep/.env.production': 's',
        'node_modules/a/index.js': '',
        '.git/HEAD': '',
        'chunk-1.mp4': 'of an earlier run',
        'film.mp4': 'likewise',
        '.heliosignore': '*.psd\n/drafts\n',
        'a.psd': '',
        'drafts/b': '',
        'deep/drafts': '',
        '.hidden': '',
      })
      storage = new LocalStorageAdapter({ storageDir: join(jobDir, 'store') })
      const manager = manage(adapterOf())
      const id = await manager.submitJob(spec(1), { jobDir, outputFile: 'film.mp4' })
      await inState(manager, id, 'completed')
      expect(files(join(jobDir, 'store', id))).toEqual(
        ['.heliosignore', '.hidden', 'deep/drafts', 'job.json', 'scene.json', 'textures/wood.png'].sort(),
      )
    })

    it('fails, and says why, when .heliosignore cannot be understood', async () => {
      write(jobDir, { '.heliosignore': 'a{b\n[z-a]\n' })
      const manager = manage(adapterOf())
      const { error } = await inState(manager, await manager.submitJob(spec(1), { jobDir }), 'failed')
      expect(error).toMatch(/^Asset\/Spec upload failed: cannot use the \.heliosignore of the job: /)
    })

    it('stores the definition alone with uploadAssets: false', async () => {
      const manager = manage(worker(storage))
      const id = await manager.submitJob(spec(1), { jobDir, uploadAssets: false })
      const record = await inState(manager, id, 'completed')
      expect(record.spec.assetsUrl).toBeUndefined()
      expect(readFileSync(join(jobDir, 'chunk-1.mp4'), 'utf8')).toBe('1: ')
      expect(files(join(storageDir, id))).toEqual(['.helios-outputs/1.mp4', 'job.json'])
      await manager.deleteJob(id)
      expect(readdirSync(storageDir)).toEqual([])
    })

    it('goes on with a failed job from what is in the storage, and brings again what has vanished here', async () => {
      const failing = worker(storage, ({ id, call }) => (id === 3 && call === 3 ? undefined : `${id} by call ${call}`))
      const manager = manage(failing)
      const id = await manager.submitJob(spec(3), { jobDir })
      await inState(manager, id, 'failed')
      rmSync(join(jobDir, 'chunk-1.mp4'))
      await manager.resumeJob(id)
      await inState(manager, id, 'completed')
      const text = (chunk) => readFileSync(join(jobDir, `chunk-${chunk}.mp4`), 'utf8')
      expect([text(1), text(2), text(3)]).toEqual(['1 by call 4', '2 by call 2', '3 by call 5'])
      expect(new Set(failing.calls.map(({ meta }) => meta.jobDefUrl)).size).toBe(1)
    })

    it('needs no outputUrl of workers that share the folder', async () => {
      const manager = manage(
        adapterOf(({ cwd, meta }) => {
          writeFileSync(join(cwd, meta.outputFile), 'here')
          return ok()
        }),
      )
      await inState(manager, await manager.submitJob(spec(2), { jobDir }), 'completed')
      expect(readFileSync(join(jobDir, 'chunk-2.mp4'), 'utf8')).toBe('here')
    })
  })

  describe('an executor', () => {
    it('stores the job while it runs, and leaves nothing', async () => {
      const adapter = worker(storage)
      await new JobExecutor(adapter).execute(spec(3), { jobDir, storage, concurrency: 3 })
      expect(readFileSync(join(jobDir, 'chunk-3.mp4'), 'utf8')).toBe('3: scene.json textures/wood.png')
      expect(readdirSync(storageDir)).toEqual([])
      const job = spec(3)
      const failing = worker(storage, () => undefined)
      await rejection(() => new JobExecutor(failing).execute(job, { jobDir, storage }))
      expect(readdirSync(storageDir)).toEqual([])
      expect(job).toEqual(spec(3))
    })

    it('stores no folder that was not named, the one of the process least of all', async () => {
      const adapter = adapterOf(({ meta }) => {
        expect(files(storageDir)).toEqual([`${meta.jobDefUrl.split('/').at(-2)}/job.json`])
        return ok()
      })
      await new JobExecutor(adapter).execute(spec(1), { storage })
      expect(adapter.calls.length).toBe(1)
    })

    it('fetches, and stores nothing, where the owner has stored the job himself', async () => {
      const assets = await storage.uploadAssetBundle('mine', jobDir)
      const jobDefUrl = await storage.uploadJobSpec('mine', spec(1, { assetsUrl: assets }))
      const before = files(storageDir)
      const adapter = worker(storage)
      await new JobExecutor(adapter).execute(spec(1), { jobDir, storage, meta: { jobDefUrl } })
      expect(existsSync(join(jobDir, 'chunk-1.mp4'))).toBe(true)
      expect(files(storageDir)).toEqual([...before, 'mine/.helios-outputs/1.mp4'].sort())
    })

    it('works with a storage of plain methods, and names the one that is missing', async () => {
      const methods = [
        'uploadAssetBundle',
        'downloadAssetBundle',
        'deleteAssetBundle',
        'uploadJobSpec',
        'deleteJobSpec',
      ]
      const plain = Object.fromEntries(methods.map((name) => [name, (...given) => storage[name](...given)]))
      const run = (of) => new JobExecutor(worker(storage)).execute(spec(1), { jobDir, storage: of })
      const error = await rejection(() => run(plain))
      expect(error.message).toBe(
        'Chunk 1 failed after 1 attempts: the file of the chunk could not be fetched from the storage: downloadChunkOutput must be a function',
      )
      await run({ ...plain, downloadChunkOutput: (...given) => storage.downloadChunkOutput(...given) })
      expect(existsSync(join(jobDir, 'chunk-1.mp4'))).toBe(true)
      expect(readdirSync(storageDir)).toEqual([])
    })

    it('aborts while a file is brought', async () => {
      const abort = new AbortController()
      const slow = Object.create(storage, {
        downloadChunkOutput: { value: () => (abort.abort(), new Promise(() => {})) },
      })
      const execution = new JobExecutor(worker(storage)).execute(spec(2), {
        jobDir,
        storage: slow,
        signal: abort.signal,
      })
      expect(await rejection(() => execution)).toMatchObject({ name: 'AbortError' })
      expect(readdirSync(storageDir)).toEqual([])
    })

    it('does not wait for ever, after an abort, for what is stored to be deleted', async () => {
      const lines = captureConsole()
      const abort = new AbortController()
      const hanging = Object.create(storage, {
        deleteAssetBundle: { value: () => (abort.abort(), new Promise(() => {})) },
      })
      const options = { jobDir, storage: hanging, signal: abort.signal, killGraceMs: 50 }
      await rejection(() => new JobExecutor(adapterOf(() => exit(1, 'no'))).execute(spec(1), options))
      expect(printed(lines, 'warn')).toEqual([
        expect.stringMatching(
          /^Warning: the deletion of the upload of job \S+ did not end within 50ms of the abort; it is left behind\.$/,
        ),
      ])
    })
  })
})
