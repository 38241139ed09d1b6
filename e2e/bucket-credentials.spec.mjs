// Where the credentials of the storages in buckets come from, and how often.
import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GcsStorageAdapter, S3StorageAdapter } from '../index.js'
import { need } from '../__test__/support/abilities.mjs'
import { tempFolder } from '../__test__/support/files.mjs'
import { spec } from '../__test__/support/jobs.mjs'
import { bundle } from '../__test__/support/storage-contract.mjs'
import { rejection } from '../__test__/support/wait.mjs'
import { start as startGcs } from './services/gcs.mjs'
import { serviceAccount } from './services/google-token.mjs'
import { start as startS3 } from './services/s3.mjs'

const KEY = { key: 'AKIATEST', secret: 'hush-hush' }
const credentials = { accessKeyId: KEY.key, secretAccessKey: KEY.secret }
let s3, gcs, google

beforeAll(async () => {
  google = await serviceAccount('token')
  ;[s3, gcs] = await Promise.all([startS3({ ...KEY }), startGcs({ token: 'token' })])
})
afterAll(() => Promise.all([s3?.stop(), gcs?.stop(), google?.stop()]))

const made = (more) => new S3StorageAdapter({ bucket: 'bucket', region: 'us-east-1', endpoint: s3.url, ...more })

/** Runs a script in a process with an environment of its own, by way of a program if one is given; gives what it prints. */
async function elsewhere(env, script, by = []) {
  const [module, home] = [new URL('../index.js', import.meta.url).href, tempFolder()]
  const code = `const { GcsStorageAdapter, S3StorageAdapter } = await import(${JSON.stringify(module)})
    const job = (storage) => storage.uploadJobSpec('job', { id: 'x' }).then(console.log, (error) => console.log(error.message))
    ${script}`
  const own = { PATH: process.env.PATH, HOME: home, AWS_EC2_METADATA_DISABLED: 'true', ...env }
  const [program, ...args] = [...by, process.execPath, '--input-type=module', '-e', code]
  const { stdout } = await promisify(execFile)(program, args, { env: own })
  return stdout.trim()
}

describe('of Amazon', () => {
  it('are asked for once when they do not expire', async () => {
    let asked = 0
    const storage = made({ credentials: async () => ((asked += 1), credentials) })
    expect(asked).toBe(0)
    await storage.uploadAssetBundle('job', bundle())
    await storage.uploadJobSpec('job', spec(1))
    expect(asked).toBe(1)
  })

  it('are asked for again before they expire', async () => {
    let asked = 0
    const give = () => (
      (asked += 1),
      { ...credentials, expiration: new Date(Date.now() + (asked === 1 ? -1000 : 3_600_000)) }
    )
    const storage = made({ credentials: give })
    await storage.uploadAssetBundle('job', bundle())
    expect(asked).toBe(2)
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no luck')
      },
      'no luck',
    ],
    ['rejects', () => Promise.reject(new Error('no luck')), 'no luck'],
    ['gives nothing', () => undefined, 'the result of options.credentials must be an object'],
    [
      'gives half of them',
      () => ({ accessKeyId: 'A' }),
      'the result of options.credentials.secretAccessKey must be a string',
    ],
  ])('are told to be missing when the function %s', async (_, give, text) => {
    const error = await rejection(() => made({ credentials: give }).uploadJobSpec('job', spec(1)))
    expect(error.message).toContain(`cannot read s3://bucket/job.job.json: no credentials: ${text}`)
  })

  it('come from the environment, with region and endpoint', async () => {
    const env = {
      AWS_ACCESS_KEY_ID: KEY.key,
      AWS_SECRET_ACCESS_KEY: KEY.secret,
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL_S3: s3.url,
    }
    expect(await elsewhere(env, `await job(new S3StorageAdapter({ bucket: 'bucket' }))`)).toBe(
      's3://bucket/job/job.json',
    )
  })

  it('come from process.env as it is when they are needed', async () => {
    const script = `Object.assign(process.env, ${JSON.stringify({ AWS_ACCESS_KEY_ID: KEY.key, AWS_SECRET_ACCESS_KEY: KEY.secret })})
      await job(new S3StorageAdapter({ bucket: 'bucket', region: 'us-east-1', endpoint: ${JSON.stringify(s3.url)} }))`
    expect(await elsewhere({}, script)).toBe('s3://bucket/job/job.json')
  })

  it('come from a profile', async () => {
    const folder = tempFolder()
    mkdirSync(join(folder, '.aws'))
    const file = join(folder, '.aws', 'credentials')
    writeFileSync(file, `[team]\naws_access_key_id=${KEY.key}\naws_secret_access_key=${KEY.secret}\nregion=us-east-1\n`)
    const env = { AWS_SHARED_CREDENTIALS_FILE: file, AWS_PROFILE: 'team', AWS_ENDPOINT_URL: s3.url }
    expect(await elsewhere(env, `await job(new S3StorageAdapter({ bucket: 'bucket' }))`)).toBe(
      's3://bucket/job/job.json',
    )
  })

  it.each(['+2h', '-2h'])('are refused when the clock is wrong (%s), and it is said why', async (offset, context) => {
    need(context, 'clock')
    const script = `await job(new S3StorageAdapter(${JSON.stringify({ bucket: 'bucket', region: 'us-east-1', endpoint: s3.url, credentials })}))`
    expect(await elsewhere({}, script, ['faketime', '-f', offset])).toBe(
      'cannot write s3://bucket/job/job.json: RequestTimeTooSkewed (403): request time is too far from server time',
    )
  })

  it('are told to be missing when nobody has any', async () => {
    const said = await elsewhere({ AWS_REGION: 'us-east-1' }, `await job(new S3StorageAdapter({ bucket: 'bucket' }))`)
    expect(said).toMatch(/^cannot read s3:\/\/bucket\/job\.job\.json: no credentials: [^\n]+$/)
  })

  it('need a region', async () => {
    expect(await elsewhere({}, `await job(new S3StorageAdapter({ bucket: 'bucket' }))`)).toBe(
      'cannot open s3://bucket: Region is missing',
    )
  })
})

describe('of Google', () => {
  it('are those of a key, asked for once', async () => {
    const before = google.state.given
    const storage = new GcsStorageAdapter({ bucket: 'bucket', apiEndpoint: gcs.url, credentials: google.credentials })
    await storage.uploadAssetBundle('job', bundle())
    expect(google.state.given).toBe(before + 1)
    expect(gcs.state.refused).toBe(0)
  })

  it('are those of a file', async () => {
    const keyFilename = join(tempFolder(), 'key.json')
    writeFileSync(keyFilename, JSON.stringify(google.credentials))
    const storage = new GcsStorageAdapter({ bucket: 'bucket', apiEndpoint: gcs.url, keyFilename })
    expect(await storage.uploadJobSpec('job', spec(1))).toBe('gcs://bucket/job/job.json')
  })

  it('are those of GOOGLE_APPLICATION_CREDENTIALS, where an http endpoint may have them', async () => {
    const file = join(tempFolder(), 'key.json')
    writeFileSync(file, JSON.stringify(google.credentials))
    const env = { GOOGLE_APPLICATION_CREDENTIALS: file, STORAGE_EMULATOR_HOST: gcs.url }
    const script = (more) =>
      `await job(new GcsStorageAdapter({ bucket: 'bucket', useAuthWithCustomEndpoint: ${more} }))`
    expect(await elsewhere(env, script(true))).toBe('gcs://bucket/job/job.json')
    expect(await elsewhere(env, script(false))).toContain('status 401: Unauthorized')
  })

  it('are told to be wrong', async () => {
    const keyFilename = join(tempFolder(), 'none.json')
    const storage = new GcsStorageAdapter({ bucket: 'bucket', apiEndpoint: gcs.url, keyFilename })
    const error = await rejection(() => storage.uploadJobSpec('job', spec(1)))
    expect(error.message).toMatch(/^cannot (read|write) gcs:\/\/bucket\/job.*: no access token: .*none\.json/)
  })
})
