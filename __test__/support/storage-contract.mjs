// What every artifact storage must do, whoever made it.
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { tempFolder } from './files.mjs'
import { spec } from './jobs.mjs'
import { rejection } from './wait.mjs'

/** The files below a folder, by their paths: text and, where the storage keeps them, permissions. */
export function content(dir, modes = true) {
  const files = {}
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath ?? entry.path, entry.name)
    const mode = modes ? `${(statSync(path).mode & 0o777).toString(8)} ` : ''
    files[path.slice(dir.length + 1)] = mode + readFileSync(path, 'latin1')
  }
  return files
}

/** A folder with all sorts of files. */
export function bundle() {
  const dir = tempFolder()
  const write = (name, text, mode = 0o644) => {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), text)
    chmodSync(join(dir, name), mode)
  }
  write('scene.json', '{}')
  write('.hidden/.deep', 'h', 0o600)
  write('empty', '')
  write('bin/run', '#!/bin/sh', 0o755)
  write('größe "x" & y.txt', 'ü')
  write('raw.bin', Buffer.from([0, 255, 10, 13]))
  for (let i = 0; i < 60; i += 1) write(`many/${i}.txt`, 'y'.repeat(i * 50))
  return dir
}

/** `make()` gives a new storage; `modes` says whether it keeps permissions. */
export function storageContract(make, { modes = true } = {}) {
  it('gives back a bundle as it was', async () => {
    const [storage, dir, target] = [make(), bundle(), join(tempFolder(), 'new')]
    const url = await storage.uploadAssetBundle('job', dir)
    expect(url).toMatch(/^\w+:\/\/.*job$/)
    await storage.downloadAssetBundle('job', url, target)
    expect(content(target, modes)).toEqual(content(dir, modes))
  })

  it('keeps jobs apart, and takes ids with folders', async () => {
    const [storage, one, two] = [make(), tempFolder(), tempFolder()]
    writeFileSync(join(one, 'a'), '1')
    writeFileSync(join(two, 'a'), '2')
    const urls = await Promise.all([
      storage.uploadAssetBundle('logs/1', one),
      storage.uploadAssetBundle('logs/10', two),
    ])
    await storage.deleteAssetBundle('logs/1', urls[0])
    const target = tempFolder()
    await storage.downloadAssetBundle('logs/10', urls[1], target)
    expect(content(target, false)).toEqual({ a: '2' })
    await expect(storage.downloadAssetBundle('logs/1', urls[0], target)).rejects.toThrow(
      /^Remote directory .* does not exist/,
    )
  })

  it('gives back a definition with fields it does not know', async () => {
    const storage = make()
    const job = { ...spec(2), odd: { deep: [1.5, null, 'ü'] } }
    const before = structuredClone(job)
    const url = await storage.uploadJobSpec('job', job)
    expect(url).toMatch(/\/job(\.|\/)job\.json$/)
    expect(await storage.downloadJobSpec('job', url)).toEqual(before)
    expect(job).toEqual(before)
    await storage.deleteJobSpec('job', url)
    await expect(storage.downloadJobSpec('job', url)).rejects.toThrow()
  })

  it('gives back a bundle without the definition of its job', async () => {
    const [storage, dir, target] = [make(), bundle(), tempFolder()]
    const url = await storage.uploadAssetBundle('job', dir)
    await storage.uploadJobSpec('job', spec(1))
    await storage.downloadAssetBundle('job', url, target)
    expect(content(target, modes)).toEqual(content(dir, modes))
  })

  it('leaves a job.json of the user’s own as it is', async () => {
    const [storage, dir, target] = [make(), tempFolder(), tempFolder()]
    writeFileSync(join(dir, 'job.json'), 'mine')
    const assets = await storage.uploadAssetBundle('job', dir)
    for (const id of ['one', 'two']) {
      const url = await storage.uploadJobSpec('job', { ...spec(1), id })
      expect((await storage.downloadJobSpec('job', url)).id).toBe(id)
    }
    await storage.downloadAssetBundle('job', assets, target)
    expect(content(target, false)).toEqual({ 'job.json': 'mine' })
  })

  it('gives back the outputs of chunks, which are no assets', async () => {
    const [storage, dir, target] = [make(), bundle(), tempFolder()]
    const assets = await storage.uploadAssetBundle('job', dir)
    const file = join(tempFolder(), 'chunk 7.mp4')
    writeFileSync(file, 'video')
    const url = await storage.uploadChunkOutput('job', 7, file)
    const here = join(target, 'deep', '7.mp4')
    await storage.downloadChunkOutput('job', url, here)
    expect(readFileSync(here, 'utf8')).toBe('video')
    await storage.downloadAssetBundle('job', assets, join(target, 'assets'))
    expect(Object.keys(content(join(target, 'assets'), false)).sort()).toEqual(Object.keys(content(dir, false)).sort())
    await storage.deleteAssetBundle('job', assets)
    await expect(storage.downloadChunkOutput('job', url, join(target, 'gone'))).rejects.toThrow()
    expect(existsSync(join(target, 'gone'))).toBe(false)
  })

  it('deletes what is not there', async () => {
    const [storage, dir] = [make(), bundle()]
    const [assets, definition] = [
      await storage.uploadAssetBundle('job', dir),
      await storage.uploadJobSpec('job', spec(1)),
    ]
    for (let i = 0; i < 2; i += 1) {
      await storage.deleteJobSpec('job', definition)
      await storage.deleteAssetBundle('job', assets)
    }
  })

  it('marks a chunk as cancelled, each time anew, and all of them when the definition is deleted', async () => {
    const [storage, dir] = [make(), tempFolder()]
    const file = join(dir, '7.mp4')
    writeFileSync(file, 'video')
    const definition = await storage.uploadJobSpec('job', spec(1))
    const output = await storage.uploadChunkOutput('job', 7, file)
    expect(await storage.cancelMark(definition, 7)).toBeUndefined()
    await storage.markCancelled(definition, 7)
    const first = await storage.cancelMark(definition, 7)
    expect(first).toMatch(/./)
    expect(await storage.cancelMark(definition, 7)).toBe(first)
    await storage.markCancelled(definition, 7)
    expect(await storage.cancelMark(definition, 7)).not.toBe(first)
    expect(await storage.cancelMark(definition, 8)).toBeUndefined()
    await storage.deleteJobSpec('job', definition)
    expect(await storage.cancelMark(definition, 7)).toBe('deleted')
    expect(await storage.cancelMark(definition, 8)).toBe('deleted')
    await expect(storage.downloadChunkOutput('job', output, file)).rejects.toThrow()
  })

  it('names a local folder that is not there', async () => {
    const error = await rejection(() => make().uploadAssetBundle('job', '/no/such/folder'))
    expect(error.message).toBe('Local directory /no/such/folder does not exist')
  })

  it.each(['', '.', '..', '../up', 'a/../../b', '/etc', 'a//b', 'a/', 'a\\b', 'a\0b'])(
    'refuses the id %j',
    async (id) => {
      const [storage, dir] = [make(), tempFolder()]
      const calls = [
        () => storage.uploadAssetBundle(id, dir),
        () => storage.uploadJobSpec(id, spec(1)),
        () => storage.uploadChunkOutput(id, 1, join(dir, 'x')),
      ]
      for (const call of calls) expect((await rejection(call)).message).toContain('job id')
    },
  )

  it('refuses URLs of others', async () => {
    const [storage, dir] = [make(), tempFolder()]
    for (const url of ['ftp://host/job', 'job', '']) {
      const calls = [
        () => storage.downloadAssetBundle('job', url, dir),
        () => storage.deleteAssetBundle('job', url),
        () => storage.downloadJobSpec('job', url),
        () => storage.deleteJobSpec('job', url),
        () => storage.downloadChunkOutput('job', url, join(dir, 'x')),
      ]
      for (const call of calls) expect((await rejection(call)).message).toBe(`Unsupported remote URL scheme: ${url}`)
    }
  })

  it('rejects arguments of the wrong type, naming them', async () => {
    const storage = make()
    const wrong = [
      [() => storage.uploadAssetBundle(7, '.'), 'jobId must be a string'],
      [() => storage.uploadAssetBundle('a'), 'localDir must be a string'],
      [() => storage.uploadJobSpec('a', 7), 'spec must be an object'],
      [() => storage.uploadChunkOutput('a', 'b', 'c'), 'chunkId must be a number'],
      [() => storage.markCancelled('a', 'b'), 'chunkId must be a number'],
      [() => storage.cancelMark(1, 2), 'specUrl must be a string'],
      [() => storage.downloadChunkOutput('a', 'b'), 'localFile must be a string'],
    ]
    for (const [call, text] of wrong) {
      expect(await rejection(call)).toMatchObject({ name: 'TypeError', message: text })
    }
  })
}
