// How much of this machine it takes to have chunks rendered elsewhere.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { assertEqual, pool } from './fixtures.mjs'

/** `count` invocations of a function. */
export const lambda = (api, size) =>
  calls(size, (endpoint) => new api.AwsLambdaAdapter({ functionName: 'render', region: 'us-east-1', endpoint }))

/** `count` requests to a service. */
export const cloudRun = (api, size) => calls(size, (serviceUrl) => new api.CloudRunAdapter({ serviceUrl, auth: false }))

/** `count` requests to a function, by the adapter of its platform. */
export const functions = (api, size) =>
  calls(size, (url) => new api[size.adapter]({ serviceUrl: url, endpointUrl: url, authToken: 'token' }))

/** `count` requests that all wait at once: none is answered before the last has come. */
export const waiting = (api, { count }) =>
  calls({ count, concurrency: count, warmUp: 4 }, (url, all) => new api.VercelAdapter({ serviceUrl: `${url}/${all}` }))

function calls({ count, concurrency, warmUp = concurrency * 4 }, make) {
  const credentials = {
    AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_EC2_METADATA_DISABLED: 'true',
  }
  Object.assign(process.env, credentials)
  const server = spawn(process.execPath, [fileURLToPath(new URL('cloud-server.mjs', import.meta.url))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let adapter
  let done = 0
  const run = (count) =>
    pool(count, concurrency, async (chunkId) => {
      const { exitCode } = await adapter.execute({
        command: 'x',
        meta: { chunkId, jobDefUrl: 's3://bucket/job/job.json' },
      })
      if (exitCode === 0) done += 1
    })
  return {
    warmUp: async () => {
      const [port] = await once(server.stdout.setEncoding('utf8'), 'data')
      const url = `http://127.0.0.1:${port.trim()}`
      adapter = make(url, warmUp)
      await run(warmUp)
      adapter = make(url, count)
      done = 0
    },
    run: () => run(count),
    check: () => {
      server.stdin.end()
      assertEqual('chunks rendered', done, count)
    },
  }
}
