// A stand-in for the API of Hetzner Cloud, after https://docs.hetzner.cloud/reference/cloud#servers: states, fields and status
// codes are the documented ones. Its servers are processes of this machine: they run their user data, as cloud-init does,
// and are off when that turns them off.
import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { tempFolder } from './files.mjs'
import { loopback } from './loopback.mjs'

const ORDER = ['name', 'server_type', 'image', 'user_data', 'labels', 'start_after_create', 'ssh_keys', 'location']
const NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const LABEL = /^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$/

/** Starts one. `meddle(request, response)` may answer in its place; with `boot: false` servers do nothing when they start. */
export async function startHetzner({ token = 'hetzner-token', meddle = () => false, boot = true } = {}) {
  const hetzner = { servers: new Map(), deleted: [], orders: [], meddle, next: 40 }
  const say = (response, status, body) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(body && JSON.stringify(body))
  const refuse = (response, status, code, message) => say(response, status, { error: { code, message, details: {} } })

  function run(server, script) {
    const folder = tempFolder()
    const bin = join(folder, 'bin')
    mkdirSync(bin)
    // What a machine is turned off by.
    writeFileSync(join(bin, 'poweroff'), `#!/bin/sh\nexit 0\n`)
    chmodSync(join(bin, 'poweroff'), 0o755)
    const file = join(folder, 'user-data')
    writeFileSync(file, script)
    const env = { PATH: `${bin}:${process.env.PATH}`, TMPDIR: folder }
    const child = spawn('/bin/sh', [file], { cwd: '/', env, stdio: 'ignore', detached: true })
    server.status = 'running'
    child.on('exit', () => (server.status = 'off'))
    server.end = () => {
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
    }
  }

  function create(body, response) {
    const order = JSON.parse(body)
    const odd = Object.keys(order).filter((key) => !ORDER.includes(key))
    if (odd.length > 0) return refuse(response, 422, 'invalid_input', `unknown fields: ${odd}`)
    const labels = Object.entries(order.labels ?? {}).flat()
    if (!NAME.test(order.name) || labels.some((label) => !LABEL.test(label)) || order.user_data?.length > 32_768)
      return refuse(response, 422, 'invalid_input', 'invalid input in fields')
    if ([...hetzner.servers.values()].some(({ name }) => name === order.name))
      return refuse(response, 409, 'uniqueness_error', 'server name is already used')
    hetzner.orders.push(order)
    const { name, labels: kept = {} } = order
    const server = { id: (hetzner.next += 1), name, labels: kept, status: 'initializing', end: () => {} }
    hetzner.servers.set(server.id, server)
    if (boot) run(server, order.user_data)
    say(response, 201, { server, action: { id: 1, command: 'create_server', status: 'running' }, root_password: 'pw' })
  }

  const api = await loopback(async (request, response, { body }) => {
    if (await hetzner.meddle(request, response)) return
    if (request.headers.authorization !== `Bearer ${token}`)
      return refuse(response, 401, 'unauthorized', 'unable to authenticate')
    const { pathname, searchParams } = new URL(request.url, 'http://hetzner')
    const [version, servers, id, more] = pathname.slice(1).split('/')
    if (version !== 'v1' || servers !== 'servers' || more !== undefined)
      return refuse(response, 404, 'not_found', 'not found')
    if (request.method === 'POST' && id === undefined) return create(body, response)
    if (request.method === 'GET' && id === undefined) {
      const [label, value] = searchParams.get('label_selector')?.split('=') ?? []
      const asked = searchParams.get('name')
      const found = [...hetzner.servers.values()]
        .filter(({ labels }) => label === undefined || labels[label] === value)
        .filter(({ name }) => asked === null || name === asked)
      const [page, size] = ['page', 'per_page'].map((key, at) => Number(searchParams.get(key) ?? [1, 25][at]))
      const next_page = found.length > page * size ? page + 1 : null
      const servers = found.slice((page - 1) * size, page * size)
      return say(response, 200, { servers, meta: { pagination: { page, next_page } } })
    }
    const server = hetzner.servers.get(Number(id))
    if (!server) return refuse(response, 404, 'not_found', 'server not found')
    if (request.method === 'GET') return say(response, 200, { server })
    if (request.method !== 'DELETE') return refuse(response, 405, 'method_not_allowed', 'method not allowed')
    server.end()
    hetzner.servers.delete(server.id)
    hetzner.deleted.push(server.id)
    say(response, 200, { action: { id: 2, command: 'delete_server', status: 'running' } })
  })
  onTestFinished(() => {
    for (const server of hetzner.servers.values()) server.end()
  })
  return Object.assign(hetzner, { api, url: `${api.url}/v1` })
}

/** A place where results are put, fetched and removed: `${url}/<name>?token`. `meddle` may answer in its place. */
export async function startResults({ meddle = () => false } = {}) {
  const kept = new Map()
  const server = await loopback((request, response, { body }) => {
    if (meddle(request, response)) return
    const { pathname, search } = new URL(request.url, 'http://results')
    if (search !== '?key=result-secret') return void response.writeHead(403).end()
    if (request.method === 'PUT') kept.set(pathname, body)
    if (request.method === 'DELETE') kept.delete(pathname)
    if (request.method !== 'GET') return void response.end()
    const found = kept.get(pathname)
    response.writeHead(found === undefined ? 404 : 200).end(found)
  })
  return Object.assign(server, { kept, url: `${server.url}/results?key=result-secret` })
}
