// CloudRunAdapter with tokens that somebody has signed, and a service that looks at them.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { CloudRunAdapter, JobExecutor } from '../index.js'
import { captureConsole } from '../__test__/support/console.mjs'
import { spec } from '../__test__/support/jobs.mjs'
import { LOGIN_CLIENT, startGuarded, startIdentities } from './services/oidc.mjs'

const url = 'gcs://bucket/film/job.json'
let identities
let service
let audience
const folder = mkdtempSync(join(tmpdir(), 'helios-login-'))

beforeAll(async () => {
  identities = await startIdentities()
  service = await startGuarded(
    identities,
    (_, response, body) => void response.end(JSON.stringify({ exitCode: 0, stdout: body })),
    () => audience,
  )
})
afterAll(async () => {
  await service?.stop()
  await identities?.stop()
})
beforeEach(() => {
  audience = undefined
  identities.lifetime = 3600
  Object.assign(identities.issued, { metadata: 0, iam: 0, login: 0 })
  service.refused.length = 0
  vi.stubEnv('HOME', folder)
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', undefined)
  vi.stubEnv('GCE_METADATA_HOST', identities.metadataHost)
})
afterEach(() => vi.unstubAllEnvs())

const execute = (adapter = new CloudRunAdapter({ serviceUrl: service.url })) =>
  adapter.execute({ command: 'x', meta: { chunkId: 2, jobDefUrl: url } })
const good = { exitCode: 0, stdout: `{"jobPath":"${url}","chunkIndex":2}`, stderr: '' }
const credentials = (content) => {
  const path = join(folder, `${content.type}.json`)
  writeFileSync(path, JSON.stringify(content))
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', path)
}
const login = () => ({
  type: 'authorized_user',
  client_id: LOGIN_CLIENT,
  client_secret: 'secret',
  refresh_token: 'refresh',
  token_uri: `${identities.url}/token`,
})

describe('a service that looks at tokens', () => {
  it('takes those of the metadata server', async () => {
    expect(await execute()).toMatchObject(good)
    expect([identities.issued.metadata, service.refused]).toEqual([1, []])
  })

  it('takes those of somebody who is impersonated', async () => {
    credentials({
      type: 'impersonated_service_account',
      service_account_impersonation_url: `${identities.url}/v1/projects/-/serviceAccounts/render:generateAccessToken`,
      source_credentials: login(),
    })
    const result = await execute()
    expect(result).toMatchObject(good)
    expect([identities.issued.iam, service.refused]).toEqual([1, []])
  })

  it('takes those of the user himself, where it lets him in', async () => {
    credentials(login())
    audience = LOGIN_CLIENT
    expect(await execute()).toMatchObject(good)
    expect([identities.issued.login, service.refused]).toEqual([1, []])
  })

  it('does not take those of others', async () => {
    audience = 'https://another.run.app'
    const result = await execute()
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
    expect(result.stderr).toMatch(/^Cloud Run execution failed: HTTP 401: /)
    expect(service.refused.length).toBe(2)
  })

  it('gets another one when one has expired', async () => {
    const adapter = new CloudRunAdapter({ serviceUrl: service.url })
    identities.lifetime = 1
    expect(await execute(adapter)).toMatchObject(good)
    identities.lifetime = 3600
    await vi.waitUntil(async () => (await execute(adapter)).exitCode === 0 && identities.issued.metadata >= 2, 20_000)
  })

  it('refuses without one', async () => {
    const result = await execute(new CloudRunAdapter({ serviceUrl: service.url, auth: false }))
    expect(result.stderr).toMatch(/^Cloud Run execution failed: HTTP 401: /)
  })

  it('renders the chunks of a job with one token', async () => {
    captureConsole()
    const seen = []
    const executor = new JobExecutor(new CloudRunAdapter({ serviceUrl: service.url }))
    await executor.execute(spec(32), {
      concurrency: 16,
      meta: { jobDefUrl: url },
      onChunkComplete: (id) => void seen.push(id),
    })
    expect([seen.length, identities.issued.metadata]).toEqual([32, 1])
  })
})
