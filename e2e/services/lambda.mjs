// Lambda's interface with real handlers behind it: serverless-offline, in a process group and a folder of its own.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const modules = fileURLToPath(new URL('../node_modules', import.meta.url))
const STAGE = 'dev'
const SERVICE = 'helios'

/**
 * Serves handlers: `{ name: source of a module that exports handler }`. Gives `endpoint`, `functionName(name)`, `stop()` and
 * `log()`. `timeout` is the functions' own, in seconds.
 */
export async function startLambda(handlers, { timeout = 30 } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'helios-lambda-'))
  const [lambdaPort, httpPort, websocketPort] = await freePorts(3)
  // Plugins are looked for beside the configuration.
  symlinkSync(modules, join(folder, 'node_modules'), 'dir')
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const [name, source] of Object.entries(handlers)) writeFileSync(join(folder, `${name}.mjs`), source)
  const functions = Object.keys(handlers).map((name) => [name, { handler: `${name}.handler`, timeout }])
  const config = {
    service: SERVICE,
    frameworkVersion: '3',
    provider: { name: 'aws', runtime: 'nodejs20.x', region: 'us-east-1', stage: STAGE },
    plugins: ['serverless-offline'],
    functions: Object.fromEntries(functions),
    custom: { 'serverless-offline': { lambdaPort, httpPort, websocketPort, host: '127.0.0.1' } },
  }
  writeFileSync(join(folder, 'serverless.json'), JSON.stringify(config))

  const quiet = { SLS_TELEMETRY_DISABLED: '1', SLS_NOTIFICATIONS_MODE: 'off', SLS_TRACKING_DISABLED: '1', CI: '1' }
  const child = spawn(process.execPath, [join(modules, 'serverless', 'bin', 'serverless.js'), 'offline', 'start'], {
    cwd: folder,
    env: { ...process.env, ...quiet, HOME: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (log += text))
  const ended = once(child, 'exit')
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      // The group: it starts helpers of its own.
      process.kill(-child.pid, 'SIGKILL')
      await ended
    }
    rmSync(folder, { recursive: true, force: true })
  }
  const endpoint = `http://127.0.0.1:${lambdaPort}`
  try {
    await answering(
      endpoint,
      () => child.exitCode === null,
      () => log,
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { endpoint, functionName: (name) => `${SERVICE}-${STAGE}-${name}`, stop, log: () => log }
}

/** Resolves when something answers at `url`. */
async function answering(url, lives, log, ms = 90_000) {
  const end = Date.now() + ms
  while (lives() && Date.now() < end) {
    const answered = await fetch(url).then(
      () => true,
      () => false,
    )
    if (answered) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`serverless-offline does not answer at ${url}:\n${log()}`)
}

/** Ports that were free a moment ago. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => server.address().port)
  await Promise.all(servers.map((server) => new Promise((resolve) => void server.close(resolve))))
  return ports
}
