// Jobs for workers, storages of the user's own, and clients of the server.
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createCloudRunServer } from '../../index.js'
import { tempFolder } from './files.mjs'
import { chunk, spec } from './jobs.mjs'
import { gate } from './wait.mjs'

/** A job of one chunk, number 1, that writes `1.mp4` if its command does. */
export const jobOf = (command, extra) => spec([chunk(1, { command, outputFile: '1.mp4' })], extra)

/** The path of a file that defines such a job. */
export function jobFile(command, extra) {
  const file = join(tempFolder(), 'job.json')
  writeFileSync(file, JSON.stringify(jobOf(command, extra)))
  return file
}

export const shell = (script) => `sh -c "${script}"`

/** A storage of the user's own with only what every storage has; keeps what it is called with in `calls`. */
export function plainStorage(extra) {
  const storage = {
    calls: [],
    async downloadAssetBundle(jobId, url, dir) {
      storage.calls.push(['downloadAssetBundle', jobId, url, dir])
      writeFileSync(join(dir, 'asset.txt'), 'asset')
    },
    ...extra,
  }
  return storage
}

/** A server on a free port; `url` is where it is. It is closed with the test. */
export async function startServer(config) {
  const { server, listen } = createCloudRunServer({ port: 0, ...config })
  const listening = gate()
  listen(listening.open)
  await listening.promise
  onTestFinished(() => {
    server.closeAllConnections()
    if (server.listening) return new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address()
  return { server, port, url: `http://127.0.0.1:${port}` }
}

/** Asks a server to run chunk 1; gives status, headers and parsed body. */
export async function post(url, payload, init) {
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const response = await fetch(url, { method: 'POST', body, ...init })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

export const postJob = (url, jobPath, init) => post(url, { jobPath, chunkIndex: 1 }, init)

/** A raw connection: what comes is in `text`, `closed` settles when it is over. */
export function rawClient(port) {
  const socket = connect(port, '127.0.0.1')
  const client = { socket, text: '' }
  socket.setEncoding('latin1').on('data', (data) => (client.text += data))
  socket.on('error', () => {})
  client.closed = new Promise((resolve) => socket.once('close', resolve))
  onTestFinished(() => void socket.destroy())
  return client
}
