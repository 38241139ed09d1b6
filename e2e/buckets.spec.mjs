// The storages in buckets, against real servers: the contract of all storages, and what is particular to buckets.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { GcsStorageAdapter, R2StorageAdapter, S3StorageAdapter } from '../index.js'
import { tempFolder } from '../__test__/support/files.mjs'
import { spec } from '../__test__/support/jobs.mjs'
import { bundle, content, storageContract } from '../__test__/support/storage-contract.mjs'
import { rejection } from '../__test__/support/wait.mjs'
import { start as startFlaky } from './services/flaky.mjs'
import { start as startGcs } from './services/gcs.mjs'
import { serviceAccount } from './services/google-token.mjs'
import { start as startS3 } from './services/s3.mjs'

const KEY = { key: 'AKIATEST', secret: 'hush-hush' }
const credentials = { accessKeyId: KEY.key, secretAccessKey: KEY.secret }
let s3, gcs, google
let bucket = 0

beforeAll(async () => {
  google = await serviceAccount('token')
  ;[s3, gcs] = await Promise.all([startS3({ ...KEY, buckets: [] }), startGcs({ token: 'token', buckets: [] })])
})
// A disk that is still busy with what was written takes its time to forget it.
afterAll(() => Promise.all([s3?.stop(), gcs?.stop(), google?.stop()]), 120_000)
// A bucket for every test.
beforeEach(() => {
  bucket += 1
  for (const { folder } of [s3, gcs]) mkdirSync(join(folder, name()))
})

const name = () => `bucket-${bucket}`
const options = (more) => ({ bucket: name(), region: 'us-east-1', endpoint: s3.url, credentials, ...more })
const made = {
  S3StorageAdapter: (more) => new S3StorageAdapter(options(more)),
  R2StorageAdapter: (more) =>
    new R2StorageAdapter({
      bucket: name(),
      accountId: 'account',
      accessKeyId: KEY.key,
      secretAccessKey: KEY.secret,
      endpoint: s3.url,
      ...more,
    }),
  GcsStorageAdapter: (more) =>
    new GcsStorageAdapter({ bucket: name(), apiEndpoint: gcs.url, credentials: google.credentials, ...more }),
}
const client = () => new S3Client({ region: 'us-east-1', endpoint: s3.url, credentials, forcePathStyle: true })
const keys = async () => {
  const { Contents = [] } = await client().send(new ListObjectsV2Command({ Bucket: name() }))
  return Contents.map(({ Key }) => Key)
}

describe.each(Object.entries(made))('%s', (className, make) => {
  describe('contract', () => storageContract(make, { modes: false }))
  describe('contract, by content', () => storageContract(() => make({ dedupe: true }), { modes: false }))

  it('has URLs of its own', async () => {
    const url = await make().uploadAssetBundle('team/a', bundle())
    const scheme = className === 'GcsStorageAdapter' ? 'gcs' : 's3'
    expect(url).toBe(`${scheme}://${name()}/team/a`)
    expect(await make().uploadJobSpec('team/a', spec(1))).toBe(`${url}/job.json`)
    const missing = `${scheme}://${name()}/none`
    const error = await rejection(() => make().downloadAssetBundle('none', missing, tempFolder()))
    expect(error.message).toBe(`Remote directory ${missing} does not exist or is empty`)
  })

  it.each([false, true])('keeps odd names, and whether a file may be run (by content: %s)', async (dedupe) => {
    const [dir, target] = [tempFolder(), tempFolder()]
    const odd = [
      'a b',
      '100%',
      '%41',
      '#1',
      'what?',
      'a+b',
      'ü€𝄞',
      "it's (x) [y] {z} ~",
      '.hidden',
      'a&b<c>"d"',
      '日本',
    ]
    for (const one of odd) writeFileSync(join(dir, one), one)
    mkdirSync(join(dir, 'deep er'))
    writeFileSync(join(dir, 'deep er', 'empty'), '')
    writeFileSync(join(dir, 'run'), '#!/bin/sh\necho ran', { mode: 0o755 })
    const storage = make({ dedupe })
    const url = await storage.uploadAssetBundle('job', dir)
    await storage.downloadAssetBundle('job', url, target)
    expect(content(target, false)).toEqual(content(dir, false))
    expect(execFileSync(join(target, 'run'), { encoding: 'utf8' })).toBe('ran\n')
    await storage.deleteAssetBundle('job', url)
    const error = await rejection(() => storage.downloadAssetBundle('job', url, target))
    expect(error.message).toContain('does not exist or is empty')
  })

  it('stores 2,500 objects and deletes them, but no sibling', async () => {
    const [dir, one, target] = [tempFolder(), tempFolder(), tempFolder()]
    for (let i = 0; i < 2500; i += 1) writeFileSync(join(dir, `${i}`), `${i}`)
    writeFileSync(join(one, 'a'), '1')
    const storage = make()
    const [url, sibling] = [await storage.uploadAssetBundle('job1', dir), await storage.uploadAssetBundle('job10', one)]
    await storage.downloadAssetBundle('job1', url, target)
    expect(readdirSync(target)).toHaveLength(2500)
    await storage.deleteAssetBundle('job1', url)
    expect((await rejection(() => storage.downloadAssetBundle('job1', url, target))).message).toContain(
      'does not exist',
    )
    await storage.downloadAssetBundle('job10', sibling, join(target, 'other'))
    expect(content(join(target, 'other'), false)).toEqual({ a: '1' })
  })

  it.each([false, true])('brings a large file in pieces (by content: %s)', async (dedupe) => {
    const [dir, target] = [tempFolder(), tempFolder()]
    const large = Buffer.alloc(21 * 2 ** 20 + 7, Array.from({ length: 251 }, (_, i) => String.fromCharCode(i)).join(''))
    writeFileSync(join(dir, 'large'), large)
    writeFileSync(join(dir, 'middle'), large.subarray(0, 5 * 2 ** 20))
    const storage = make({ dedupe })
    const url = await storage.uploadAssetBundle('job', dir)
    await storage.downloadAssetBundle('job', url, target)
    expect(readFileSync(join(target, 'large')).equals(large)).toBe(true)
    expect(readFileSync(join(target, 'middle')).equals(large.subarray(0, 5 * 2 ** 20))).toBe(true)
  })

  it('names a link that leads out of the bundle', async () => {
    const dir = tempFolder()
    symlinkSync('/etc/passwd', join(dir, 'link'))
    const error = await rejection(() => make().uploadAssetBundle('job', dir))
    expect(error.message).toContain("link': it is a link to '/etc/passwd'")
  })

  it('says that a bucket is missing', async () => {
    // The server makes a bucket that something is stored in; the services of clouds answer so.
    const missing = ({ method }) => (method === 'PUT' ? { status: 404, code: 'NoSuchBucket' } : undefined)
    const proxy = await startFlaky((className === 'GcsStorageAdapter' ? gcs : s3).url, missing)
    onTestFinished(proxy.stop)
    const storage = make({ bucket: 'nowhere', endpoint: proxy.url, apiEndpoint: proxy.url })
    const error = await rejection(() => storage.uploadAssetBundle('job', bundle()))
    expect(error).toMatchObject({ code: 'NoSuchBucket', status: 404 })
    expect(error.message).toMatch(/^cannot write \w+:\/\/nowhere\/job\/.+: NoSuchBucket \(404\)/)
    expect(error.message).not.toContain('\n')
    const scheme = className === 'GcsStorageAdapter' ? 'gcs' : 's3'
    const listed = await rejection(() =>
      make({ bucket: 'nowhere' }).downloadAssetBundle('job', `${scheme}://nowhere/job`, tempFolder()),
    )
    expect(listed.message).toMatch(/NoSuchBucket|does not exist/)
  })
})

describe('S3StorageAdapter', () => {
  it('keeps keys that other clients know by the names of the files', async () => {
    const dir = tempFolder()
    writeFileSync(join(dir, 'a b%#ü'), 'text')
    await made.S3StorageAdapter().uploadAssetBundle('job', dir)
    expect(await keys()).toEqual(['job/a b%#ü'])
    const found = await client().send(new GetObjectCommand({ Bucket: name(), Key: 'job/a b%#ü' }))
    expect(await found.Body.transformToString()).toBe('text')
  })

  it('brings what other clients have stored', async () => {
    const target = tempFolder()
    for (const [Key, Body] of [
      ['job/x', '1'],
      ['job/deep/y', '2'],
    ]) {
      await client().send(new PutObjectCommand({ Bucket: name(), Key, Body }))
    }
    await made.S3StorageAdapter().downloadAssetBundle('job', `s3://${name()}/job`, target)
    expect(content(target, false)).toEqual({ x: '1', 'deep/y': '2' })
  })

  it('leaves its options as they are', async () => {
    const given = options({ dedupe: true, requestHandler: {}, logger: undefined })
    const before = { ...given, credentials: { ...credentials } }
    Object.freeze(given.credentials)
    await new S3StorageAdapter(Object.freeze(given)).uploadAssetBundle('job', bundle())
    expect(given).toEqual(before)
  })

  it('brings back a file of 3 GB without keeping it in memory', async () => {
    const [dir, target] = [tempFolder(), tempFolder()]
    writeFileSync(join(dir, 'sparse'), '')
    truncateSync(join(dir, 'sparse'), 3 * 2 ** 30)
    const storage = made.S3StorageAdapter()
    await storage.uploadAssetBundle('warm', bundle())
    const [rss, seen] = [process.memoryUsage.rss(), { peak: 0 }]
    const watch = setInterval(() => (seen.peak = Math.max(seen.peak, process.memoryUsage.rss())), 10)
    try {
      const url = await storage.uploadAssetBundle('job', dir)
      await storage.downloadAssetBundle('job', url, target)
    } finally {
      clearInterval(watch)
    }
    execFileSync('cmp', [join(dir, 'sparse'), join(target, 'sparse')])
    expect((seen.peak - rss) / 2 ** 20).toBeLessThan(64)
  }, 240_000)
})
