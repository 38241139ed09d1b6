// Servers that tests start, on ports of their own, and end by their own handles.
import { spawn } from 'node:child_process'
import { connect, createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/** A port that nobody listens at. */
export function freePort() {
  return new Promise((found, failed) => {
    const server = createServer()
    server.once('error', failed)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => found(port))
    })
  })
}

/** Starts a program and waits until it listens at `port`. Gives how to stop it. */
export async function startServer(program, args, port, options = {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options })
  let said = ''
  child.stderr.on('data', (data) => (said = (said + data).slice(-2000)))
  const ended = new Promise((end) => {
    child.once('error', (error) => end(error.message))
    child.once('close', (code, signal) => end(`it ended with ${code ?? signal}: ${said}`))
  })
  let over
  void ended.then((reason) => (over = reason))
  for (const until = Date.now() + 15_000; !(await listens(port)); await pause(10)) {
    if (over) throw new Error(`${program} does not start: ${over}`)
    if (Date.now() > until) {
      child.kill('SIGKILL')
      throw new Error(`${program} does not listen at ${port}: ${said}`)
    }
  }
  return async () => {
    child.kill('SIGKILL')
    await ended
  }
}

function listens(port) {
  return new Promise((answer) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => (socket.destroy(), answer(true)))
    socket.once('error', () => answer(false))
  })
}
