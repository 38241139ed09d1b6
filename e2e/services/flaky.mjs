// A server between a client and a service, which counts requests and spoils those that a test wants spoilt.
import { Agent, createServer, request } from 'node:http'

/**
 * Passes requests on to `target`. `spoil(request, number)` may give `'reset'` (the connection breaks), a status, or
 * `{ status, code }` (the answer), `'cut'` (the answer breaks off in the middle), `'change'` (one byte of it is another), `'hold'` (there is no
 * answer), or nothing. `seen` are the requests: `GET /bucket/key`.
 */
export async function start(target, spoil = () => undefined) {
  const agent = new Agent({ keepAlive: true, maxSockets: 64, noDelay: true })
  const { hostname: host, port } = new URL(target)
  const proxy = { seen: [], spoil }
  const server = createServer((incoming, outgoing) => {
    const { method, url: path, headers } = incoming
    proxy.seen.push(`${method} ${path}`)
    const fault = proxy.spoil(incoming, proxy.seen.length)
    if (fault === 'reset') return void incoming.socket.resetAndDestroy()
    if (fault === 'hold') return void incoming.resume()
    if (typeof fault === 'number' || fault?.status) {
      const slow = { status: fault, code: 'SlowDown', message: 'Please reduce your request rate.' }
      const { status, code, message = '' } = fault.status ? fault : slow
      incoming.resume()
      outgoing.writeHead(status, { 'content-type': 'application/xml' })
      return void outgoing.end(`<Error><Code>${code}</Code><Message>${message}</Message></Error>`)
    }
    // The signature covers the host that the client saw.
    const onward = request({ host, port, method, path, headers, agent }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers)
      if (fault === 'cut') answer.once('data', (data) => outgoing.write(data.subarray(1), () => outgoing.destroy()))
      else if (fault === 'change')
        answer.on('data', (data) => outgoing.write(change(data))).on('end', () => outgoing.end())
      else answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  })
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  proxy.url = `http://127.0.0.1:${server.address().port}`
  proxy.stop = async () => {
    agent.destroy()
    server.closeAllConnections()
    await new Promise((closed) => server.close(closed))
  }
  return proxy
}

function change(data) {
  const changed = Buffer.from(data)
  changed[0] ^= 1
  return changed
}
