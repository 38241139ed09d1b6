// Calls of services in processes of their own: what keeps Node running, and what happens when it ends.
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { describe, expect, it, onTestFinished } from 'vitest'
import { authority, certificate, key } from './support/certificate.mjs'
import { tempFolder } from './support/files.mjs'
import { loopback } from './support/loopback.mjs'
import { runScript, scriptResult, startScript } from './support/scripts.mjs'
import { until } from './support/wait.mjs'

const env = {
  ...process.env,
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'secret',
  AWS_REGION: 'us-east-1',
  AWS_EC2_METADATA_DISABLED: 'true',
}
const clean = { code: 0, signal: null, stdout: '', stderr: '' }
const job = `{ command: 'x', meta: { chunkId: 1, jobDefUrl: 's3://b/j/job.json' } }`
const adapters = {
  AwsLambdaAdapter: (url) => `new lib.AwsLambdaAdapter({ functionName: 'f', endpoint: '${url}' })`,
  CloudRunAdapter: (url) => `new lib.CloudRunAdapter({ serviceUrl: '${url}', auth: false })`,
}

describe.each(Object.entries(adapters))('%s', (_, source) => {
  it('keeps nothing running while it is idle, also after a call', async () => {
    const server = await loopback((_, response) => void response.end('{}'))
    expect(await runScript(`globalThis.kept = ${source(server.url)}`, { env })).toEqual(clean)
    const started = performance.now()
    expect(
      await runScript(`const a = ${source(server.url)}; await a.execute(${job}); globalThis.kept = a`, { env }),
    ).toEqual(clean)
    expect([server.requests.length, performance.now() - started < 10_000]).toEqual([1, true])
  })

  it('keeps Node running until an answer has come that nobody waits for', async () => {
    let answer
    const server = await loopback((_, response) => void (answer = () => response.end('{}')))
    const script = `${source(server.url)}.execute(${job}).then(({ exitCode }) => process.stdout.write(String(exitCode)))`
    const { child, ended } = startScript(script, { env })
    await until(() => answer, 'the request')
    expect(child.exitCode).toBe(null)
    answer()
    expect(await ended).toEqual({ ...clean, stdout: '0' })
  })

  it('ends its calls with the thread that made them', async () => {
    const server = await loopback(() => {})
    const script = `
      import { Worker } from 'node:worker_threads'
      const source = ${JSON.stringify(`import * as lib from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
        void ${source(server.url)}.execute(${job})`)}
      const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(source)))
      process.stdin.once('data', () => void worker.terminate())
      await new Promise((resolve) => void worker.on('exit', resolve))
    `
    const { child, ended } = startScript(script, { env })
    await until(() => server.requests.length > 0, 'the request')
    child.stdin.end('stop')
    await until(() => server.sockets.size === 0, 'the end of the connection')
    expect(await ended).toMatchObject({ code: 0, signal: null, stderr: '' })
  })

  it('goes through a proxy, and not to whom NO_PROXY names', async () => {
    const proxy = await loopback(
      (_, response) => void response.end('{"body":{"output":"by proxy"},"statusCode":200,"stdout":"by proxy"}'),
    )
    const direct = await loopback(
      (_, response) => void response.end('{"body":{"output":"direct"},"statusCode":200,"stdout":"direct"}'),
    )
    const ask = `process.stdout.write(JSON.stringify((await ${source('http://service.invalid')}.execute(${job})).stdout))`
    const through = {
      ...env,
      HTTP_PROXY: proxy.url,
      http_proxy: proxy.url,
      NO_PROXY: '127.0.0.1',
      no_proxy: '127.0.0.1',
    }
    expect(await scriptResult(ask, { env: through })).toBe('by proxy')
    expect(await scriptResult(ask.replace('http://service.invalid', direct.url), { env: through })).toBe('direct')
  })

  it('trusts whom Node is told to trust, and nobody else', async () => {
    const server = createServer({ key, cert: certificate }, (_, response) => void response.end('{}'))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void server.close().closeAllConnections())
    const file = `${tempFolder()}/authority.pem`
    writeFileSync(file, authority)
    const url = `https://127.0.0.1:${server.address().port}`
    const ask = (more) =>
      scriptResult(`process.stdout.write(JSON.stringify(await ${source(url)}.execute(${job})))`, {
        env: { ...env, ...more },
      })
    expect((await ask({ NODE_EXTRA_CA_CERTS: file })).exitCode).toBe(0)
    expect((await ask({ NODE_TLS_REJECT_UNAUTHORIZED: '0', NODE_NO_WARNINGS: '1' })).exitCode).toBe(0)
    const refused = await ask({})
    expect(refused.exitCode).toBe(1)
    expect(refused.stderr).toMatch(/certificate|issuer/i)
  })
})
