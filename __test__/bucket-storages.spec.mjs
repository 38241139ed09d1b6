// The storages in buckets, as far as nobody has to be asked: constructors, URLs, classes.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { GcsStorageAdapter, InMemoryJobRepository, JobManager, R2StorageAdapter, S3StorageAdapter } from '../index.js'
import { tempFolder } from './support/files.mjs'
import { spec } from './support/jobs.mjs'
import { rejection, until } from './support/wait.mjs'

const nowhere = 'http://127.0.0.1:1'
const credentials = { accessKeyId: 'A', secretAccessKey: 'hush' }
const r2 = { bucket: 'own', accountId: 'account', accessKeyId: 'A', secretAccessKey: 'hush' }
const made = {
  S3: () =>
    new S3StorageAdapter({ bucket: 'own', region: 'us-east-1', endpoint: nowhere, credentials, maxAttempts: 1 }),
  R2: () => new R2StorageAdapter({ ...r2, endpoint: nowhere, maxAttempts: 1 }),
  GCS: () => new GcsStorageAdapter({ bucket: 'own', apiEndpoint: nowhere, maxAttempts: 1 }),
}

describe('constructors', () => {
  it.each([
    [S3StorageAdapter, undefined, 'options must be an object'],
    [S3StorageAdapter, {}, 'options.bucket must be a string that is not empty'],
    [S3StorageAdapter, { bucket: '' }, 'options.bucket must be a string that is not empty'],
    [S3StorageAdapter, { bucket: 'b', region: 7 }, 'options.region must be a string that is not empty'],
    [S3StorageAdapter, { bucket: 'b', endpoint: {} }, 'options.endpoint must be a URL'],
    [S3StorageAdapter, { bucket: 'b', maxAttempts: 0 }, 'options.maxAttempts must be a number above 0'],
    [S3StorageAdapter, { bucket: 'b', concurrency: 'x' }, 'options.concurrency must be a number above 0'],
    [S3StorageAdapter, { bucket: 'b', credentials: 'x' }, 'options.credentials must be an object or a function'],
    [S3StorageAdapter, { bucket: 'b', credentials: {} }, 'options.credentials.accessKeyId must be a string'],
    [R2StorageAdapter, { bucket: 'b' }, 'options.accountId must be a string that is not empty'],
    [
      R2StorageAdapter,
      { ...r2, secretAccessKey: undefined },
      'options.secretAccessKey must be a string that is not empty',
    ],
    [GcsStorageAdapter, { bucket: 7 }, 'options.bucket must be a string that is not empty'],
    [GcsStorageAdapter, { bucket: 'b', credentials: 'x' }, 'options.credentials must be an object'],
    [GcsStorageAdapter, { bucket: 'b', credentials: {} }, 'options.credentials.client_email must be a string'],
  ])('%o refuses %j', (Class, options, text) => {
    expect(() => new Class(options)).toThrow(expect.objectContaining({ name: 'TypeError', message: text }))
  })

  it('take what they do not know, and a URL', () => {
    const options = {
      bucket: 'b',
      endpoint: new URL(nowhere),
      requestHandler: {},
      retryMode: 'adaptive',
      projectId: 'p',
    }
    expect(new S3StorageAdapter(options)).toBeInstanceOf(S3StorageAdapter)
    expect(new GcsStorageAdapter(options)).toBeInstanceOf(GcsStorageAdapter)
  })
})

describe('R2StorageAdapter', () => {
  it('is an S3StorageAdapter', () => {
    const storage = made.R2()
    expect(storage).toBeInstanceOf(S3StorageAdapter)
    expect(storage).toBeInstanceOf(R2StorageAdapter)
    expect(Object.getPrototypeOf(R2StorageAdapter)).toBe(S3StorageAdapter)
    expect(made.S3()).not.toBeInstanceOf(R2StorageAdapter)
  })
})

describe.each([
  ['S3', 's3'],
  ['R2', 's3'],
  ['GCS', 'gcs'],
])('%s', (name, scheme) => {
  const service = name === 'GCS' ? 'GCS' : 'S3'
  it.each([
    [`${scheme}://own`, `Invalid ${service} URL format: ${scheme}://own`],
    [`${scheme}://own/`, `Invalid ${service} URL format: ${scheme}://own/`],
    [`${scheme}://other/job`, 'Remote URL bucket other does not match adapter bucket own'],
    [`${scheme}://own/job/../../x`, `Invalid remote URL: Path traversal detected in ${scheme}://own/job/../../x`],
    [`${scheme}://own//x`, `Invalid remote URL: Path traversal detected in ${scheme}://own//x`],
    ['local:///tmp/job', 'Unsupported remote URL scheme: local:///tmp/job'],
  ])('refuses %s', async (url, text) => {
    const storage = made[name]()
    const calls = [
      () => storage.downloadAssetBundle('job', url, '/nowhere'),
      () => storage.deleteAssetBundle('job', url),
      () => storage.downloadJobSpec('job', url),
      () => storage.deleteJobSpec('job', url),
      () => storage.downloadChunkOutput('job', url, '/nowhere/x'),
      () => storage.markCancelled(url, 1),
      () => storage.cancelMark(url, 1),
    ]
    for (const call of calls) expect((await rejection(call)).message).toBe(text)
  })

  it('names bucket, key and what the network said', async () => {
    const error = await rejection(() => made[name]().downloadJobSpec('job', `${scheme}://own/job/job.json`))
    expect(error.message).toMatch(new RegExp(`^cannot read ${scheme}://own/job/job.json: ECONNREFUSED: [^\\n]+$`))
    expect(error.code).toBe('ECONNREFUSED')
  })

  it('ends a job whose upload fails as failed, with what happened', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const manager = new JobManager(new InMemoryJobRepository(), { execute: async () => {} }, made[name]())
    const jobDir = tempFolder()
    writeFileSync(join(jobDir, 'asset'), '')
    const id = await manager.submitJob(spec(1), { jobDir })
    const job = await until(async () => (await manager.getJob(id))?.state === 'failed' && manager.getJob(id))
    expect(job.error).toMatch(/^Asset\/Spec upload failed: cannot (read|write) .*ECONNREFUSED/)
  })

  it('is asked by its methods, also when a spy or an heir has replaced one', async () => {
    const seen = []
    class Own extends made[name]().constructor {
      uploadAssetBundle = async (id, dir) => (seen.push(dir), `${scheme}://own/${id}`)
      uploadJobSpec = async (id) => `${scheme}://own/${id}/job.json`
    }
    const options = { ...r2, region: 'x', credentials: name === 'S3' ? credentials : undefined, apiEndpoint: nowhere }
    const manager = new JobManager(new InMemoryJobRepository(), { execute: async () => {} }, new Own(options))
    const jobDir = tempFolder()
    const id = await manager.submitJob(spec(1), { jobDir })
    await until(async () => (await manager.getJob(id))?.state === 'completed')
    expect(seen).toEqual([jobDir])
  })
})
