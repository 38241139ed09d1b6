// A Docker of the tests' own: a `docker` to be found on the PATH, and a daemon in this process that it talks to. Containers
// are processes here, with nothing but the folder, the variables and the command that the daemon was told of.
//
// The client is as thin as the real one: killed, it leaves its container running; told to end, it tells that to the container.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { constants } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, vi } from 'vitest'
import { tempFolder } from './files.mjs'

const CLIENT = `#!${process.execPath}
const args = process.argv.slice(2)
const socket = require('node:net').connect(process.env.DOCKER_HOST.replace('unix://', ''))
let code = 125
socket.on('error', () => {
  const head = args[0] === 'run' ? 'docker: ' : ''
  console.error(head + 'Cannot connect to the Docker daemon at ' + process.env.DOCKER_HOST + '. Is the docker daemon running?')
})
socket.on('close', () => process.exit(code))
const say = (message) => socket.write(JSON.stringify(message) + '\\n')
say({ args, env: process.env, pid: process.pid })
let text = ''
socket.setEncoding('utf8').on('data', (data) => {
  const lines = (text += data).split('\\n')
  text = lines.pop()
  for (const line of lines) {
    const message = JSON.parse(line)
    if (message.stdout) process.stdout.write(Buffer.from(message.stdout, 'base64'))
    if (message.stderr) process.stderr.write(Buffer.from(message.stderr, 'base64'))
    if (message.attached) process.on('SIGTERM', () => say({ signal: 'SIGTERM' }))
    if ('code' in message) code = message.code
  }
})
`

/** Flags of `docker run` that have a value. */
const VALUED = '--name --label -e --env-file -v -w --mount --cpus --memory --user --entrypoint'.split(' ')

/** What `docker run` was told. */
export function parseRun(args) {
  const told = { labels: {}, names: [], mounts: [], files: [] }
  let at = 1
  for (; args[at]?.startsWith('-'); at += 1) {
    const flag = args[at]
    if (!VALUED.includes(flag)) continue
    const value = args[(at += 1)]
    if (flag === '--name') told.name = value
    if (flag === '--label') told.labels[value.slice(0, value.indexOf('='))] = value.slice(value.indexOf('=') + 1)
    if (flag === '-e') told.names.push(value)
    if (flag === '--env-file') told.files.push(value)
    if (flag === '-v' || flag === '--mount') told.mounts.push(value)
    if (flag === '-w') told.cwd = value
  }
  const [image, command, ...rest] = args.slice(at)
  return { ...told, image, command, args: rest }
}

/**
 * Starts a daemon, and puts its client on the PATH of this process, until the test ends. `calls` has what it was asked,
 * `containers` what is there. `before[command](call)` is awaited before the daemon does what it is asked; for `run` also `start`,
 * with its container. `answer.run(call)` may give `{ code, stderr }` in its place.
 */
export async function fakeDocker() {
  const folder = tempFolder()
  const [bin, socket] = [join(folder, 'bin'), join(folder, 'docker.sock')]
  mkdirSync(bin)
  writeFileSync(join(bin, 'docker'), CLIENT, { mode: 0o755 })
  const docker = { calls: [], containers: new Map(), before: {}, answer: {}, sockets: new Set() }
  const server = createServer((client) => {
    docker.sockets.add(client)
    client.on('close', () => docker.sockets.delete(client)).on('error', () => {})
    const reply = (message) => void (client.writable && client.write(`${JSON.stringify(message)}\n`))
    let text = ''
    client.setEncoding('utf8').on('data', (data) => {
      const lines = (text += data).split('\n')
      text = lines.pop()
      for (const line of lines) {
        const { signal, ...call } = JSON.parse(line)
        if (signal) signalAll(client.container, signal)
        else
          void serve(docker, { ...call, client, reply }).then(
            (code) => code !== undefined && client.end(`${JSON.stringify({ code })}\n`),
          )
      }
    })
  })
  server.listen(socket)
  await once(server, 'listening')
  vi.stubEnv('PATH', `${bin}:${process.env.PATH}`)
  vi.stubEnv('DOCKER_HOST', `unix://${socket}`)
  onTestFinished(async () => {
    vi.unstubAllEnvs()
    for (const container of docker.containers.values()) signalAll(container, 'SIGKILL')
    for (const client of docker.sockets) client.destroy()
    await new Promise((closed) => server.close(closed))
  })
  docker.runs = () =>
    docker.calls.filter(({ args }) => args[0] === 'run').map(({ args, env }) => ({ ...parseRun(args), env }))
  docker.asked = (...command) => docker.calls.filter(({ args }) => command.every((word, i) => args[i] === word)).length
  return docker
}

const base64 = (text) => Buffer.from(text).toString('base64')
const missing = (name) => `Error response from daemon: No such container: ${name}\n`

async function serve(docker, call) {
  const { args, env, pid, reply } = call
  docker.calls.push({ args, env, pid })
  const [command] = args
  await docker.before[command]?.(call)
  const fails = (text, code = 1) => (reply({ stderr: base64(text) }), code)
  if (command === 'run') {
    const given = docker.answer.run?.(call)
    return given ? fails(given.stderr, given.code) : run(docker, call)
  }
  if (command === 'kill') {
    const container = docker.containers.get(args[1])
    if (!container) return fails(missing(args[1]))
    if (!container.child) return fails(`Error response from daemon: container ${args[1]} is not running\n`)
    signalAll(container, 'SIGKILL')
    return 0
  }
  if (command === 'rm') {
    const unknown = args.slice(2).filter((name) => !remove(docker, name))
    // The real one says so, and that all is well.
    if (unknown.length > 0) reply({ stderr: base64(unknown.map(missing).join('')) })
    return 0
  }
  if (command === 'ps') {
    const [name, value] = args.at(-1).slice('label='.length).split('=')
    const found = [...docker.containers.values()].filter(({ labels }) => labels[name] === value)
    reply({ stdout: base64(found.map((container) => `${container.name}\n`).join('')) })
    return 0
  }
  if (command === 'top') {
    if (!docker.containers.has(args[1])) return fails(missing(args[1]))
    reply({ stdout: base64(`PID TIME\n1 ${docker.time?.() ?? '00:00:00'}\n`) })
    return 0
  }
  return fails(`docker: '${command}' is not a docker command.\n`)
}

/** Runs a container to its end; gives its exit code. */
async function run(docker, { args, env, client, reply }) {
  const told = parseRun(args)
  const container = { ...told, state: 'created', client }
  if (docker.containers.has(told.name)) return 125
  docker.containers.set(told.name, container)
  client.container = container
  reply({ attached: true })
  await docker.before.start?.(container)
  // A client that is gone starts nothing; a container that is gone is not started.
  if (!client.writable || docker.containers.get(told.name) !== container) return 125
  const files = told.files.flatMap((file) => readFileSync(file, 'utf8').split('\n').filter(Boolean))
  const variables = [...files.map((line) => line.split(/=(.*)/s)), ...told.names.map((name) => [name, env[name]])]
  const options = { cwd: told.cwd ?? '/', env: { PATH: '/usr/bin:/bin', ...Object.fromEntries(variables) } }
  const child = spawn(told.command, told.args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  container.child = child
  for (const name of ['stdout', 'stderr']) child[name].on('data', (data) => reply({ [name]: data.toString('base64') }))
  const [code, signal] = await new Promise((ended) => {
    child.on('error', () => ended([127]))
    child.on('close', (...how) => ended(how))
  })
  if (code === 127 && !child.pid) {
    const text = `docker: Error response from daemon: exec: "${told.command}": executable file not found in $PATH: unknown.\n`
    reply({ stderr: base64(text) })
  }
  docker.containers.delete(told.name)
  return code ?? 128 + constants.signals[signal]
}

function remove(docker, name) {
  const container = docker.containers.get(name)
  signalAll(container, 'SIGKILL')
  return docker.containers.delete(name)
}

function signalAll(container, signal) {
  if (!container?.child?.pid) return
  try {
    process.kill(-container.child.pid, signal)
  } catch {
    // It has ended by itself.
  }
}
