// Runs small scripts in a Node process of their own, with the package as `lib`.
import { spawn } from 'node:child_process'
import { onTestFinished } from 'vitest'

const entry = new URL('../../index.js', import.meta.url)

/** The source of a module that has the package as `lib`, then `body`. */
export const moduleOf = (body) => `import * as lib from ${JSON.stringify(entry.href)}\n${body}`

/** Starts `body` in its own Node process; it is killed if it outlives the test. */
export function startScript(body, { args = [], nodeArgs = [], wrap = [], ...options } = {}) {
  const node = [process.execPath, ...nodeArgs, '--input-type=module', '-e', moduleOf(body), ...args]
  const [program, ...rest] = [...wrap, ...node]
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
  const out = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (data) => (out[stream] += data))
  }
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => resolve({ code, signal, ...out }))
  })
  ended.catch(() => {})
  onTestFinished(() => void (child.exitCode ?? child.signalCode ?? child.kill('SIGKILL')))
  return { child, out, ended }
}

/** Runs `body` to its end: `{ code, signal, stdout, stderr }`. */
export function runScript(body, options) {
  const { child, ended } = startScript(body, options)
  child.stdin.end()
  return ended
}

/** Runs `body`, which must end well, and parses what it printed. */
export async function scriptResult(body, options) {
  const { code, signal, stdout, stderr } = await runScript(body, options)
  if (code !== 0) throw new Error(`the script ended with ${signal ?? code}: ${stderr || stdout}`)
  return JSON.parse(stdout)
}
