// createCloudRunServer among clients that mean it no good: it answers 4xx or closes, and lives.
import { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { processMark } from './support/processes.mjs'
import { startScript } from './support/scripts.mjs'
import { until, within } from './support/wait.mjs'
import { jobFile, post, postJob, rawClient, startServer } from './support/workers.mjs'

const MIB = 1024 * 1024

const lives = async (url) => expect((await postJob(url, jobFile('echo alive'))).body.stdout).toBe('alive\n')

describe('a body', () => {
  it.each([
    ['just within 1 MiB', MIB, 400],
    ['just beyond it', MIB + 1, 413],
    ['of 100 MB', 100e6, 413],
  ])('%s', async (_, length, status) => {
    const { url } = await startServer()
    const response = await post(url, 'x'.repeat(length))
    expect(response.status).toBe(status)
    await lives(url)
  })

  it('of 100 MB in pieces, without a length, is read to its end', async () => {
    const { url, port } = await startServer()
    const client = rawClient(port)
    const { socket } = client
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    const piece = Buffer.from(`${MIB.toString(16)}\r\n${'x'.repeat(MIB)}\r\n`)
    for (let i = 0; i < 100; i += 1) {
      if (!socket.write(piece)) await within(10_000, new Promise((resolve) => socket.once('drain', resolve)))
    }
    socket.write('0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
    await until(() => client.text.endsWith('{"status":"ok"}'), 'the next request to be answered')
    expect(client.text).toMatch(/^HTTP\/1\.1 413 /)
    await lives(url)
  })

  it.each([
    ['[', 400],
    ['{"a":', 400],
  ])('of 1 MiB that is nested as deep as it goes: %s', async (open, status) => {
    const { url } = await startServer()
    expect((await post(url, open.repeat(MIB / open.length))).status).toBe(status)
    const balanced = '['.repeat(MIB / 2) + ']'.repeat(MIB / 2)
    expect((await post(url, balanced)).status).toBe(400)
    await lives(url)
  })

  it('that is no text', async () => {
    const { url } = await startServer()
    expect((await post(url, '', { body: Buffer.from([0xff, 0xfe, 0, 1]) })).status).toBe(400)
    const path = `${'../'.repeat(100_000)}etc/passwd`
    expect((await postJob(url, path)).status).toBe(500)
    expect((await postJob(url, 'a\0b')).status).toBe(500)
    await lives(url)
  })
})

describe('what is no HTTP', () => {
  it.each([
    ['noise', 'hello\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    [
      'a length and chunks',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a negative length', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n'],
    ['a broken chunk', 'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['headers without end', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}`],
    ['no host', 'POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n'],
  ])('%s gets a 4xx or the end', async (_, text) => {
    const { url, port } = await startServer()
    const client = rawClient(port)
    client.socket.end(text, 'latin1')
    await within(10_000, client.closed)
    if (client.text) expect(client.text).toMatch(/^HTTP\/1\.1 4\d\d /)
    await lives(url)
  })

  it('a tunnel and an upgrade get no further', async () => {
    const { url, port } = await startServer()
    const tunnel = rawClient(port)
    tunnel.socket.end('CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n')
    await within(10_000, tunnel.closed)
    expect(tunnel.text).not.toMatch(/^HTTP\/1\.1 2/)
    const upgrade = rawClient(port)
    upgrade.socket.end('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    await within(10_000, upgrade.closed)
    expect(upgrade.text).toMatch(/^HTTP\/1\.1 405 /)
    await lives(url)
  })
})

describe('a client that takes its time', () => {
  it('has limits for its headers and for its request', async () => {
    const { server } = await startServer()
    const { headersTimeout, requestTimeout } = server
    expect(headersTimeout).toBeGreaterThan(0)
    expect(headersTimeout).toBeLessThanOrEqual(30_000)
    expect(requestTimeout).toBeGreaterThanOrEqual(headersTimeout)
    expect(requestTimeout).toBeLessThanOrEqual(60_000)
  })

  it('is let go when they have passed', async () => {
    const { server, url, port } = await startServer()
    server.requestTimeout = 1
    server.headersTimeout = 1
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n'
    const clients = ['', head, `${head}\r\n{`].map((text) => {
      const client = rawClient(port)
      client.socket.write(text)
      return client
    })
    await within(15_000, Promise.all(clients.map(({ closed }) => closed)))
    for (const { text } of clients) expect(text).toMatch(/^(HTTP\/1\.1 408 [^]*)?$/)
    server.requestTimeout = 30_000
    server.headersTimeout = 10_000
    await lives(url)
  })
})

describe('a client that does not read its answer', () => {
  const LIMIT = 300
  const shorten = () => {
    const { setTimeout } = ServerResponse.prototype
    const spy = vi.spyOn(ServerResponse.prototype, 'setTimeout')
    spy.mockImplementation(function () {
      return setTimeout.call(this, LIMIT)
    })
    onTestFinished(() => spy.mockRestore())
    return spy
  }
  const requestFor = (file) => {
    const body = JSON.stringify({ jobPath: file, chunkIndex: 1 })
    return `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  }
  const connections = (server) =>
    new Promise((resolve) => server.getConnections((_, connections) => resolve(connections)))

  it('is let go, with what was kept for it', async () => {
    const limits = shorten()
    const { server, url, port } = await startServer()
    const client = rawClient(port)
    client.socket.pause()
    client.socket.write(requestFor(jobFile('head -c 20000000 /dev/zero')))
    await until(() => limits.mock.calls.length > 0, 'the answer')
    expect(limits.mock.calls[0][0]).toBeLessThanOrEqual(60_000)
    await until(async () => (await connections(server)) === 0, 'the connection to be closed')
    await lives(url)
  })

  it('is not one that waits for its next chunk, whatever time that takes', async () => {
    shorten()
    const { port } = await startServer()
    const client = rawClient(port)
    client.socket.write(requestFor(jobFile('echo first')) + requestFor(jobFile(`sh -c "sleep 1; echo second"`)))
    await until(() => client.text.includes('second') || client.socket.destroyed, 'the second answer')
    expect(client.text.match(/HTTP\/1.1 200 OK/g)).toHaveLength(2)
  })
})

it('outlives 1,000 clients that say half of something, with flat memory', async (context) => {
  const mark = processMark(context)
  const { child, out } = startScript(
    `
      const { server, listen } = lib.createCloudRunServer({ port: 0 })
      listen(() => console.log(server.address().port))
      process.on('message', () => {
        globalThis.gc()
        server.getConnections((_, connections) => process.send({ rss: process.memoryUsage().rss, connections }))
      })
    `,
    { nodeArgs: ['--expose-gc'], stdio: ['pipe', 'pipe', 'pipe', 'ipc'], env: { ...process.env, ...mark.env } },
  )
  const port = await until(() => Number(out.stdout), 'the server to listen')
  const url = `http://127.0.0.1:${port}`
  const state = () =>
    new Promise((resolve) => {
      child.once('message', resolve)
      child.send('state')
    })
  const texts = [
    '',
    'POST',
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n{',
    'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n',
  ]
  const round = async () => {
    const sockets = Array.from({ length: 1000 }, (_, i) => {
      const socket = connect(port, '127.0.0.1', () => socket.write(texts[i % texts.length]))
      return socket.on('error', () => {}).resume()
    })
    await until(async () => (await state()).connections >= 1000, 'all to be connected')
    await lives(url)
    for (const socket of sockets) socket.destroy()
    await until(async () => (await state()).connections < 20, 'all to be gone')
    return (await state()).rss
  }
  const first = await round()
  await round()
  expect(await round()).toBeLessThan(first + 20e6)
  expect(child.exitCode).toBe(null)
})
