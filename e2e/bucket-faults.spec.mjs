// The storages in buckets when something goes wrong: the network, the store, the disk, the bucket itself.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { S3StorageAdapter } from '../index.js'
import { tempFolder } from '../__test__/support/files.mjs'
import { bundle, content } from '../__test__/support/storage-contract.mjs'
import { rejection } from '../__test__/support/wait.mjs'
import { start as startFlaky } from './services/flaky.mjs'
import { freePort } from './services/process.mjs'
import { start as startS3 } from './services/s3.mjs'

const KEY = { key: 'AKIATEST', secret: 'hush-hush' }
const credentials = { accessKeyId: KEY.key, secretAccessKey: KEY.secret }
const MB = 2 ** 20
let open, bucket

beforeAll(async () => (open = await startS3({ ...KEY, buckets: [] })))
afterAll(() => open?.stop())
let count = 0
beforeEach(() => {
  bucket = `faults-${(count += 1)}`
  mkdirSync(join(open.folder, bucket))
})

const made = (endpoint, more) => new S3StorageAdapter({ bucket, region: 'us-east-1', endpoint, credentials, ...more })

async function flaky(spoil) {
  const proxy = await startFlaky(open.url, spoil)
  onTestFinished(() => proxy.stop())
  return proxy
}

function large(megabytes) {
  const dir = tempFolder()
  writeFileSync(join(dir, 'large'), Buffer.alloc(megabytes * MB, 'x'))
  return dir
}

describe('requests that fail', () => {
  it.each(['reset', 503, 500, 429])('are made again (%s)', async (fault) => {
    // Every third one, never the one that makes up for it.
    const proxy = await flaky((_, number) => (number % 3 === 0 ? fault : undefined))
    const [dir, target] = [bundle(), tempFolder()]
    const storage = made(proxy.url, { concurrency: 1 })
    const url = await storage.uploadAssetBundle('job', dir)
    await storage.downloadAssetBundle('job', url, target)
    expect(content(target, false)).toEqual(content(dir, false))
  })

  it('are made maxAttempts times, then told with code and status', async () => {
    const proxy = await flaky(({ method }) => (method === 'PUT' ? 503 : undefined))
    const dir = tempFolder()
    writeFileSync(join(dir, 'a'), '1')
    const error = await rejection(() => made(proxy.url, { maxAttempts: 2 }).uploadAssetBundle('job', dir))
    expect(error.message).toBe(`cannot write s3://${bucket}/job/a: SlowDown (503): Please reduce your request rate.`)
    expect(error).toMatchObject({ code: 'SlowDown', status: 503 })
    expect(proxy.seen.filter((line) => line.startsWith('PUT'))).toHaveLength(2)
  })

  it('go on where the answer broke off', async () => {
    const storage = made(open.url)
    const [dir, target] = [large(3), tempFolder()]
    const url = await storage.uploadAssetBundle('job', dir)
    let cut = 0
    const proxy = await flaky(({ method, url }) =>
      method === 'GET' && url.includes('/large') && cut++ === 0 ? 'cut' : undefined,
    )
    await made(proxy.url).downloadAssetBundle('job', url, target)
    expect(content(target, false)).toEqual(content(dir, false))
    expect(cut).toBe(2)
  })

  it.each([
    ['a list', (method, url) => method === 'GET' && url.includes('list-type')],
    ['the begin of a large object', (method, url) => method === 'POST' && /[?&]uploads/.test(url)],
    ['a removal', (method, url) => method === 'POST' && /[?&]delete/.test(url)],
  ])('are made again when the answer breaks off (%s)', async (_, concerns) => {
    let cut = 0
    const proxy = await flaky(({ method, url }) => (concerns(method, url) && cut++ === 0 ? 'cut' : undefined))
    const [dir, target] = [large(33), tempFolder()]
    const storage = made(proxy.url)
    const url = await storage.uploadAssetBundle('job', dir)
    await storage.downloadAssetBundle('job', url, target)
    expect(content(target, false)).toEqual(content(dir, false))
    await storage.deleteAssetBundle('job', url)
    expect(content(join(open.folder, bucket), false)).toEqual({})
    expect(cut).toBeGreaterThan(1)
  })

  it('are told when somebody else answers', async () => {
    const proxy = createServer((_, response) => response.end('<html>Please log in'))
    await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => new Promise((resolve) => void (proxy.closeAllConnections(), proxy.close(resolve))))
    const storage = made(`http://127.0.0.1:${proxy.address().port}`)
    const error = await rejection(() => storage.deleteAssetBundle('job', `s3://${bucket}/job`))
    expect(error.message).toBe(`cannot list s3://${bucket}/job: the answer is not a list of objects`)
  })

  it('are told with the code of the network', async () => {
    const storage = made(`http://127.0.0.1:${await freePort()}`, { maxAttempts: 1 })
    const error = await rejection(() => storage.downloadJobSpec('job', `s3://${bucket}/job/job.json`))
    expect(error.code).toBe('ECONNREFUSED')
    expect(error.message).toMatch(/^cannot read s3:\/\/faults-\d+\/job\/job\.json: ECONNREFUSED: [^\n]+$/)
  })
})

describe('what comes over', () => {
  it('is refused when a byte of it is another', async () => {
    const [dir, target] = [large(2), tempFolder()]
    writeFileSync(join(dir, 'fine'), 'fine')
    const url = await made(open.url).uploadAssetBundle('job', dir)
    const proxy = await flaky(({ method, url }) => (method === 'GET' && url.includes('/large') ? 'change' : undefined))
    const error = await rejection(() => made(proxy.url).downloadAssetBundle('job', url, target))
    expect(error.message).toMatch(/job\/large is damaged: its SHA-256 is /)
    expect(readdirSync(target)).toEqual([])
  })

  it('goes again when another part of it fails, what was there does not', async () => {
    const [dir, target] = [bundle(), tempFolder()]
    writeFileSync(join(target, 'own'), 'mine')
    const url = await made(open.url).uploadAssetBundle('job', dir)
    const proxy = await flaky(({ method, url }) => (method === 'GET' && url.includes('many/59') ? 404 : undefined))
    const error = await rejection(() => made(proxy.url, { concurrency: 2 }).downloadAssetBundle('job', url, target))
    expect(error.message).toContain('many/59')
    expect(content(target, false)).toEqual({ own: 'mine' })
  })
})

describe('a large file', () => {
  const uploads = async () => {
    const client = new S3Client({ region: 'us-east-1', endpoint: open.url, credentials, forcePathStyle: true })
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket })).catch(() => ({}))
    return Uploads
  }

  it('whose pieces fail leaves none of them', async () => {
    const proxy = await flaky(({ url }) => (url.includes('partNumber=2') ? 403 : undefined))
    const error = await rejection(() => made(proxy.url).uploadAssetBundle('job', large(25)))
    expect(error.message).toContain(`cannot write s3://${bucket}/job/large: SlowDown (403)`)
    expect(proxy.seen.filter((line) => /^DELETE .*uploadId=/.test(line))).toHaveLength(1)
    expect(await uploads()).toEqual([])
  })
})

describe('credentials that are wrong', () => {
  it('are told as such, without the secret', async () => {
    const closed = await startS3({ ...KEY, buckets: [bucket] })
    onTestFinished(() => closed.stop())
    const wrong = { accessKeyId: KEY.key, secretAccessKey: 'wrong-secret' }
    const error = await rejection(() => made(closed.url, { credentials: wrong }).uploadAssetBundle('job', bundle()))
    expect(error).toMatchObject({ code: 'SignatureDoesNotMatch', status: 403 })
    expect(error.message).toContain(`cannot write s3://${bucket}/job/`)
    expect(JSON.stringify({ ...error, text: error.message, stack: error.stack })).not.toContain('wrong-secret')
  })
})

describe('a hostile bucket', () => {
  const list = (keys) =>
    `<ListBucketResult><Name>b</Name>${keys
      .map(
        (key) =>
          `<Contents><Key>${key}</Key><Size>4</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"x"</ETag></Contents>`,
      )
      .join('')}<IsTruncated>false</IsTruncated></ListBucketResult>`

  it.each(['job/../../evil', 'job//evil', 'job/a/./evil', 'job/..\\evil', 'job/..', '/evil', 'job/a&#x9;b'])(
    'with the key %j writes nothing',
    async (key) => {
      const server = createServer((request, response) => {
        response.setHeader('content-type', 'application/xml')
        response.setHeader('last-modified', new Date(0).toUTCString())
        response.setHeader('etag', '"x"')
        response.end(request.url.includes('list-type=2') ? list(['job/fine', key]) : 'evil')
      })
      await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
      onTestFinished(() => (server.closeAllConnections(), server.close()))
      const [root, target] = [tempFolder(), 'target']
      const storage = made(`http://127.0.0.1:${server.address().port}`)
      const download = () => storage.downloadAssetBundle('job', `s3://${bucket}/job`, join(root, target))
      if (key === '/evil') await download()
      else expect((await rejection(download)).message).toMatch(/^refused to fetch .*(evil|\.\.|a\\tb)/)
      const written = readdirSync(root, { recursive: true }).sort()
      expect(written).toEqual(key === '/evil' ? ['target', 'target/fine'] : [])
    },
  )
})

describe('a disk', () => {
  const canMount = spawnSync('unshare', ['-rm', 'true']).status === 0
  it.skipIf(!canMount)('that is full is told with ENOSPC, and nothing half stays (needs unshare -rm)', async () => {
    const dir = large(8)
    writeFileSync(join(dir, 'small'), 'small')
    const url = await made(open.url).uploadAssetBundle('job', dir)
    const script = fileURLToPath(new URL('full-disk.mjs', import.meta.url))
    const target = tempFolder()
    const mount = `mount -t tmpfs -o size=4m none '${target}' && exec '${process.execPath}' '${script}' "$@"`
    const output = execFileSync('unshare', ['-rm', 'sh', '-c', mount, 'sh', open.url, bucket, url, target], {
      encoding: 'utf8',
    })
    const { code, message, files } = JSON.parse(output)
    expect(code).toBe('ENOSPC')
    expect(message).toBe(`ENOSPC: no space left on device, write '${join(target, 'large')}'`)
    expect(files).toEqual([])
  })
})

describe('a process that ends', () => {
  it('is not kept alive by a storage, and waits for an operation that is running', () => {
    const script = `
      import { S3StorageAdapter } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      const storage = new S3StorageAdapter(${JSON.stringify({ bucket, region: 'us-east-1', endpoint: open.url, credentials })})
      process.on('exit', () => console.log('exit'))
      void storage.uploadJobSpec('job', { id: 'x' }).then((url) => console.log(url))`
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 10_000,
    })
    expect(output).toBe(`s3://${bucket}/job/job.json\nexit\n`)
    expect(existsSync(join(open.folder, bucket, 'job', 'job.json'))).toBe(true)
  })
})

describe('a bundle with a job.json of its own', () => {
  it('leaves nothing when it fails or goes', async () => {
    const dir = tempFolder()
    for (const name of ['a', 'job.json']) writeFileSync(join(dir, name), 'mine')
    const files = () => readdirSync(join(open.folder, bucket)).filter((name) => !name.startsWith('.'))
    const proxy = await flaky(({ method, url }) => (method === 'PUT' && url.endsWith('/a') ? 403 : undefined))
    await rejection(() => made(proxy.url).uploadAssetBundle('job', dir))
    expect(files().filter((name) => name.endsWith('.json'))).toEqual([])
    const url = await made(open.url).uploadAssetBundle('job', dir)
    await made(open.url).deleteAssetBundle('job', url)
    expect(files().filter((name) => name.endsWith('.json'))).toEqual([])
  })
})

describe('options that make no sense', () => {
  it.each([
    ['an endpoint', { endpoint: 'http://127.0.0.1:99999' }, 'cannot open s3://b: its endpoint is no URL'],
    [
      'a key',
      { endpoint: 'http://127.0.0.1:1', credentials: { accessKeyId: 'A\nB', secretAccessKey: 'hush' } },
      'cannot read s3://b/job.job.json: no credentials: they have characters that no header can hold',
    ],
  ])('are told: %s', async (_, options, message) => {
    const storage = new S3StorageAdapter({ bucket: 'b', region: 'us-east-1', credentials, maxAttempts: 1, ...options })
    const error = await rejection(() => storage.uploadJobSpec('job', { id: 'x', chunks: [] }))
    expect(error.message).toBe(message)
  })
})
