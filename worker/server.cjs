// The HTTP server of a worker: node:http in front of the addon, which runs the chunks.
const { chunkService } = require('../native.cjs')
const { jobPathFilter } = require('./job-paths.cjs')

const MAX_BODY = 1024 * 1024
/** Seconds after which a client that was turned away may try again. */
const RETRY_AFTER = '5'
/** A client has so long for its headers, and for all of its request. How long a chunk takes does not count. */
const LIMITS = { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 5_000 }
/** Milliseconds that a client may take nothing of its answer, which is kept in memory as long. */
const UNREAD_LIMIT = 30_000
/** Milliseconds that connections have to go by themselves when the last answer was given. */
const CLOSE_GRACE = 2000
const STOPPING = 'The worker is shutting down'

/** Something to answer instead of running a chunk. */
class Refusal extends Error {
  constructor(status, message, headers = {}) {
    super(message)
    Object.assign(this, { status, headers })
  }
}

/** What a server has to know, checked. */
function readSettings(config) {
  const { port, maxConcurrentChunks, allowedJobPaths } = config ?? {}
  const isGiven = (value) => value !== undefined && value !== null
  if (isGiven(port) && typeof port !== 'number') throw new TypeError('config.port must be a number')
  const isLimit = typeof maxConcurrentChunks === 'number' && maxConcurrentChunks >= 1
  if (isGiven(maxConcurrentChunks) && !isLimit) {
    throw new TypeError('config.maxConcurrentChunks must be a number of at least 1')
  }
  return {
    port,
    maxRunning: maxConcurrentChunks ?? Infinity,
    allowedPath: jobPathFilter(allowedJobPaths),
    // A redirect could lead to where no prefix does.
    runChunk: chunkService(config, !isGiven(allowedJobPaths)),
  }
}

function createCloudRunServer(config) {
  const { port, maxRunning, allowedPath, runChunk } = readSettings(config)
  const running = new Set()
  let stopping = false

  const server = require('node:http').createServer(LIMITS, async (request, response) => {
    try {
      await respond(request, response)
    } catch (error) {
      const { status = 500, message = String(error), headers } = error ?? {}
      answer(response, status, JSON.stringify({ message }), headers)
    }
  })

  async function respond(request, response) {
    if (stopping) throw new Refusal(503, STOPPING)
    if (request.method === 'GET' && request.url.split('?', 1)[0] === '/healthz') {
      return answer(response, 200, '{"status":"ok"}')
    }
    if (request.method !== 'POST') throw new Refusal(405, 'Method Not Allowed', { Allow: 'POST' })
    const { jobPath, chunkIndex } = readPayload(await readBody(request))
    const path = allowedPath(jobPath)
    if (path === undefined) throw new Refusal(403, 'Job path is not allowed')
    if (stopping) throw new Refusal(503, STOPPING)
    if (running.size + 1 > maxRunning) {
      throw new Refusal(429, 'The worker runs as many chunks as it may', { 'Retry-After': RETRY_AFTER })
    }
    const run = { control: new AbortController(), socket: request.socket }
    // The client may have gone while its request was read.
    if (request.socket.destroyed) return
    running.add(run)
    try {
      const { statusCode, body } = await runChunk(path, chunkIndex, run.control.signal)
      if (stopping && statusCode !== 200) throw new Refusal(503, STOPPING)
      answer(response, statusCode, body)
    } finally {
      running.delete(run)
      if (stopping) closeWhenIdle()
    }
  }

  function answer(response, status, body, headers = {}) {
    if (response.destroyed) return
    const length = Buffer.byteLength(body)
    const { socket } = response.req
    // Without a listener of its own the connection ends. Afterwards Node has limits of its own for it, and none for a chunk.
    response.setTimeout(UNREAD_LIMIT)
    response.prependOnceListener('finish', () => socket.setTimeout(0))
    if (stopping) response.setHeader('Connection', 'close')
    response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': length, ...headers })
    response.end(body)
  }

  function stop() {
    stopping = true
    abortRuns(() => true)
    closeWhenIdle()
  }

  function abortRuns(isOver) {
    for (const run of running) if (isOver(run)) run.control.abort()
  }

  /** Until then new requests are answered, too. */
  function closeWhenIdle() {
    if (running.size > 0 || !server.listening) return
    server.close()
    server.closeIdleConnections()
    setTimeout(() => server.closeAllConnections(), CLOSE_GRACE).unref()
  }

  // Of requests that came one after the other on a connection, only the first response would hear of its end.
  server.on('connection', (socket) => {
    socket.once('close', () => abortRuns((run) => run.socket === socket))
  })
  server.on('listening', () => {
    stopping = false
    process.on('SIGTERM', stop)
  })
  server.on('close', () => process.off('SIGTERM', stop))

  const listen = (callback) => server.listen(port ?? Number(process.env.PORT || 8080), callback)
  return { server, listen }
}

/**
 * The body of a request, as long as it is not too long. What is beyond is read, too, and forgotten: a client that is still
 * writing would not see the answer.
 */
function readBody(request) {
  return new Promise((resolve, reject) => {
    const tooLong = () => reject(new Refusal(413, `Payload is longer than ${MAX_BODY} bytes`))
    if (Number(request.headers['content-length']) > MAX_BODY) tooLong()
    const pieces = []
    let length = 0
    request.on('data', (piece) => {
      length += piece.length
      if (length <= MAX_BODY) return pieces.push(piece)
      pieces.length = 0
      tooLong()
    })
    request.on('end', () => resolve(Buffer.concat(pieces).toString()))
    request.on('error', reject)
  })
}

function readPayload(text) {
  let payload
  try {
    payload = JSON.parse(text)
  } catch {
    throw new Refusal(400, 'Invalid JSON payload')
  }
  const { jobPath, chunkIndex } = payload ?? {}
  if (typeof jobPath !== 'string' || jobPath === '' || typeof chunkIndex !== 'number') {
    throw new Refusal(400, 'Missing jobPath or chunkIndex')
  }
  return { jobPath, chunkIndex }
}

module.exports = { createCloudRunServer }
