// AwsLambdaAdapter against a server that answers as Lambda does.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { AwsLambdaAdapter } from '../index.js'
import { tempFolder } from './support/files.mjs'
import { barrier, faults, loopback } from './support/loopback.mjs'
import { serviceAdapterContract } from './support/service-adapter-contract.mjs'
import { rejection } from './support/wait.mjs'

const KEY = 'very-secret-key'
const meta = { chunkId: 3, jobDefUrl: 's3://bucket/job/job.json' }
const job = (more) => ({ command: 'render', meta, ...more })

beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDEXAMPLE')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', KEY)
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  vi.stubEnv('AWS_CONFIG_FILE', '/nowhere')
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere')
  vi.stubEnv('HOME', tempFolder())
})
afterEach(() => vi.unstubAllEnvs())

const make = (endpoint, more) =>
  new AwsLambdaAdapter({ functionName: 'render', region: 'eu-central-1', endpoint, ...more })

serviceAdapterContract('AwsLambdaAdapter', {
  make,
  prefix: '',
  ok: (response) => void response.end('{"statusCode":200,"body":"{\\"exitCode\\":0,\\"output\\":\\"done\\"}"}'),
  outcome: { exitCode: 0, stdout: 'done', stderr: '' },
})

// ---- what comes of an answer, worked out as the original does ----

const payloads = [
  '',
  'null',
  '5',
  '"text"',
  'true',
  'false',
  '[]',
  '{}',
  '{"a":1}',
  '{',
  'no json',
  '{"errorMessage":"boom","errorType":"Error","trace":[]}',
  '{"errorMessage":""}',
  '{"body":""}',
  '{"body":null,"statusCode":200}',
  '{"body":0}',
  '{"body":5,"statusCode":200}',
  '{"body":"{","statusCode":200}',
  '{"body":"null","statusCode":200}',
  '{"body":"5","statusCode":200}',
  '{"body":[],"statusCode":200}',
  ...['200', '201', '404', '500', '"200"', 'null', '200.0'].flatMap((status) => [
    `{"statusCode":${status},"body":{"output":"out"}}`,
    `{"statusCode":${status},"body":"{\\"output\\":\\"out\\",\\"message\\":\\"why\\"}"}`,
    `{"statusCode":${status},"body":{"output":"out","stderr":"err","exitCode":0}}`,
    `{"statusCode":${status},"body":{"output":7,"stderr":{},"exitCode":"0"}}`,
    `{"statusCode":${status},"body":{"exitCode":4,"message":"why","outputUrl":"s3://bucket/job/4.mp4"}}`,
    `{"statusCode":${status},"body":{"stderr":"","exitCode":-1,"outputUrl":""}}`,
  ]),
  '{"body":{"output":"ü€😀"},"statusCode":200}',
]

function expected(payload, functionError) {
  const failure = (stderr, stdout = '') => ({ exitCode: 1, stdout, stderr })
  const string = (value) => (typeof value === 'string' ? value : undefined)
  if (functionError) {
    let message
    try {
      message = string(JSON.parse(payload)?.errorMessage)
    } catch {}
    return failure(`Lambda execution failed: ${message || payload || 'Unknown Lambda Error'}`)
  }
  if (payload === '') return { exitCode: 0, stdout: '', stderr: '' }
  try {
    const answer = JSON.parse(payload)
    if (!answer.body) return { exitCode: 0, stdout: payload, stderr: '' }
    const body = typeof answer.body === 'string' ? JSON.parse(answer.body) : answer.body
    const url = string(body.outputUrl)
    const result = {
      exitCode: 0,
      stdout: string(body.output) ?? '',
      stderr: string(body.stderr) ?? '',
      ...(url && { outputUrl: url }),
    }
    if (typeof body.exitCode === 'number') result.exitCode = body.exitCode
    if (answer.statusCode === 200) return result
    result.stderr = string(body.stderr) ?? body.message ?? 'Lambda returned non-200 status code'
    result.exitCode ||= 1
    return result
  } catch {
    return failure(expect.stringMatching(/^Failed to parse Lambda response: ./), payload)
  }
}

const kinds = {
  400: 'fatal',
  403: 'fatal',
  404: 'fatal',
  413: 'fatal',
  429: 'throttled',
  500: 'transient',
  502: 'transient',
  503: 'transient',
  504: 'transient',
}
const errors = [
  ['TooManyRequestsException', '{"message":"slow down"}', 'slow down', 'throttled'],
  ['ServiceException', '{"Message":"our fault"}', 'our fault'],
  ['KMSDisabledException', '{"Message":"no key"}', 'no key', 'fatal'],
  ['ResourceConflictException', '{"message":"pending"}', 'pending', 'transient'],
  ['AccessDeniedException', '{}', 'AccessDeniedException'],
  [undefined, '', undefined],
  [undefined, '{"message":"who knows"}', 'who knows'],
  [undefined, '<html>nginx</html>', undefined],
  ['ResourceNotFoundException:http://x/', '{"Message":"no such function"}', 'no such function'],
]

describe('what comes of an answer', () => {
  it.each([200, 202])(
    `is what the payload says, with status %i (${payloads.length} payloads, twice)`,
    async (status) => {
      const server = await loopback((_, response, { number }) => {
        const [payload, failed] = cases[number - 1]
        response.writeHead(status, failed ? { 'x-amz-function-error': 'Unhandled' } : {})
        response.end(payload)
      })
      const cases = payloads.flatMap((payload) => [
        [payload, false],
        [payload, true],
      ])
      const adapter = make(server.url)
      for (const [payload, failed] of cases) {
        const result = await adapter.execute(job())
        expect([payload, result]).toEqual([payload, { ...expected(payload, failed), durationMs: expect.any(Number) }])
      }
      expect(server.requests.length).toBe(cases.length)
    },
  )

  it.each(Object.entries(kinds))('says whether to ask again after a %i', async (status, kind) => {
    const after = [undefined, '2', '0', 'soon', new Date(Date.now() + 600_000).toUTCString()]
    const cases = errors.flatMap((error) => after.map((header) => ({ error, header })))
    const server = await loopback((_, response, { number }) => {
      const {
        error: [code, body],
        header,
      } = cases[number - 1]
      const headers = { ...(code && { 'x-amzn-errortype': code }), ...(header && { 'retry-after': header }) }
      response.writeHead(status, headers)
      response.end(body)
    })
    const adapter = make(server.url)
    for (const { error, header } of cases) {
      const [code, , message, own] = error
      const result = await adapter.execute(job())
      const wanted = own ?? kind
      const late = header?.includes('GMT') ? expect.closeTo(600_000, -4.5) : header === '2' ? 2000 : undefined
      expect([code, header, result]).toEqual([
        code,
        header,
        {
          exitCode: 1,
          stdout: '',
          stderr: message ?? expect.stringMatching(new RegExp(`HTTP ${status}`)),
          durationMs: expect.any(Number),
          retry: { kind: wanted, ...(late && wanted !== 'fatal' && { afterMs: late }) },
        },
      ])
    }
  })

  it.each(Object.keys(faults))('is a failure that may pass after %s', async (name) => {
    const server = await loopback((request, response) => faults[name](request, response))
    const result = await make(server.url).execute(job())
    expect(result).toMatchObject({ exitCode: 1, stdout: '', retry: { kind: 'transient' } })
    expect(result.stderr).not.toBe('')
  })
})

describe('what is asked', () => {
  const fine = (_, response) => void response.end('{}')

  it('is a synchronous invocation with path and index alone', async () => {
    const server = await loopback(fine)
    await make(server.url).execute(job({ args: ['a'], env: { SECRET: 'x' } }))
    const [{ method, url, headers, body }] = server.requests
    expect([method, url, body]).toEqual([
      'POST',
      '/2015-03-31/functions/render/invocations',
      '{"jobPath":"s3://bucket/job/job.json","chunkIndex":3}',
    ])
    expect(headers['x-amz-invocation-type']).toBe('RequestResponse')
    expect(headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d+\/eu-central-1\/lambda\/aws4_request/,
    )
  })

  it.each([0, -1, 1.5, 2 ** 40])('has chunk %d as its number', async (chunkId) => {
    const server = await loopback(fine)
    await make(server.url).execute(job({ meta: { ...meta, chunkId } }))
    expect(JSON.parse(server.requests[0].body).chunkIndex).toBe(chunkId)
  })

  it('has the URL of the job before that of the adapter', async () => {
    const server = await loopback(fine)
    const adapter = make(server.url, { jobDefUrl: 's3://own' })
    await adapter.execute(job())
    await adapter.execute(job({ meta: { chunkId: 1 } }))
    await adapter.execute(job({ meta: { chunkId: 1, jobDefUrl: '' } }))
    expect(server.requests.map(({ body }) => JSON.parse(body).jobPath)).toEqual([
      meta.jobDefUrl,
      's3://own',
      's3://own',
    ])
  })

  it('is nothing where something is missing', async () => {
    const server = await loopback(fine)
    const adapter = make(server.url)
    for (const bad of [undefined, {}, { chunkId: null }]) {
      const error = await rejection(() => adapter.execute(job({ meta: bad })))
      expect(error.message).toBe('AwsLambdaAdapter requires job.meta.chunkId to be set')
    }
    expect(await rejection(() => adapter.execute(job({ meta: { chunkId: '1' } })))).toBeInstanceOf(TypeError)
    const nowhere = await adapter.execute(job({ meta: { chunkId: 0 } }))
    expect(nowhere).toMatchObject({
      exitCode: 1,
      stderr: 'AwsLambdaAdapter requires job.meta.jobDefUrl or config.jobDefUrl to be set',
    })
    expect(server.requests).toEqual([])
  })

  it('goes where the environment says', async () => {
    const [own, general] = [await loopback(fine), await loopback(fine)]
    vi.stubEnv('AWS_ENDPOINT_URL', general.url)
    vi.stubEnv('AWS_REGION', 'us-west-2')
    await new AwsLambdaAdapter({ functionName: 'f' }).execute(job())
    vi.stubEnv('AWS_ENDPOINT_URL_LAMBDA', own.url)
    await new AwsLambdaAdapter({ functionName: 'f' }).execute(job())
    expect([general.requests.length, own.requests.length]).toEqual([1, 1])
    expect(own.requests[0].headers.authorization).toContain('/us-west-2/lambda/')
  })
})

describe('what cannot work', () => {
  it('is a failure that says so: no region', async () => {
    vi.stubEnv('AWS_REGION', undefined)
    vi.stubEnv('AWS_DEFAULT_REGION', undefined)
    const result = await new AwsLambdaAdapter({ functionName: 'f' }).execute(job())
    expect(result).toMatchObject({ exitCode: 1, stdout: '', retry: { kind: 'fatal' } })
    expect(result.stderr).toMatch(/^Region is missing/)
  })

  it('is a failure that says so: no credentials', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined)
    const server = await loopback(() => {})
    const result = await make(server.url).execute(job())
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
    expect(result.stderr).toMatch(/credential/i)
    expect(server.requests).toEqual([])
  })

  it('is a failure that says so: no function', async () => {
    const result = await new AwsLambdaAdapter({ region: 'eu-central-1' }).execute(job())
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
    expect(result.stderr).toMatch(/function/i)
  })

  it.each(['localhost:4566', 'http://', 'http://a b', '/path'])(
    'is a failure that says so, and shows nothing of the request: %s as endpoint',
    async (endpoint) => {
      const result = await make(endpoint).execute(
        job({ meta: { ...meta, jobDefUrl: 'https://host/job.json?signature=hush' } }),
      )
      expect(result).toMatchObject({ exitCode: 1, stdout: '', retry: { kind: 'fatal' } })
      expect(result.stderr).toMatch(/^the endpoint cannot be used: endpoint .{1,60}$/)
    },
  )

  it('needs a config', () => {
    for (const config of [undefined, null, 'render']) expect(() => new AwsLambdaAdapter(config)).toThrow(TypeError)
  })
})

it('looks for credentials once for many that begin together', async () => {
  const file = `${tempFolder()}/count`
  const all = barrier(64)
  const server = await loopback(async (_, response) => {
    await all()
    response.end('{}')
  })
  vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined)
  const { readFileSync, writeFileSync } = await import('node:fs')
  const says = JSON.stringify({ Version: 1, AccessKeyId: 'AKIDPROCESS', SecretAccessKey: KEY })
  writeFileSync(
    `${file}.cfg`,
    `[default]\ncredential_process = sh -c "echo x >> ${file}; echo '${says.replaceAll('"', '\\"')}'"\n`,
  )
  vi.stubEnv('AWS_CONFIG_FILE', `${file}.cfg`)
  const adapter = make(server.url)
  const results = await Promise.all(Array.from({ length: 64 }, () => adapter.execute(job())))
  expect(results.filter(({ exitCode, stderr }) => exitCode !== 0 || stderr !== '')).toEqual([])
  expect(readFileSync(file, 'utf8')).toBe('x\n')
  expect(server.requests[0].headers.authorization).toContain('AKIDPROCESS')
})

it('never shows the key', async () => {
  const server = await loopback((_, response) => {
    response.writeHead(403, { 'x-amzn-errortype': 'InvalidSignatureException' })
    response.end('{"message":"The request signature does not match"}')
  })
  const shown = JSON.stringify(await make(server.url).execute(job()))
  expect(shown).not.toContain(KEY)
  expect(shown).not.toContain('Signature=')
})
