// A proxy in front of a service that spoils some of its answers: the service has done its work, and the client is told
// something else, or nothing.
import http from 'node:http'
import { randomOf } from '../../__test__/support/random.mjs'

const STALL_MS = 10_000

const FAULTS = {
  tooMany: (_, response) => response.writeHead(429, { 'retry-after': '1' }).end('too many'),
  unavailable: (_, response) => response.writeHead(503).end('unavailable'),
  reset: (_, response) => response.socket.resetAndDestroy(),
  /** The headers promise more than comes. */
  truncated(answer, response) {
    if (answer.body.length === 0) return response.socket.resetAndDestroy()
    response.writeHead(answer.statusCode, { ...answer.headers, 'content-length': answer.body.length })
    response.write(answer.body.subarray(0, answer.body.length >> 1), () => response.socket.destroy())
  },
  stall(answer, response) {
    const timer = setTimeout(() => pass(answer, response), STALL_MS)
    response.on('close', () => clearTimeout(timer))
  },
}
const KINDS = Object.keys(FAULTS)

/**
 * Starts a proxy in front of `target`, a URL. A fifth of the answers is spoilt while `faults.on`: of 25 in a row one of each
 * kind, in an order that follows from `seed`. `faults.count` says how often each kind was, `faults.requests` how many answers
 * there were in all.
 */
export async function startFaultProxy(target, seed) {
  const { hostname, port } = new URL(target)
  const random = randomOf(seed)
  const agent = new http.Agent({ keepAlive: true })
  const faults = { on: true, requests: 0, count: Object.fromEntries(KINDS.map((kind) => [kind, 0])) }
  let deck = []
  const next = () => {
    if (deck.length === 0) deck = shuffled([...KINDS, ...Array(KINDS.length * 4).fill(undefined)], random)
    return deck.pop()
  }
  const server = http.createServer((request, response) => {
    const { method, url: path, headers } = request
    const forward = http.request({ hostname, port, method, path, headers, agent }, async (incoming) => {
      const { statusCode, headers } = incoming
      const chunks = []
      try {
        for await (const chunk of incoming) chunks.push(chunk)
      } catch {
        return response.destroy()
      }
      faults.requests += 1
      const fault = faults.on ? next() : undefined
      if (fault) faults.count[fault] += 1
      const answer = { statusCode, headers: { ...headers }, body: Buffer.concat(chunks), method }
      delete answer.headers['transfer-encoding']
      if (response.destroyed) return
      if (fault) FAULTS[fault](answer, response)
      else pass(answer, response)
    })
    forward.on('error', () => response.destroy())
    // Who hangs up here hangs up there.
    response.on('close', () => forward.destroy())
    request.pipe(forward)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    faults,
    async stop() {
      agent.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function pass({ statusCode, headers, body, method }, response) {
  // An answer to HEAD tells how long a body would be, and has none.
  const length = method === 'HEAD' ? {} : { 'content-length': body.length }
  response.writeHead(statusCode, { ...headers, ...length }).end(body)
}

function shuffled(list, random) {
  for (let i = list.length - 1; i > 0; i -= 1) {
    const j = random.below(i + 1)
    ;[list[i], list[j]] = [list[j], list[i]]
  }
  return list
}
