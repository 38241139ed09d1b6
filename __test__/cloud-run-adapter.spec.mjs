// CloudRunAdapter against a server that answers as services and their platform do.
import { mkdirSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CloudRunAdapter } from '../index.js'
import { matrix, read, retryOf, shown } from './support/answers.mjs'
import { tempFolder } from './support/files.mjs'
import { barrier, faults, loopback } from './support/loopback.mjs'
import { serviceAdapterContract } from './support/service-adapter-contract.mjs'
import { rejection } from './support/wait.mjs'

const PREFIX = 'Cloud Run execution failed: '
const meta = { chunkId: 3, jobDefUrl: 'gcs://bucket/job/job.json' }
const job = (more) => ({ command: 'render', meta, ...more })
const make = (serviceUrl, more) => new CloudRunAdapter({ serviceUrl, auth: false, ...more })

beforeEach(() => {
  vi.stubEnv('HOME', tempFolder())
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', undefined)
})
afterEach(() => vi.unstubAllEnvs())

serviceAdapterContract('CloudRunAdapter', {
  make,
  prefix: PREFIX,
  ok: (response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end('{"exitCode":0,"stdout":"done"}'),
  outcome: { exitCode: 0, stdout: 'done', stderr: '' },
})

// ---- what comes of an answer, worked out from the words of the promise ----

function expected(status, type, body) {
  const answer = read(body)
  const failure = (stderr) => ({ exitCode: 1, stdout: '', stderr, ...retryOf(status, answer) })
  if (status >= 300) {
    const asJson =
      answer.isJson && !type?.startsWith('text/')
        ? JSON.stringify(answer.value).replace('-2500', '-2.5e3')
        : JSON.stringify(body)
    return failure(`${PREFIX}HTTP ${status}: ${asJson}`)
  }
  const httpError = `HTTP Error ${status}: Quite Odd`
  if (!answer.object) return failure(status === 200 ? `${PREFIX}${shown(body)}` : httpError)
  const { exitCode, string, outputUrl } = answer
  return {
    exitCode: status === 200 ? (exitCode ?? 0) : 1,
    stdout: string('stdout') || string('output'),
    stderr: status === 200 ? string('stderr') : string('stderr') || httpError,
    ...outputUrl,
  }
}

describe('what comes of an answer', () => {
  matrix(make, (adapter) => adapter.execute(job()), expected)

  it.each([
    ['7', 7000],
    ['0', undefined],
    ['soon', undefined],
    [() => new Date(Date.now() + 600_000).toUTCString(), 600_000],
  ])('has when to ask again from Retry-After: %s', async (header, after) => {
    const value = typeof header === 'function' ? header() : header
    const server = await loopback((_, response) => void response.writeHead(503, { 'retry-after': value }).end())
    const { retry } = await make(server.url).execute(job())
    expect(retry.kind).toBe('transient')
    if (after === undefined) expect(retry.afterMs).toBeUndefined()
    else expect(Math.abs(retry.afterMs - after)).toBeLessThan(10_000)
  })

  it.each(Object.keys(faults))('is a failure that may pass after %s', async (name) => {
    const server = await loopback((request, response) => faults[name](request, response))
    const result = await make(server.url).execute(job())
    expect(result).toMatchObject({ exitCode: 1, stdout: '', retry: { kind: 'transient' } })
    expect(result.stderr.startsWith(PREFIX)).toBe(true)
  })

  it('is a failure where nobody listens', async () => {
    const server = await loopback(() => {})
    await server.close()
    const result = await make(server.url).execute(job())
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'transient' } })
    expect(result.stderr).toMatch(/^Cloud Run execution failed: .*refused/i)
  })

  it.each(['', 'no url', 'ftp://127.0.0.1/', undefined])('is a failure that says so with %j for a URL', async (url) => {
    const result = await make(url).execute(job())
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
    expect(result.stderr.startsWith(PREFIX)).toBe(true)
  })

  it('comes slowly and whole', async () => {
    const text = '{"exitCode":0,"stdout":"ü€😀"}'
    const server = await loopback(async (_, response) => {
      for (const byte of Buffer.from(text)) {
        response.write(Buffer.of(byte))
        await new Promise(setImmediate)
      }
      response.end()
    })
    expect((await make(server.url).execute(job())).stdout).toBe('ü€😀')
  })
})

describe('what is asked', () => {
  const fine = (_, response) => void response.end('{}')

  it('is a POST of path and index alone', async () => {
    const server = await loopback(fine)
    await make(`${server.url}/render?way=fast`).execute(job({ args: ['a'], env: { SECRET: 'x' } }))
    const [{ method, url, headers, body }] = server.requests
    expect([method, url, body]).toEqual([
      'POST',
      '/render?way=fast',
      '{"jobPath":"gcs://bucket/job/job.json","chunkIndex":3}',
    ])
    expect([headers['content-type'], headers.authorization]).toEqual(['application/json', undefined])
  })

  it('has the URL of the adapter before that of the job', async () => {
    const server = await loopback(fine)
    await make(server.url, { jobDefUrl: 'gcs://own' }).execute(job())
    await make(server.url).execute(job())
    expect(server.requests.map(({ body }) => JSON.parse(body).jobPath)).toEqual(['gcs://own', meta.jobDefUrl])
  })

  it('is nothing where something is missing', async () => {
    const server = await loopback(fine)
    const adapter = make(server.url)
    for (const bad of [undefined, {}, { chunkId: null }]) {
      const error = await rejection(() => adapter.execute(job({ meta: bad })))
      expect(error.message).toBe('CloudRunAdapter requires job.meta.chunkId to be set')
    }
    const nowhere = await adapter.execute(job({ meta: { chunkId: 0 } }))
    expect(nowhere).toMatchObject({ exitCode: 1, stderr: 'CloudRunAdapter requires jobDefUrl (in config or job.meta)' })
    expect(server.requests).toEqual([])
  })

  it('needs a config', () => {
    for (const config of [undefined, null, 'url']) expect(() => new CloudRunAdapter(config)).toThrow(TypeError)
  })
})

describe('redirects', () => {
  const to = (status, location) => (_, response) => void response.writeHead(status, { location }).end()

  it.each([301, 302, 303])('of status %i are answers: a POST does not become a GET', async (status) => {
    const server = await loopback(to(status, '/there'))
    expect(await make(server.url).execute(job())).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
    expect(server.requests.length).toBe(1)
  })

  it.each([307, 308])('of status %i are followed on the same host', async (status) => {
    const server = await loopback((request, response) => {
      if (request.url === '/there') response.end('{"stdout":"there"}')
      else to(status, '/there')(request, response)
    })
    expect((await make(server.url).execute(job())).stdout).toBe('there')
    expect(server.requests.map(({ method, url, body }) => [method, url, JSON.parse(body).chunkIndex])).toEqual([
      ['POST', '/', 3],
      ['POST', '/there', 3],
    ])
  })

  it('to other hosts are answers, and these hear nothing', async () => {
    const other = await loopback((_, response) => void response.end('{}'))
    const server = await loopback(to(307, other.url))
    expect((await make(server.url).execute(job())).stderr).toBe(`${PREFIX}HTTP 307: ""`)
    expect(other.connections).toBe(0)
  })

  it('in circles end', async () => {
    const server = await loopback(to(307, '/'))
    expect(await make(server.url).execute(job())).toMatchObject({ exitCode: 1 })
    expect(server.requests.length).toBeLessThan(10)
  })
})

// ---- who calls ----

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A metadata server. Its tokens are signed by nobody, which nobody here looks at. */
async function metadata({ lifetime = () => 3600, answer } = {}) {
  const issued = []
  const server = await loopback((request, response, { number }) => {
    if (answer?.(response, number)) return
    const { pathname, searchParams } = new URL(request.url, 'http://metadata')
    if (!pathname.endsWith('/identity') || request.headers['metadata-flavor'] !== 'Google')
      return void response.writeHead(404).end()
    const exp = Math.floor(Date.now() / 1000) + lifetime(number)
    issued.push(`${part({ alg: 'RS256' })}.${part({ aud: searchParams.get('audience'), exp, number })}.sig${number}`)
    response.writeHead(200, { 'metadata-flavor': 'Google' }).end(issued.at(-1))
  })
  vi.stubEnv('GCE_METADATA_HOST', `127.0.0.1:${server.port}`)
  return Object.assign(server, { issued })
}

describe('who calls', () => {
  const fine = (_, response) => void response.end('{}')
  const bearers = (server) => server.requests.map(({ headers }) => headers.authorization?.replace('Bearer ', ''))

  it('is shown by one token for many that begin together, made out for the service', async () => {
    const tokens = await metadata()
    const all = barrier(64)
    const server = await loopback(async (_, response) => {
      await all()
      response.end('{}')
    })
    const url = `${server.url}/render`
    const adapter = new CloudRunAdapter({ serviceUrl: url })
    const results = await Promise.all(Array.from({ length: 64 }, () => adapter.execute(job())))
    expect(results.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
    expect(tokens.issued.length).toBe(1)
    expect(new Set(bearers(server))).toEqual(new Set(tokens.issued))
    expect(JSON.parse(Buffer.from(tokens.issued[0].split('.')[1], 'base64url')).aud).toBe(url)
  })

  it('is not asked for with auth: false', async () => {
    const tokens = await metadata()
    const server = await loopback(fine)
    await make(server.url).execute(job())
    expect([tokens.connections, bearers(server)]).toEqual([0, [undefined]])
  })

  it('is shown by another token once one was refused', async () => {
    const tokens = await metadata()
    const server = await loopback((request, response) => {
      const known = request.headers.authorization === `Bearer ${tokens.issued[1]}`
      response.writeHead(known ? 200 : 401).end('{}')
    })
    const adapter = new CloudRunAdapter({ serviceUrl: server.url })
    expect((await adapter.execute(job())).exitCode).toBe(0)
    expect((await adapter.execute(job())).exitCode).toBe(0)
    expect(bearers(server)).toEqual([tokens.issued[0], tokens.issued[1], tokens.issued[1]])
  })

  it('is asked for no more than twice', async () => {
    const tokens = await metadata()
    const server = await loopback((_, response) => void response.writeHead(401).end('no'))
    const result = await new CloudRunAdapter({ serviceUrl: server.url }).execute(job())
    expect(result).toMatchObject({ exitCode: 1, stderr: `${PREFIX}HTTP 401: "no"`, retry: { kind: 'fatal' } })
    expect([server.requests.length, tokens.issued.length]).toEqual([2, 2])
  })

  it('is the user himself, after a login', async () => {
    const token = `${part({})}.${part({ exp: Math.floor(Date.now() / 1000) + 3600 })}.sig`
    const issuer = await loopback((_, response) => {
      const body = { access_token: 'access', id_token: token, token_type: 'Bearer', expires_in: 3600 }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
    const folder = `${process.env.HOME}/.config/gcloud`
    mkdirSync(folder, { recursive: true })
    const login = {
      type: 'authorized_user',
      client_id: 'id',
      client_secret: 'hidden',
      refresh_token: 'also-hidden',
      token_uri: `${issuer.url}/token`,
    }
    writeFileSync(`${folder}/application_default_credentials.json`, JSON.stringify(login))
    const server = await loopback(fine)
    expect((await new CloudRunAdapter({ serviceUrl: server.url }).execute(job())).stderr).toBe('')
    expect(bearers(server)).toEqual([token])
  })

  it.each([
    ['a file that is not there', () => '/nowhere/key.json'],
    ['a file that is no JSON', () => file('oops')],
    ['credentials of another kind', () => file('{"type":"external_account"}')],
  ])('is a failure that says so with %s', async (_, path) => {
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', path())
    const server = await loopback(fine)
    const result = await new CloudRunAdapter({ serviceUrl: server.url }).execute(job())
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
    expect(result.stderr.startsWith(`${PREFIX}no ID token: `)).toBe(true)
    expect(server.requests).toEqual([])
  })

  it('is asked for again after a failure', async () => {
    const tokens = await metadata({
      answer: (response, number) => number === 1 && response.writeHead(403).end('not yet'),
    })
    const server = await loopback(fine)
    const adapter = new CloudRunAdapter({ serviceUrl: server.url })
    expect(await adapter.execute(job())).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('no ID token') })
    expect((await adapter.execute(job())).exitCode).toBe(0)
    expect(tokens.issued.length).toBe(1)
  })

  it.each(['no token', 'a.b.c', `a.${part({})}.c`])('is not shown by %j', async (text) => {
    await metadata({ answer: (response) => response.writeHead(200, { 'metadata-flavor': 'Google' }).end(text) })
    const server = await loopback(fine)
    const result = await new CloudRunAdapter({ serviceUrl: server.url }).execute(job())
    expect(result).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('no ID token') })
    expect(server.requests).toEqual([])
  })
})

it('shows neither tokens nor what is secret in a URL', async () => {
  const tokens = await metadata()
  const url = (server) => server.url.replace('//', '//user:pass-word@').concat('/?key=query-secret')
  const gone = await loopback(() => {})
  await gone.close()
  for (const server of [
    gone,
    await loopback((_, response) => void response.writeHead(302, { location: '/?key=query-secret' }).end()),
    await loopback((request) => void request.socket.resetAndDestroy()),
    await loopback((_, response) => void response.writeHead(403).end('no')),
  ]) {
    const shown = JSON.stringify(await new CloudRunAdapter({ serviceUrl: url(server) }).execute(job()))
    for (const secret of ['pass-word', 'query-secret', ...tokens.issued]) expect(shown).not.toContain(secret)
  }
  vi.stubEnv('GCE_METADATA_HOST', `127.0.0.1:${gone.port}`)
  const shown = JSON.stringify(await new CloudRunAdapter({ serviceUrl: url(gone) }).execute(job({ timeout: 3000 })))
  for (const secret of ['pass-word', 'query-secret']) expect(shown).not.toContain(secret)
})

function file(text) {
  const path = `${tempFolder()}/key.json`
  writeFileSync(path, text)
  return path
}
