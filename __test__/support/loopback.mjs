// A plain HTTP server of the test's own, which keeps what it was asked.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createListener } from 'node:net'
import { onTestFinished } from 'vitest'

/**
 * Starts a server on a port of its own. `answer(request, response, { body, number })` is called when a request has come
 * whole. It ends, with all its connections, when the test does, or when `close` is called.
 */
export async function loopback(answer, { host = '127.0.0.1', keep = false } = {}) {
  const seen = { requests: [], sockets: new Set(), connections: 0, cut: 0 }
  const server = createServer(async (request, response) => {
    const pieces = []
    response.on('close', () => void (seen.cut += response.writableFinished ? 0 : 1))
    try {
      for await (const piece of request) pieces.push(piece)
    } catch {
      return // the client has gone
    }
    const body = Buffer.concat(pieces).toString()
    const { method, url, headers } = request
    seen.requests.push({ method, url, headers, body })
    await answer(request, response, { body, number: seen.requests.length })
  })
  server.on('connection', (socket) => {
    seen.connections += 1
    seen.sockets.add(socket.on('close', () => void seen.sockets.delete(socket)).on('error', () => {}))
  })
  await once(server.listen(0, host), 'listening')
  const { port } = server.address()
  const close = () => {
    for (const socket of seen.sockets) socket.destroy()
    return new Promise((resolve) => void server.close(resolve))
  }
  if (!keep) onTestFinished(close)
  return Object.assign(seen, { port, url: `http://${host}:${port}`, close })
}

/** A listener that never says a word: with it a TLS handshake does not end. */
export async function silent() {
  const sockets = new Set()
  const server = createListener((socket) => {
    sockets.add(socket.on('close', () => void sockets.delete(socket)).on('error', () => {}))
    socket.resume()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => void server.close(resolve))
  })
  return { port: server.address().port, sockets }
}

/** A promise that opens when it has been called `count` times. */
export function barrier(count) {
  let open
  const all = new Promise((resolve) => (open = resolve))
  return () => {
    count -= 1
    if (count === 0) open()
    return all
  }
}

/** What becomes of the answer to an order that has been taken: called before it is taken. None says what was made. */
export const lostAnswers = {
  'a reset': (request, response) => void (response.end = () => request.socket.resetAndDestroy()),
  'a proxy that answers': (_, response) => instead(response, 502, 'bad gateway'),
  'a success without sense': (_, response) => instead(response, 200, '<html>'),
}

function instead(response, status, body) {
  const { writeHead, end } = response
  response.writeHead = () => response
  response.end = () => end.call(writeHead.call(response, status), body)
}

/** What every fault does to an answer; none of them gives a whole one. */
export const faults = {
  'a reset before the answer': (request) => void request.socket.resetAndDestroy(),
  'a reset inside of the answer': (request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 })
    response.write('{"exit', () => request.socket.resetAndDestroy())
  },
  'an answer that is cut off': (request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 100 })
    response.write('{"exitCode":0}', () => void request.socket.end())
  },
  'what is no HTTP': (request) => void request.socket.end('hello\r\n\r\n'),
}
