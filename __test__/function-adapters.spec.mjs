// The adapters of services that render a chunk for one request, against a server that answers as services, their platforms
// and the proxies before them do.
import { describe, expect, it } from 'vitest'
import {
  AzureFunctionsAdapter,
  CloudflareWorkersAdapter,
  DenoDeployAdapter,
  ModalAdapter,
  VercelAdapter,
} from '../index.js'
import { matrix, read, retryOf, shown } from './support/answers.mjs'
import { faults, loopback } from './support/loopback.mjs'
import { serviceAdapterContract } from './support/service-adapter-contract.mjs'
import { rejection } from './support/wait.mjs'

const meta = { chunkId: 3, jobDefUrl: 'gcs://bucket/job/job.json' }
const job = (more) => ({ command: 'render', meta, ...more })

/** An error as the result that other adapters give. */
const asResult = ({ name, message, code, retry, timedOut }) => ({
  exitCode: 1,
  stdout: '',
  stderr: message,
  durationMs: 0,
  ...(name !== 'Error' && { name, code }),
  ...(retry && { retry }),
  ...(timedOut && { timedOut }),
})
const caught = (running) => running.catch(asResult)
const isJsonType = (type) => type?.startsWith('application/json') ?? false

/** What comes of an answer for those that reject, worked out from the words of the promise. */
const strict = (name) => (status, _, body) => {
  const answer = read(body)
  const failed = (text) => ({ exitCode: 1, stdout: '', stderr: `${name} ${text}`, durationMs: 0 })
  if (status >= 300) return { ...failed(`failed with status ${status}: Quite Odd`), ...retryOf(status, answer) }
  if (!answer.object) return failed(`received invalid JSON: ${shown(body)}`)
  return {
    exitCode: answer.exitCode ?? -1,
    stdout: answer.string('stdout'),
    stderr: answer.string('stderr'),
    durationMs: 0,
    ...answer.outputUrl,
  }
}

const ADAPTERS = [
  {
    name: 'AzureFunctionsAdapter',
    make: (serviceUrl, more) => new AzureFunctionsAdapter({ serviceUrl, ...more }),
    prefix: '',
    abortion: { exitCode: 143, stderr: 'Job execution aborted by signal' },
    key: (value) => [{ functionKey: value }, { 'x-functions-key': value }],
    ownUrl: 'last',
    missing: [
      ['chunkId is required in job metadata for Azure Functions execution', {}],
      ['jobDefUrl is required in job metadata or adapter config for Azure Functions execution', { chunkId: 0 }],
    ],
    expected(status, type, body) {
      const answer = read(body)
      const { exitCode, string, outputUrl } = answer
      if (status >= 300) {
        const stderr = `HTTP Error: ${status} Quite Odd\n${body}`
        return { exitCode: status, stdout: '', stderr, ...retryOf(status, answer) }
      }
      if (!isJsonType(type)) return { exitCode: 0, stdout: body, stderr: '' }
      if (!answer.object) return { exitCode: 1, stdout: '', stderr: `Failed to parse JSON response: ${shown(body)}` }
      const stdout = string('stdout') || string('output')
      return { exitCode: exitCode ?? 0, stdout, stderr: string('stderr'), ...outputUrl }
    },
  },
  {
    name: 'CloudflareWorkersAdapter',
    make: (serviceUrl, more) => new CloudflareWorkersAdapter({ serviceUrl, ...more }),
    prefix: 'Cloudflare Workers execution failed: ',
    abortion: { exitCode: 1, stderr: 'Cloudflare Workers execution failed: Job was cancelled' },
    key: (value) => [{ authToken: value }, { authorization: `Bearer ${value}` }],
    ownUrl: 'first',
    missing: [['CloudflareWorkersAdapter requires job.meta.chunkId to be set', {}]],
    incomplete: ['CloudflareWorkersAdapter requires jobDefUrl (in config or job.meta)', { chunkId: 0 }],
    expected(status, type, body) {
      const answer = read(body)
      const isOk = status < 300
      const httpError = isOk ? '' : `HTTP Error ${status}: Quite Odd`
      const retry = retryOf(status, answer)
      if (!isJsonType(type)) return { exitCode: isOk ? 0 : 1, stdout: body, stderr: httpError, ...retry }
      if (!answer.object) {
        const stderr = `Cloudflare Workers execution failed: ${shown(body)}`
        return { exitCode: 1, stdout: '', stderr, ...retry }
      }
      const { exitCode, string, outputUrl } = answer
      return {
        exitCode: isOk ? (exitCode ?? 0) : exitCode || 1,
        stdout: string('stdout') || string('output'),
        stderr: string('stderr') || httpError,
        ...outputUrl,
        ...retry,
      }
    },
  },
  {
    name: 'DenoDeployAdapter',
    make: (serviceUrl, more) => new DenoDeployAdapter({ serviceUrl, ...more }),
    prefix: 'DenoDeployAdapter fetch failed: ',
    timeoutPrefix: '',
    abortion: { exitCode: 1, stderr: 'This operation was aborted', name: 'AbortError', code: 20 },
    key: (value) => [{ authToken: value }, { authorization: `Bearer ${value}` }],
    missing: [
      ['DenoDeployAdapter requires job.meta.jobDefUrl to be set', {}],
      ['DenoDeployAdapter requires job.meta.chunkId to be set', { jobDefUrl: 's3://b/j' }],
    ],
    outcomeOf: caught,
    measures: false,
    expected: strict('DenoDeployAdapter'),
  },
  {
    name: 'VercelAdapter',
    make: (serviceUrl, more) => new VercelAdapter({ serviceUrl, ...more }),
    prefix: 'VercelAdapter fetch failed: ',
    timeoutPrefix: '',
    abortion: { exitCode: 1, stderr: 'This operation was aborted', name: 'AbortError', code: 20 },
    key: (value) => [{ authToken: value }, { authorization: `Bearer ${value}` }],
    ownUrl: 'last',
    missing: [
      ['VercelAdapter requires job.meta.jobDefUrl or config.jobDefUrl to be set', { chunkId: 1 }],
      ['VercelAdapter requires job.meta.chunkId to be set', { jobDefUrl: 's3://b/j' }],
    ],
    outcomeOf: caught,
    measures: false,
    expected: strict('VercelAdapter'),
  },
  {
    name: 'ModalAdapter',
    make: (endpointUrl, more) => new ModalAdapter({ endpointUrl, ...more }),
    prefix: 'Execution failed: ',
    abortion: { exitCode: 1, stderr: 'Job aborted' },
    key: (value) => [{ authToken: value }, { authorization: `Bearer ${value}` }],
    missing: [],
    runsCommands: true,
    expected(status, _, body) {
      const answer = read(body)
      const failed = (text) => ({ exitCode: 1, stdout: '', stderr: `Execution failed: ${text}` })
      if (status >= 300) return { ...failed(`HTTP error! status: ${status}`), ...retryOf(status, answer) }
      if (!answer.object) return failed(shown(body))
      const { exitCode, string, outputUrl } = answer
      const stdout = string('stdout') || string('output')
      return { exitCode: exitCode ?? 0, stdout, stderr: string('stderr'), ...outputUrl }
    },
  },
]

for (const adapter of ADAPTERS) {
  const { name, make, prefix, expected, outcomeOf = (running) => running } = adapter
  const fine = (_, response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end('{"exitCode":0,"stdout":"done"}')
  const bodies = (server) => server.requests.map(({ body }) => JSON.parse(body))

  serviceAdapterContract(name, {
    ...adapter,
    ok: (response) => fine(undefined, response),
    outcome: { exitCode: 0, stdout: 'done', stderr: '' },
  })

  describe(`${name}: what comes of an answer`, () => {
    matrix(make, (made) => outcomeOf(made.execute(job())), expected)

    it.each(Object.keys(faults))('is a failure that may pass after %s', async (fault) => {
      const server = await loopback((request, response) => faults[fault](request, response))
      const result = await outcomeOf(make(server.url).execute(job()))
      expect(result).toMatchObject({ exitCode: 1, stdout: '', retry: { kind: 'transient' } })
      expect(result.stderr.startsWith(prefix)).toBe(true)
    })

    it('is a failure where nobody listens', async () => {
      const server = await loopback(() => {})
      await server.close()
      const result = await outcomeOf(make(server.url).execute(job()))
      expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'transient' } })
      expect(result.stderr.startsWith(prefix)).toBe(true)
      expect(result.stderr).toMatch(/refused/i)
    })

    it.each(['', 'no url', undefined])('is a failure that says so with %j for a URL', async (url) => {
      const result = await outcomeOf(make(url).execute(job()))
      expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
      expect(result.stderr.startsWith(prefix)).toBe(true)
    })

    it('has when to ask again from Retry-After', async () => {
      const server = await loopback((_, response) => void response.writeHead(503, { 'retry-after': '7' }).end())
      const { retry } = await outcomeOf(make(server.url).execute(job()))
      expect(retry).toEqual({ kind: 'transient', afterMs: 7000 })
    })
  })

  describe(`${name}: what is asked`, () => {
    it('is a POST of JSON, with who asks', async () => {
      const server = await loopback(fine)
      const [config, headers] = adapter.key('hush-hush')
      await make(`${server.url}/render?way=fast`, config).execute(job({ args: ['a'], env: process.env }))
      await make(server.url).execute(job({ args: ['a'] }))
      const [first, second] = server.requests
      expect([first.method, first.url, first.headers]).toMatchObject([
        'POST',
        '/render?way=fast',
        { 'content-type': 'application/json', ...headers },
      ])
      expect(second.headers).not.toHaveProperty(Object.keys(headers)[0])
      const body = {
        jobPath: meta.jobDefUrl,
        chunkIndex: 3,
        ...(adapter.runsCommands && { command: 'render', args: ['a'] }),
      }
      expect(bodies(server)).toEqual([body, body])
    })

    if (adapter.ownUrl)
      it(`has the URL of the adapter ${adapter.ownUrl}`, async () => {
        const server = await loopback(fine)
        await make(server.url, { jobDefUrl: 'gcs://own' }).execute(job())
        await make(server.url, { jobDefUrl: 'gcs://own' }).execute(job({ meta: { chunkId: 3 } }))
        const both = adapter.ownUrl === 'first' ? 'gcs://own' : meta.jobDefUrl
        expect(bodies(server).map(({ jobPath }) => jobPath)).toEqual([both, 'gcs://own'])
      })

    it('is nothing where something is missing', async () => {
      const server = await loopback(fine)
      for (const [message, bad] of adapter.missing) {
        const error = await rejection(() => make(server.url).execute(job({ meta: bad })))
        expect([error.name, error.message]).toEqual(['Error', message])
      }
      if (adapter.incomplete) {
        const [stderr, bad] = adapter.incomplete
        expect(await make(server.url).execute(job({ meta: bad }))).toMatchObject({ exitCode: 1, stderr })
      }
      expect(server.requests).toEqual([])
    })

    it('never shows its key, nor what is secret in a URL', async () => {
      const [config] = adapter.key('hush-hush')
      const answers = [
        (request) => void request.socket.resetAndDestroy(),
        (_, response) => void response.writeHead(302, { location: '/?key=query-secret' }).end(),
        (_, response) => void response.writeHead(403).end('no'),
      ]
      for (const answer of answers) {
        const server = await loopback(answer)
        const url = `${server.url.replace('//', '//user:pass-word@')}/?key=query-secret`
        const shown = JSON.stringify(await outcomeOf(make(url, config).execute(job())))
        for (const secret of ['hush-hush', 'pass-word', 'query-secret']) expect(shown).not.toContain(secret)
      }
      const [broken] = adapter.key('hush\nhush')
      const server = await loopback(fine)
      const result = await outcomeOf(make(server.url, broken).execute(job()))
      expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
      expect(result.stderr).not.toMatch(/hush/)
      expect(server.requests).toEqual([])
    })

    it('needs a config', () => {
      const { constructor } = make('http://127.0.0.1:9')
      for (const config of [undefined, null, 'url']) expect(() => new constructor(config)).toThrow(TypeError)
    })
  })
}

describe('ModalAdapter', () => {
  const ask = async (config, more) => {
    const server = await loopback((_, response) => void response.end('{}'))
    await new ModalAdapter({ endpointUrl: server.url, ...config }).execute(more)
    return JSON.parse(server.requests[0].body)
  }

  it('needs nothing but a command', async () => {
    expect(await ask({}, { command: 'render' })).toEqual({ command: 'render', args: [] })
  })

  it('sends the variables of the job alone, and those that are named', async () => {
    process.env.HELIOS_TEST_SECRET = 'hush-hush'
    try {
      const env = { ...process.env, OWN: 'mine', PATH: undefined }
      expect((await ask({}, { command: 'render', env })).env).toEqual({ OWN: 'mine' })
      const named = await ask({ forwardEnv: ['HELIOS_TEST_SECRET', 'NOT_THERE'] }, { command: 'render' })
      expect(named.env).toEqual({ HELIOS_TEST_SECRET: 'hush-hush' })
      const { env: all } = await ask({ forwardEnv: true }, { command: 'render', env })
      const { PATH, ...others } = { ...process.env, OWN: 'mine' }
      expect([typeof PATH, all]).toEqual(['string', others])
    } finally {
      delete process.env.HELIOS_TEST_SECRET
    }
  })

  it.each([['PATH'], [[5]], [{}]])('refuses %j as the names of variables', (forwardEnv) => {
    expect(() => new ModalAdapter({ endpointUrl: 'http://127.0.0.1:9', forwardEnv })).toThrow(
      new TypeError('forwardEnv must be an array of strings, or true'),
    )
  })
})
