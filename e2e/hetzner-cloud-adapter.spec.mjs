// HetznerCloudAdapter with a real S3 server between: results go by signed URLs.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { HetznerCloudAdapter, S3StorageAdapter } from '../index.js'
import { startHetzner } from '../__test__/support/hetzner.mjs'
import { start as startS3 } from './services/s3.mjs'

const KEY = { key: 'AKIATEST', secret: 'hush-hush' }
const BUCKET = 'results'
let s3
beforeAll(async () => (s3 = await startS3({ ...KEY, buckets: [BUCKET] })))
afterAll(() => s3?.stop())

const storage = (more) =>
  new S3StorageAdapter({
    bucket: BUCKET,
    region: 'us-east-1',
    endpoint: s3.url,
    forcePathStyle: true,
    credentials: { accessKeyId: KEY.key, secretAccessKey: KEY.secret, ...more },
  })
const make = (hetzner, config) =>
  new HetznerCloudAdapter({
    apiToken: 'hetzner-token',
    serverType: 'cx22',
    image: 'debian-12',
    pollIntervalMs: 50,
    apiUrl: hetzner.url,
    storage: storage(),
    ...config,
  })
const stored = () =>
  readdirSync(join(s3.folder, BUCKET), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())

it('brings exit code and output back through the bucket, and leaves nothing there', async () => {
  const hetzner = await startHetzner()
  const job = { command: 'sh', args: ['-c', 'echo out; echo err >&2; exit 4'], meta: { chunkId: 1 } }
  const results = await Promise.all(Array.from({ length: 8 }, () => make(hetzner).execute(job)))
  for (const result of results)
    expect(result).toMatchObject({ exitCode: 4, stdout: 'Execution completed.\nout\n', stderr: 'err\n' })
  expect([hetzner.servers.size, stored()]).toEqual([0, []])
  for (const { user_data: script } of hetzner.orders) {
    expect(script).toContain(`${s3.url}/${BUCKET}/.helios-exchange/helios-worker-1-`)
    expect(script).not.toContain(KEY.secret)
  }
})

it('is a failure where the bucket does not take the result', { timeout: 90_000 }, async () => {
  const hetzner = await startHetzner()
  const job = { command: 'true' }
  const adapter = make(hetzner, { storage: storage({ secretAccessKey: 'wrong' }) })
  const result = await adapter.execute(job)
  expect(result).toMatchObject({ exitCode: 1 })
  expect(result.stderr).toMatch(/^Server \d+ is off and has not handed in a result: HTTP 403$/)
  expect(hetzner.servers.size).toBe(0)
})
