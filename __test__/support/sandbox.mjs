// A stand-in for the API of Cloudflare's sandboxes. A sandbox is a folder of this machine, in which commands really run.
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { tempFolder } from './files.mjs'
import { loopback } from './loopback.mjs'

const PLACE = '/client/v4/accounts/account/sandbox/namespaces/films/sandboxes'

/** Starts one. `meddle(request, response, body)` may answer in its place. */
export async function startSandboxes({ token = 'cloudflare-token', meddle = () => false } = {}) {
  const api = { sandboxes: new Map(), made: 0, destroyed: [], commands: [], meddle }
  const say = (response, status, result, errors = []) =>
    void response
      .writeHead(status, { 'content-type': 'application/json' })
      .end(JSON.stringify({ success: errors.length === 0, errors, messages: [], result }))
  const refuse = (response, status, message) => say(response, status, null, [{ code: 1000 + status, message }])

  /** What a sandbox that is started anew has: nothing. */
  api.recycle = (id) => api.sandboxes.set(id, join(tempFolder(), 'workspace'))
  const end = (folder) => {
    // What runs in it has its folder in its command line, or below it.
    spawnSync('pkill', ['-KILL', '-f', folder])
  }
  onTestFinished(() => [...api.sandboxes.values()].forEach(end))

  function exec(folder, body, response) {
    const { command, ...odd } = JSON.parse(body)
    if (typeof command !== 'string' || Object.keys(odd).length > 0) return refuse(response, 400, 'invalid body')
    api.commands.push(command)
    const child = spawn('/bin/sh', ['-c', command.replaceAll('/workspace/helios', folder)], { cwd: '/' })
    const out = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (out[name] += text))
    child.on('close', (exitCode) => say(response, 200, { ...out, exitCode, success: exitCode === 0 }))
  }

  const server = await loopback(async (request, response, { body }) => {
    if (await api.meddle(request, response, body)) return
    if (request.headers.authorization !== `Bearer ${token}`) return refuse(response, 403, 'Authentication error')
    const { method, url } = request
    if (!url.startsWith(PLACE)) return refuse(response, 404, 'no such route')
    const [id, verb] = url.slice(PLACE.length + 1).split('/')
    if (method === 'POST' && id === '') {
      if (JSON.parse(body).keepAlive !== true) return refuse(response, 400, 'it would fall asleep')
      const name = `sandbox${(api.made += 1)}`
      api.recycle(name)
      return say(response, 201, { id: name })
    }
    const folder = api.sandboxes.get(id)
    if (!folder) return refuse(response, 404, 'no such sandbox')
    if (method === 'POST' && verb === 'exec') return exec(folder, body, response)
    if (method !== 'DELETE' || verb !== undefined) return refuse(response, 405, 'method not allowed')
    end(folder)
    api.sandboxes.delete(id)
    api.destroyed.push(id)
    say(response, 200, null)
  })
  return Object.assign(api, { server, url: `${server.url}/client/v4` })
}
