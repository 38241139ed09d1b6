// Google's XML API in front of an S3 server: what it stores is real, only the names of headers are translated. Checks the
// token of every request.
import { Agent, createServer, request } from 'node:http'
import { start as startS3 } from './s3.mjs'

const COPY = 'x-goog-copy-source'

/** Starts a server that takes `token`. Gives its `url`, the `folder` of its buckets, what was `refused`, and `stop()`. */
export async function start({ token = 'token', buckets } = {}) {
  const s3 = await startS3({ buckets })
  const agent = new Agent({ keepAlive: true, maxSockets: 64, noDelay: true })
  const state = { token, refused: 0 }
  const server = createServer((incoming, outgoing) => {
    if (state.token !== undefined && incoming.headers.authorization !== `Bearer ${state.token}`) {
      state.refused += 1
      incoming.resume()
      outgoing.writeHead(401)
      outgoing.end('<Error><Code>AuthenticationRequired</Code><Message>Authentication required.</Message></Error>')
      return
    }
    const headers = translate(incoming.headers, s3.port)
    const { method, url: path } = incoming
    const onward = request({ host: '127.0.0.1', port: s3.port, method, path, headers, agent }, (answer) => {
      outgoing.writeHead(answer.statusCode, translateBack(answer.headers))
      answer.pipe(outgoing)
    })
    onward.on('error', () => outgoing.destroy())
    outgoing.on('close', () => onward.destroy())
    incoming.pipe(onward)
  })
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  const stop = async () => {
    agent.destroy()
    server.closeAllConnections()
    await new Promise((closed) => server.close(closed))
    await s3.stop()
  }
  return { url: `http://127.0.0.1:${server.address().port}`, folder: s3.folder, state, stop }
}

function translate(given, port) {
  const headers = { host: `127.0.0.1:${port}` }
  for (const [name, value] of Object.entries(given)) {
    if (name === COPY) headers['x-amz-copy-source'] = `/${value.replace(/^\//, '')}`
    else if (name.startsWith('x-goog-meta-')) headers[name.replace('x-goog', 'x-amz')] = value
    else if (!name.startsWith('x-goog-') && !['authorization', 'host'].includes(name)) headers[name] = value
  }
  return headers
}

function translateBack(given) {
  const names = Object.entries(given).map(([name, value]) => [name.replace(/^x-amz-meta-/, 'x-goog-meta-'), value])
  return { ...Object.fromEntries(names), 'x-goog-generation': '1' }
}
