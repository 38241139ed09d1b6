// A worker adapter as a user would write it on Node's own parts, for running the contract on a plain object.
import { spawn } from 'node:child_process'

export const nodeAdapter = () => ({
  calls: 0,
  execute({ command, args = [], env, cwd, signal, onStdout, onStderr }) {
    this.calls += 1
    return new Promise((resolve, reject) => {
      const started = Date.now()
      const out = { stdout: '', stderr: '' }
      const child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] })
      const listen = (name, tell) =>
        child[name].setEncoding('utf8').on('data', (data) => {
          out[name] += data
          tell?.(data)
        })
      listen('stdout', onStdout)
      listen('stderr', onStderr)
      const stop = () => child.kill('SIGTERM')
      signal?.addEventListener('abort', stop)
      child.on('error', reject).on('close', (code) => {
        signal?.removeEventListener('abort', stop)
        if (signal?.aborted) reject(new Error('Job was aborted'))
        else resolve({ exitCode: code ?? -1, ...out, durationMs: Date.now() - started })
      })
    })
  },
})
