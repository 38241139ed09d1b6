// Bundles that are kept by content: what goes over the network, and what stays in the bucket.
import { createHash } from 'node:crypto'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { S3StorageAdapter } from '../index.js'
import { tempFolder } from '../__test__/support/files.mjs'
import { content } from '../__test__/support/storage-contract.mjs'
import { start as startFlaky } from './services/flaky.mjs'
import { start as startS3 } from './services/s3.mjs'

const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'hush-hush' }
let s3, proxy, sent

beforeEach(async () => {
  s3 = await startS3({ key: credentials.accessKeyId, secret: credentials.secretAccessKey, buckets: ['bucket'] })
  sent = 0
  proxy = await startFlaky(s3.url, ({ method, url, headers }) => {
    if (method === 'PUT' && url.includes('.helios-blobs')) sent += Number(headers['content-length'] ?? 0)
  })
})
afterEach(async () => {
  await proxy.stop()
  await s3.stop()
})

const made = () =>
  new S3StorageAdapter({ bucket: 'bucket', region: 'us-east-1', endpoint: proxy.url, credentials, dedupe: true })

function folder(files) {
  const dir = tempFolder()
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
  return dir
}

it('sends what the bucket does not have, once', async () => {
  const [one, two] = [
    { a: 'same'.repeat(1000), b: 'same'.repeat(1000), c: 'old' },
    { a: 'same'.repeat(1000), c: 'new!' },
  ]
  await made().uploadAssetBundle('one', folder(one))
  expect(sent).toBe(4000 + 3)
  sent = 0
  const url = await made().uploadAssetBundle('two', folder(two))
  expect(sent).toBe(4)
  const target = tempFolder()
  await made().downloadAssetBundle('two', url, target)
  expect(content(target, false)).toEqual(content(folder(two), false))
})

it('keeps jobs whole when others go, and leaves nothing in the end', async () => {
  const dir = folder({ a: '1', b: '2' })
  const urls = []
  for (const id of ['one', 'two', 'three']) urls.push(await made().uploadAssetBundle(id, dir))
  for (const [index, id] of ['two', 'one', 'three'].entries()) {
    await made().deleteAssetBundle(id, `s3://bucket/${id}`)
    for (const left of ['two', 'one', 'three'].slice(index + 1)) {
      const target = tempFolder()
      await made().downloadAssetBundle(left, `s3://bucket/${left}`, target)
      expect(content(target, false)).toEqual(content(dir, false))
    }
  }
  const files = readdirSync(join(s3.folder, 'bucket'), { recursive: true, withFileTypes: true }).filter((one) =>
    one.isFile(),
  )
  expect(files.map(({ name }) => name)).toEqual([])
})

it('uploads where the job that had it is gone without a word', async () => {
  const dir = folder({ a: 'text' })
  await made().uploadAssetBundle('one', dir)
  rmSync(join(s3.folder, 'bucket', 'one'), { recursive: true })
  sent = 0
  const [url, target] = [await made().uploadAssetBundle('two', dir), tempFolder()]
  expect(sent).toBe(4)
  await made().downloadAssetBundle('two', url, target)
  expect(content(target, false)).toEqual(content(dir, false))
})

it('takes no blob of another job that is cut off, and mends its own', async () => {
  const dir = folder({ a: 'whole' })
  const blob = (id) =>
    join(s3.folder, 'bucket', id, '.helios-blobs', createHash('sha256').update('whole').digest('hex'))
  const brought = async (id) => {
    const [url, target] = [await made().uploadAssetBundle(id, dir), tempFolder()]
    await made().downloadAssetBundle(id, url, target)
    return content(target, false)
  }
  await made().uploadAssetBundle('one', dir)
  writeFileSync(blob('one'), 'wh')
  expect(await brought('two')).toEqual({ a: 'whole' })
  writeFileSync(blob('two'), 'wh')
  expect(await brought('two')).toEqual({ a: 'whole' })
})

it('leaves no trace in a bundle that is stored without it afterwards', async () => {
  await made().uploadAssetBundle('one', folder({ a: 'old' }))
  const options = { bucket: 'bucket', region: 'us-east-1', endpoint: proxy.url, credentials }
  const url = await new S3StorageAdapter(options).uploadAssetBundle('one', folder({ a: 'new' }))
  const target = tempFolder()
  await made().downloadAssetBundle('one', url, target)
  expect(content(target, false)).toEqual({ a: 'new' })
})
