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

function calls({ count, concurrency }, make) {
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
      adapter = make(`http://127.0.0.1:${port.trim()}`)
      await run(concurrency * 4)
      done = 0
    },
    run: () => run(count),
    check: () => {
      server.stdin.end()
      assertEqual('chunks rendered', done, count)
    },
  }
}
