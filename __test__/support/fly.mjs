// A stand-in for the Machines API of Fly.io, after https://fly.io/docs/machines/api/machines-resource/: states, fields and
// status codes are the documented ones. It takes nothing that the documents do not have.
import { loopback } from './loopback.mjs'

const CONFIG = ['image', 'env', 'auto_destroy', 'restart']
const ENDED = ['stopped', 'destroyed', 'failed']

/**
 * Starts one with an app called `app`. `begin(machine)` is called when a machine has been made; `end(id, code)` has it stop.
 * `meddle(request, response)` may answer in the place of the API.
 */
export async function startFly({ app = 'film', token = 'fly-token', begin = () => {}, meddle = () => false } = {}) {
  const fly = { machines: new Map(), deleted: [], begin, meddle }
  const waiting = new Set()
  const say = (response, status, body) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  const move = (machine, state, event) => {
    machine.state = state
    if (event)
      machine.events.unshift({ id: `event-${machine.events.length}`, source: 'flyd', timestamp: Date.now(), ...event })
    for (const look of waiting) look()
  }
  fly.move = (id, state, event) => move(fly.machines.get(id), state, event)
  fly.end = (id, exit_code, more) => {
    const exit_event = { exit_code, guest_exit_code: exit_code, oom_killed: false, requested_stop: false, ...more }
    fly.move(id, 'stopped', { type: 'exit', status: 'stopped', request: { exit_event, restart_count: 0 } })
  }

  function create(body, response) {
    let order
    try {
      order = JSON.parse(body)
    } catch {
      return say(response, 400, { error: 'invalid JSON' })
    }
    const { name, config, region, ...unknown } = order
    const odd = [...Object.keys(unknown), ...Object.keys(config ?? {}).filter((key) => !CONFIG.includes(key))]
    if (odd.length > 0) return say(response, 400, { error: `unknown fields: ${odd}` })
    if (typeof config?.image !== 'string') return say(response, 422, { error: 'config.image is required' })
    if (Object.values(config.env ?? {}).some((value) => typeof value !== 'string'))
      return say(response, 422, { error: 'config.env must have strings' })
    if ([...fly.machines.values()].some((machine) => machine.name === name))
      return say(response, 409, { error: 'already_exists: unique machine name violation' })
    const id = `machine${fly.machines.size}`
    const event = { type: 'launch', status: 'created', source: 'user', timestamp: Date.now() }
    const machine = {
      id,
      name: name ?? `calm-${id}`,
      state: 'created',
      region: region ?? 'ams',
      instance_id: `${id}-life`,
      config,
    }
    machine.events = [event]
    fly.machines.set(id, machine)
    say(response, 200, machine)
    move(machine, 'started', { type: 'start', status: 'started' })
    fly.begin(machine)
  }

  function wait(machine, query, response) {
    const state = query.get('state') ?? 'started'
    const seconds = Number(query.get('timeout') ?? 60)
    if (state === 'stopped' && query.get('instance_id') !== machine.instance_id)
      return say(response, 400, { error: 'invalid_argument: instance_id is required' })
    if (!(seconds >= 1 && seconds <= 60)) return say(response, 400, { error: 'invalid_argument: timeout' })
    const done = (status, body) => {
      clearTimeout(timer)
      waiting.delete(look)
      if (!response.destroyed) say(response, status, body)
    }
    const look = () => ENDED.includes(machine.state) && done(200, { ok: true })
    const timer = setTimeout(() => done(408, { error: 'deadline_exceeded' }), seconds * 1000)
    waiting.add(look)
    response.on('close', () => {
      clearTimeout(timer)
      waiting.delete(look)
    })
    look()
  }

  const server = await loopback(async (request, response, { body }) => {
    if (await fly.meddle(request, response, fly)) return
    if (request.headers.authorization !== `Bearer ${token}`) return say(response, 401, { error: 'unauthorized' })
    const { pathname, searchParams } = new URL(request.url, 'http://fly')
    const [version, apps, name, machines, id, verb] = pathname.slice(1).split('/').map(decodeURIComponent)
    if (version !== 'v1' || apps !== 'apps' || machines !== 'machines')
      return say(response, 404, { error: 'not found' })
    if (name !== app) return say(response, 404, { error: 'app not found' })
    if (request.method === 'POST' && id === undefined) return create(body, response)
    if (request.method === 'GET' && id === undefined) return say(response, 200, [...fly.machines.values()])
    const machine = fly.machines.get(id)
    if (!machine) return say(response, 404, { error: 'machine not found' })
    if (request.method === 'GET' && verb === 'wait') return wait(machine, searchParams, response)
    if (request.method === 'GET' && verb === undefined) return say(response, 200, machine)
    if (request.method === 'DELETE' && verb === undefined) {
      if (searchParams.get('force') !== 'true' && machine.state === 'started')
        return say(response, 412, { error: 'failed_precondition: unable to destroy machine, not currently stopped' })
      fly.deleted.push(id)
      fly.machines.delete(id)
      return say(response, 200, { ok: true })
    }
    say(response, 405, { error: 'method not allowed' })
  })
  return Object.assign(fly, { server, url: `${server.url}/v1` })
}
