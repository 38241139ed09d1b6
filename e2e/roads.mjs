// The roads of a render: a service of workers, and a storage that both sides reach.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { vi } from 'vitest'
import { AwsLambdaAdapter, CloudRunAdapter } from '../index.js'
import { startFaultProxy } from './services/fault-proxy.mjs'
import { start as startGcs } from './services/gcs.mjs'
import { serviceAccount } from './services/google-token.mjs'
import { startLambda } from './services/lambda.mjs'
import { startGuarded, startIdentities } from './services/oidc.mjs'
import { start as startS3 } from './services/s3.mjs'
import { storageOf } from './workers/storage.mjs'

const path = (file) => fileURLToPath(new URL(file, import.meta.url))
const BUCKET = 'film-bucket'
const KEY = { key: 'AKIATEST', secret: 'hush-hush' }

/** What is started is ended, the last first. */
function stack() {
  const ends = []
  return {
    async add(thing) {
      const started = await thing
      ends.unshift(() => started.stop())
      return started
    },
    async end() {
      for (const end of ends.splice(0)) await end()
    },
  }
}

/** Starts the storage of `kind`. Gives `options` for it, behind a proxy that spoils answers when there is a `seed`. */
async function startStorage(kind, own, seed) {
  const behind = async (server) => (seed === undefined ? server : own.add(startFaultProxy(server.url, seed)))
  // So many attempts that a fifth of spoilt answers does not matter.
  const common = { kind, bucket: BUCKET, maxAttempts: 10 }
  if (kind === 'gcs') {
    const account = await own.add(serviceAccount('token'))
    const server = await own.add(startGcs({ token: 'token', buckets: [BUCKET] }))
    const front = await behind(server)
    const options = { ...common, apiEndpoint: front.url, credentials: account.credentials }
    return { options, folder: server.folder, faults: front.faults }
  }
  const server = await own.add(startS3({ ...KEY, buckets: [BUCKET] }))
  const front = await behind(server)
  const keys = { accessKeyId: KEY.key, secretAccessKey: KEY.secret }
  const of = {
    s3: { region: 'us-east-1', endpoint: front.url, forcePathStyle: true, credentials: keys },
    r2: { accountId: 'account', endpoint: front.url, ...keys },
  }
  return { options: { ...common, ...of[kind] }, folder: server.folder, faults: front.faults }
}

async function startLambdaWorkers(storage, workspaceDir, own, seed) {
  const source = `import { lambdaHandler } from ${JSON.stringify(path('workers/lambda.mjs'))}
export const handler = lambdaHandler(${JSON.stringify(storage)}, ${JSON.stringify(workspaceDir)})`
  const lambda = await own.add(startLambda({ render: source }, { timeout: 60 }))
  const front = seed === undefined ? undefined : await own.add(startFaultProxy(lambda.endpoint, seed))
  vi.stubEnv('AWS_ACCESS_KEY_ID', KEY.key)
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', KEY.secret)
  const config = {
    region: 'us-east-1',
    endpoint: front?.url ?? lambda.endpoint,
    functionName: lambda.functionName('render'),
  }
  return { adapter: (more) => new AwsLambdaAdapter({ ...config, ...more }), faults: front?.faults, log: lambda.log }
}

/** Starts a process that serves `workers/cloud-run.mjs`. */
async function startServerProcess(storage, workspaceDir) {
  const env = { ...process.env, HELIOS_STORAGE: JSON.stringify(storage), HELIOS_WORKSPACE: workspaceDir }
  const child = spawn(process.execPath, [path('workers/cloud-run.mjs')], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const stop = () => (child.kill('SIGKILL'), ended)
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('port ')) return { port: Number(line.slice(5)), pid: child.pid, stop }
  }
  throw new Error('The server of the workers does not start.')
}

async function startCloudRunWorkers(storage, workspaceDir, own, seed) {
  const identities = await own.add(startIdentities())
  const { port } = await own.add(startServerProcess(storage, workspaceDir))
  const agent = new http.Agent({ keepAlive: true })
  await own.add({ stop: () => agent.destroy() })
  const forward = (request, response, body) => {
    const { method, url, headers } = request
    const onward = http.request({ host: '127.0.0.1', port, method, path: url, headers, agent }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers)
      answer.pipe(response)
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    onward.end(body)
  }
  let audience
  const guarded = await own.add(startGuarded(identities, forward, () => audience))
  const front = seed === undefined ? guarded : await own.add(startFaultProxy(guarded.url, seed))
  audience = front.url
  vi.stubEnv('GCE_METADATA_HOST', identities.metadataHost)
  return { adapter: (more) => new CloudRunAdapter({ serviceUrl: front.url, ...more }), faults: front.faults, guarded }
}

/**
 * Starts a road: `workers` is `lambda` or `cloudRun`, `storage` is `s3`, `r2` or `gcs`. With a `seed` a fifth of all answers is
 * spoilt. Gives the `storage`, an `adapter(options)`, what is `stored()`, what was spoilt, and `stop()`.
 */
export async function startRoad({ workers, storage: kind, folder, seed }) {
  const own = stack()
  const workspaceDir = join(folder, 'workspaces')
  mkdirSync(workspaceDir)
  try {
    const { options, folder: kept, faults } = await startStorage(kind, own, seed)
    const start = { lambda: startLambdaWorkers, cloudRun: startCloudRunWorkers }[workers]
    const service = await start(options, workspaceDir, own, seed === undefined ? undefined : seed + 1)
    const bucket = join(kept, BUCKET)
    return {
      ...service,
      storage: storageOf(options),
      storageFaults: faults,
      workspaceDir,
      stored: () => (existsSync(bucket) ? filesBelow(bucket) : []),
      stop: () => own.end(),
    }
  } catch (error) {
    await own.end()
    throw error
  }
}

/** The objects in a bucket; what the server itself keeps there is hidden. */
const filesBelow = (bucket) =>
  readdirSync(bucket, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(bucket.length + 1))
