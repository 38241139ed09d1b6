// The part of Kubernetes' API that an adapter asks for, with a state of its own. What pods do is said by the test.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder } from './files.mjs'
import { loopback } from './loopback.mjs'

const status = (code, reason, message, more) => ({
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  code,
  reason,
  message,
  ...more,
})

/**
 * Starts it. `behave(pod, job)` is called for each Job with what can be done with its pod. `kubeconfig` is a file that leads
 * here; `asked(kind)` counts requests (create, job, delete, list, watch, log, events); a function put into `faults[kind]` may
 * answer in our place, which it says by giving `true`.
 */
export async function startApi(behave = (pod) => pod.succeed()) {
  const [jobs, pods, watchers, history, counts] = [new Map(), new Map(), new Set(), [], {}]
  const api = { jobs, pods, watchers, faults: {}, manifests: [], events: [], deletions: [], version: 100, oldest: 0 }
  api.asked = (kind) => counts[kind] ?? 0

  const send = (response, code, object) => {
    if (response.destroyed) return
    response.writeHead(code, { 'content-type': 'application/json' })
    response.end(JSON.stringify(object))
  }
  const refuse = (response, code, reason, message, more) => send(response, code, status(code, reason, message, more))
  api.refuse = refuse

  /** Makes a change of a pod known. */
  function publish(type, object) {
    object.metadata.resourceVersion = String(++api.version)
    const event = JSON.stringify({ type, object })
    history.push([api.version, event])
    for (const watcher of watchers) watcher.write(`${event}\n`)
  }

  function control(name, job) {
    const labels = { ...job.spec.template.metadata.labels, 'job-name': job.metadata.name }
    const metadata = { name, uid: `uid-${name}`, labels, creationTimestamp: new Date().toISOString() }
    const object = { kind: 'Pod', apiVersion: 'v1', metadata, spec: { containers: [] }, status: { phase: 'Pending' } }
    const entry = { object, log: '', ended: false, readers: new Set() }
    const container = (state, ready = false) => [
      { name: 'worker', state, ready, restartCount: 0, image: 'i', imageID: '' },
    ]
    const update = (change) => {
      Object.assign(object.status, change)
      if (pods.has(name)) publish('MODIFIED', object)
      return pod
    }
    const schedule = () => void (object.spec.nodeName ??= 'node')
    const pod = {
      name,
      job,
      create: () => (pods.set(name, entry), publish('ADDED', object), pod),
      update,
      start: () => (schedule(), update({ phase: 'Running', containerStatuses: container({ running: {} }, true) })),
      wait: (reason, message) => {
        schedule()
        return update({ containerStatuses: container({ waiting: { reason, message } }) })
      },
      write(text) {
        entry.log += text
        for (const reader of entry.readers) reader.write(text)
        return pod
      },
      end(exitCode, more, change) {
        schedule()
        entry.ended = true
        for (const reader of entry.readers) reader.end()
        const terminated = { exitCode, reason: exitCode === 0 ? 'Completed' : 'Error', ...more }
        return update({
          phase: exitCode === 0 ? 'Succeeded' : 'Failed',
          containerStatuses: container({ terminated }),
          ...change,
        })
      },
      fail: (reason, message) => update({ phase: 'Failed', reason, message }),
      leave: () => ((metadata.deletionTimestamp = new Date().toISOString()), update({})),
      remove() {
        for (const reader of entry.readers) reader.destroy()
        if (pods.delete(name)) publish('DELETED', object)
      },
      succeed: (text = 'done\n') => pod.create().start().write(text).end(0),
    }
    entry.control = pod
    return pod
  }

  const routes = {
    create(_, response, { body }) {
      const job = JSON.parse(body)
      const { name } = job.metadata
      if (jobs.has(name)) return refuse(response, 409, 'AlreadyExists', `jobs.batch "${name}" already exists`)
      jobs.set(name, job)
      api.manifests.push(job)
      send(response, 201, job)
      behave(control(`${name}-pod`, job), job)
    },
    job(_, response, { name }) {
      if (jobs.has(name)) send(response, 200, jobs.get(name))
      else refuse(response, 404, 'NotFound', `jobs.batch "${name}" not found`)
    },
    delete(_, response, { name, body }) {
      if (!jobs.has(name)) return refuse(response, 404, 'NotFound', `jobs.batch "${name}" not found`)
      api.deletions.push([name, JSON.parse(body).propagationPolicy])
      api.drop(name)
      send(response, 200, { ...status(200), status: 'Success' })
    },
    list(_, response, { selected }) {
      const items = [...pods.values()].map(({ object }) => object).filter(selected)
      send(response, 200, {
        kind: 'PodList',
        apiVersion: 'v1',
        metadata: { resourceVersion: String(api.version) },
        items,
      })
    },
    watch(_, response, { query, selected }) {
      const from = Number(query.get('resourceVersion'))
      response.writeHead(200, { 'content-type': 'application/json' })
      if (from < api.oldest) {
        const gone = { type: 'ERROR', object: status(410, 'Expired', `too old resource version: ${from}`) }
        return void response.end(`${JSON.stringify(gone)}\n`)
      }
      response.flushHeaders()
      for (const [version, event] of history) {
        if (version > from && selected(JSON.parse(event).object)) response.write(`${event}\n`)
      }
      watchers.add(response)
      response.on('close', () => watchers.delete(response))
    },
    log(_, response, { name, query }) {
      const entry = pods.get(name)
      if (!entry) return refuse(response, 404, 'NotFound', `pods "${name}" not found`)
      response.writeHead(200, { 'content-type': 'text/plain' })
      response.write(entry.log)
      if (entry.ended || query.get('follow') !== 'true') return void response.end()
      entry.readers.add(response)
      response.on('close', () => entry.readers.delete(response))
    },
    events: (_, response) =>
      send(response, 200, { kind: 'EventList', apiVersion: 'v1', metadata: {}, items: api.events }),
  }

  /** Deletes a Job and, as the cluster does, what belongs to it. */
  api.drop = (name) => {
    jobs.delete(name)
    for (const { control } of pods.values()) if (control.job.metadata.name === name) control.remove()
  }
  api.breakWatches = () => [...watchers].forEach((watcher) => watcher.socket?.resetAndDestroy())
  api.endWatches = () => [...watchers].forEach((watcher) => watcher.end())

  function kindOf(method, path, query) {
    if (path.endsWith('/jobs')) return 'create'
    if (/\/jobs\/[^/]+$/.test(path)) return method === 'DELETE' ? 'delete' : 'job'
    if (path.endsWith('/log')) return 'log'
    if (path.endsWith('/events')) return 'events'
    return query.get('watch') === 'true' ? 'watch' : 'list'
  }
  const server = await loopback(async (request, response, { body }) => {
    const { pathname, searchParams: query } = new URL(request.url, 'http://api')
    const kind = kindOf(request.method, pathname, query)
    counts[kind] = api.asked(kind) + 1
    if (request.headers.authorization !== 'Bearer hush') return refuse(response, 401, 'Unauthorized', 'Unauthorized')
    const parts = pathname.split('/')
    const name = kind === 'log' ? parts.at(-2) : parts.at(-1)
    const [label, value] = (query.get('labelSelector') ?? '').split('=')
    const selected = ({ metadata }) => !label || metadata.labels[label] === value
    const context = {
      body,
      name,
      query,
      selected,
      number: counts[kind],
      go: () => routes[kind](request, response, context),
    }
    if (await api.faults[kind]?.(request, response, context)) return
    context.go()
  })
  api.server = server
  api.kubeconfig = kubeconfig(server.url)
  return api
}

/** A kubeconfig file for a server. */
export function kubeconfig(server, user = { token: 'hush' }, cluster = {}) {
  const file = join(tempFolder(), 'kubeconfig')
  const named = (name, key, value) => [{ name, [key]: value }]
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: named('c', 'cluster', { server, ...cluster }),
    users: named('u', 'user', user),
    contexts: named('x', 'context', { cluster: 'c', user: 'u' }),
    'current-context': 'x',
  }
  writeFileSync(file, JSON.stringify(config))
  return file
}
