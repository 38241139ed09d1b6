// LocalStorageAdapter: the contract of all storages, and what is particular to a folder.
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, symlinkSync } from 'node:fs'
import { writeFileSync, writeSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { InMemoryJobRepository, JobExecutor, JobManager, LocalStorageAdapter } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, spec } from './support/jobs.mjs'
import { bundle, content, storageContract } from './support/storage-contract.mjs'
import { rejection } from './support/wait.mjs'

const made = (storageDir = join(tempFolder(), 'storage')) => new LocalStorageAdapter({ storageDir })

describe('contract', () => storageContract(() => made()))

describe('LocalStorageAdapter', () => {
  it('keeps a job in a folder of its own, with empty folders and permissions', async () => {
    const [root, dir] = [tempFolder(), bundle()]
    mkdirSync(join(dir, 'nothing', 'here'), { recursive: true, mode: 0o700 })
    const storage = made(root)
    expect(await storage.uploadAssetBundle('a', dir)).toBe(`local://${join(root, 'a')}`)
    expect(content(join(root, 'a'))).toEqual(content(dir))
    expect(existsSync(join(root, 'a', 'nothing', 'here'))).toBe(true)
    expect(await storage.uploadJobSpec('a', spec(1))).toBe(`local://${join(root, 'a', 'job.json')}`)
    expect(readFileSync(join(root, 'a', 'job.json'), 'utf8')).toBe(JSON.stringify(spec(1), null, 2))
    expect(readdirSync(root)).toEqual(['a'])
  })

  it('leaves a relative folder relative', async () => {
    const root = tempFolder()
    const near = relative(process.cwd(), root)
    expect(await made(near).uploadAssetBundle('a', bundle())).toBe(`local://${join(near, 'a')}`)
  })

  it.each([
    (root) => `local://${root}`,
    (root) => `local://${root}/`,
    (root) => `local://${root}/a/../..`,
    (root) => `local://${root}/../elsewhere`,
    (root) => `local://${root}-sibling/a`,
    () => 'local:///etc',
    () => 'local://',
  ])('refuses a URL that leads elsewhere (%#)', async (to) => {
    const root = join(tempFolder(), 'storage')
    const [storage, url] = [made(root), to(root)]
    await storage.uploadAssetBundle('a', bundle())
    const calls = [
      () => storage.downloadAssetBundle('a', url, tempFolder()),
      () => storage.deleteAssetBundle('a', url),
      () => storage.downloadJobSpec('a', url),
      () => storage.deleteJobSpec('a', url),
    ]
    for (const call of calls) {
      expect((await rejection(call)).message).toBe(`Invalid remote URL: Path traversal detected in ${url}`)
    }
    expect(readdirSync(root)).toEqual(['a'])
  })

  it('names a link that leads out of the bundle, and stores nothing', async () => {
    const [root, dir] = [join(tempFolder(), 'storage'), bundle()]
    symlinkSync('/etc/hostname', join(dir, 'many', 'link'))
    const error = await rejection(() => made(root).uploadAssetBundle('a', dir))
    expect(error.message).toContain(`cannot store '${join(dir, 'many', 'link')}'`)
    expect(existsSync(root)).toBe(false)
  })

  it('stores no folder in which it has its own files, and takes none for another by a link', async () => {
    const dir = bundle()
    const link = join(tempFolder(), 'link')
    symlinkSync(dir, link)
    for (const storage of [made(dir), made(link)]) {
      const error = await rejection(() => storage.uploadAssetBundle('a', dir))
      expect(error.message).toBe(`cannot store '${dir}': the storage keeps its own files there`)
    }
    const root = tempFolder()
    await made(root).uploadAssetBundle('a', bundle())
    const error = await rejection(() => made(root).uploadAssetBundle('a', join(root, 'a')))
    expect(error.message).toBe(`cannot store '${join(root, 'a')}': the storage keeps its own files there`)
    mkdirSync(join(dir, 'kept'))
    await made(join(link, 'kept')).uploadAssetBundle('a', dir)
    expect(readdirSync(join(dir, 'kept', 'a'))).not.toContain('kept')
  })

  it('needs its folder', () => {
    expect(() => new LocalStorageAdapter()).toThrow('options must be an object')
    expect(() => new LocalStorageAdapter({})).toThrow('options.storageDir must be a string')
  })
})

describe('with JobManager', () => {
  it('holds what a job needs until it is deleted', async () => {
    captureConsole()
    const [root, dir] = [tempFolder(), bundle()]
    const adapter = adapterOf()
    const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(adapter), made(root))
    const id = await manager.submitJob(spec(2), { jobDir: dir })
    const done = await manager.waitForJob(id)
    expect(done).toMatchObject({ state: 'completed', spec: { assetsUrl: `local://${join(root, id)}` } })
    expect(adapter.calls[0].meta.jobDefUrl).toBe(`local://${join(root, id, 'job.json')}`)
    expect(JSON.parse(readFileSync(join(root, id, 'job.json'), 'utf8'))).toEqual(done.spec)
    await manager.deleteJob(id)
    expect(readdirSync(root)).toEqual([])
  })

  it('is called through its methods where these are spied on or overridden', async () => {
    captureConsole()
    const [root, dir] = [tempFolder(), tempFolder()]
    writeFileSync(join(dir, 'a'), '')
    const seen = []
    class Own extends LocalStorageAdapter {
      async uploadJobSpec(id, job) {
        seen.push(job.id)
        return super.uploadJobSpec(id, job)
      }
    }
    const storage = new Own({ storageDir: root })
    const spy = vi.spyOn(storage, 'deleteAssetBundle')
    const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(adapterOf()), storage)
    const id = await manager.submitJob(spec(1), { jobDir: dir })
    await manager.waitForJob(id)
    await manager.deleteJob(id)
    expect(seen).toEqual(['film'])
    expect(spy).toHaveBeenCalledExactlyOnceWith(id, `local://${join(root, id)}`)
  })
})

describe('a file that changes while it is copied', () => {
  it('is not taken for what was to be stored', async () => {
    const [root, dir] = [tempFolder(), tempFolder()]
    const file = join(dir, 'large')
    writeFileSync(file, Buffer.alloc(200 * 2 ** 20, 'a'))
    const upload = made(root).uploadAssetBundle('a', dir)
    let ended = false
    const outcome = upload.then(
      () => undefined,
      (error) => error,
    )
    void outcome.then(() => (ended = true))
    const open = openSync(file, 'r+')
    while (!ended) {
      writeSync(open, 'b', 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    closeSync(open)
    expect((await outcome)?.message).toMatch(/large' changed while it was copied/)
    expect(readdirSync(root)).toEqual([])
  })
})
