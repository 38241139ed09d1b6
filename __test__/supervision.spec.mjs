// What is known of commands that were ended, limits of time and output, and trees of processes that do not want to go.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { alive, processMark } from './support/processes.mjs'
import { outcome, rejection, until, within } from './support/wait.mjs'

const run = (job) => new LocalWorkerAdapter().execute(job)
const shell = (script, job) => run({ command: 'sh', args: ['-c', script], ...job })

/** Runs one chunk whose command is the script. */
function chunk(script, options, adapter = new LocalWorkerAdapter()) {
  captureConsole()
  const jobDir = options?.jobDir ?? tempFolder()
  writeFileSync(join(jobDir, 'chunk.sh'), script)
  const spec = { chunks: [{ id: 1, command: 'sh chunk.sh', outputFile: 'chunk.mp4' }] }
  return new JobExecutor(adapter).execute(spec, { ...options, jobDir })
}

const hasSetsid = spawnSync('setsid', ['true']).status === 0

describe('a rejection tells of the command', () => {
  it('that took too long', async () => {
    const error = await rejection(() => shell('echo out; echo err >&2; exec sleep 60', { timeout: 150 }))
    expect(error.message).toBe('Worker job timed out after 150ms')
    const { command, exitCode, signal, timedOut, stdout, stderr } = error
    expect({ command, exitCode, signal, timedOut, stdout, stderr }).toEqual({
      command: 'sh -c echo out; echo err >&2; exec sleep 60',
      exitCode: -1,
      signal: 'SIGTERM',
      timedOut: true,
      stdout: 'out\n',
      stderr: 'err\n',
    })
    expect(error.pid).toBeGreaterThan(1)
  })

  it('that was aborted, with what its callback has heard', async () => {
    const controller = new AbortController()
    const job = { signal: controller.signal, onStdout: () => controller.abort() }
    const error = await rejection(() => shell("trap 'echo bye; exit 3' TERM; echo hello; sleep 60 & wait", job))
    expect(error.message).toBe('Job was aborted')
    expect({ ...error }).toEqual({ command: error.command, pid: error.pid, exitCode: 3 })
    expect([error.stdout, error.stderr]).toEqual(['hello\nbye\n', ''])
  })

  it('and does not print its output with it', async () => {
    const error = await rejection(() => shell('echo much; exec sleep 60', { timeout: 100 }))
    expect(inspect(error)).not.toContain('much\n')
    expect(error.stdout).toBe('much\n')
  })

  it('of a chunk that failed', async () => {
    const error = await rejection(() => chunk('echo out; echo err >&2; exit 4'))
    expect(error.message).toBe('Chunk 1 failed after 1 attempts: Chunk 1 failed with exit code 4: err\n')
    expect(error).toMatchObject({ command: 'sh chunk.sh', exitCode: 4, stdout: 'out\n', stderr: 'err\n' })
    expect(error).not.toHaveProperty('timedOut')
    const killed = await rejection(() => chunk('kill -9 $$'))
    expect(killed).toMatchObject({ exitCode: -1, signal: 'SIGKILL' })
  })

  it('of a chunk on an adapter of theirs', async () => {
    const execute = async () => ({ exitCode: 5, stdout: 'o', stderr: 'e', durationMs: 1, timedOut: true })
    const error = await rejection(() => chunk('', {}, { execute }))
    expect(error).toMatchObject({ command: 'sh chunk.sh', exitCode: 5, timedOut: true, stdout: 'o', stderr: 'e' })
    expect(error).not.toHaveProperty('pid')
  })

  it('of a merge', async () => {
    captureConsole()
    const spec = { chunks: [], mergeCommand: "sh -c 'echo err >&2; exit 6'" }
    const error = await rejection(() => new JobExecutor(new LocalWorkerAdapter()).execute(spec))
    expect(error).toMatchObject({ message: 'Merge failed with exit code 6: err\n', exitCode: 6, stderr: 'err\n' })
    expect(error.command).toBe("sh -c 'echo err >&2; exit 6'")
  })

  it('but not of one that was never started', async () => {
    const error = await rejection(() => run({ command: 'no-such-program' }))
    expect(error).toMatchObject({ code: 'ENOENT', path: 'no-such-program' })
    expect(error).not.toHaveProperty('stdout')
  })
})

describe('chunkTimeout', () => {
  it('ends an attempt, says what it was doing, and tries again', async (context) => {
    const mark = processMark(context)
    vi.stubEnv('HELIOS_TEST_MARK', mark.env.HELIOS_TEST_MARK)
    const script = 'echo attempt >> attempts; echo one; echo two >&2; sleep 60 & wait'
    const error = await rejection(() => chunk(script, { chunkTimeout: 200, retries: 1, retryDelay: 0 }))
    vi.unstubAllEnvs()
    expect(error.message).toMatch(
      /^Chunk 1 failed after 2 attempts: Worker job timed out after 200ms \(chunkTimeout\): 'sh chunk\.sh', process \d+, was sleeping, with one other process, after \d\.\d\d s of processor time; its standard error ended with:\ntwo$/,
    )
    expect(error).toMatchObject({ timedOut: true, signal: 'SIGTERM', stdout: 'one\n', stderr: 'two\n' })
    expect(mark.living()).toEqual([])
  })

  it('is nothing to an attempt that ends in time', async () => {
    await chunk('true', { chunkTimeout: 20_000, stallTimeout: 20_000 })
  })

  it('aborts a signal of its own for adapters of theirs', async () => {
    const owner = new AbortController()
    const jobs = []
    const execute = (job) => {
      jobs.push(job)
      return new Promise((_, reject) => job.signal.addEventListener('abort', () => reject(new Error('I stop'))))
    }
    const options = { chunkTimeout: 50, retries: 1, retryDelay: 0, signal: owner.signal }
    const error = await rejection(() => chunk('', options, { execute }))
    expect(error.message).toMatch(/^Chunk 1 failed after 2 attempts: Worker job timed out after 50ms \(chunkTimeout\)/)
    expect(jobs.map(({ timeout }) => timeout)).toEqual([50, 50])
    expect(jobs[0].signal).not.toBe(jobs[1].signal)
    expect([owner.signal.aborted, ...jobs.map(({ signal }) => signal.aborted)]).toEqual([false, true, true])
  })

  it('lets the owner abort such an adapter as before', async () => {
    const owner = new AbortController()
    const execute = (job) => {
      queueMicrotask(() => owner.abort())
      return new Promise((_, reject) => job.signal.addEventListener('abort', () => reject(new Error('I stop'))))
    }
    const error = await rejection(() => chunk('', { chunkTimeout: 20_000, signal: owner.signal }, { execute }))
    expect(error.name).toBe('AbortError')
  })

  it('never lets two attempts run at once: an adapter that goes on is not called again', async () => {
    let calls = 0
    const execute = () => (calls++, new Promise(() => {}))
    const options = { chunkTimeout: 30, killGraceMs: 30, retries: 5, retryDelay: 0 }
    const error = await rejection(() => chunk('', options, { execute }))
    expect(error.message).toBe(
      'Chunk 1 failed after 1 attempts: Worker job timed out after 30ms (chunkTimeout), and its adapter did not end it within 30ms of that',
    )
    expect([calls, error.timedOut]).toEqual([1, true])
  })
})

describe('stallTimeout', () => {
  it('ends an attempt that does nothing', async () => {
    const started = performance.now()
    const error = await rejection(() => chunk('echo begun; exec sleep 60', { stallTimeout: 200 }))
    expect(performance.now() - started).toBeLessThan(10_000)
    expect(error.message).toMatch(
      /^Chunk 1 failed after 1 attempts: Worker job stalled: no output, no growth of its output file and no use of the processor for 200ms \(stallTimeout\): 'sh chunk\.sh', process \d+, was sleeping, after 0\.\d\d s of processor time; its standard output ended with:\nbegun$/,
    )
    expect(error.timedOut).toBe(true)
  })

  it('ends one that was stopped', async () => {
    const error = await rejection(() => chunk('kill -STOP $$', { stallTimeout: 150 }))
    expect(error.message).toContain('was stopped')
  })

  it.each([
    ['output', 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; echo $i; done'],
    ['a growing file', 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; echo $i >> chunk.mp4; done'],
    ['use of the processor', 'end=$(($(date +%s%N) + 1200000000)); while [ $(date +%s%N) -lt $end ]; do :; done'],
  ])('leaves one alone that shows %s', async (_, script) => {
    await chunk(script, { stallTimeout: 500 })
  })
})

describe('maxLogBytes', () => {
  const script = "head -c 3000000 /dev/zero | tr '\\0' x; printf end"

  it('keeps beginning and end of what chunks wrote in logs, the result of callbacks is whole', async () => {
    captureConsole()
    const folder = tempFolder()
    const repository = new FileJobRepository(folder)
    const manager = new JobManager(repository, new JobExecutor(new LocalWorkerAdapter()))
    const results = []
    const onChunkComplete = (_, { stdout }) => void results.push(stdout)
    const spec = { chunks: [{ id: 1, command: `sh -c "${script.replace('\\0', '\\\\0')}"` }] }
    const lengths = {}
    for (const maxLogBytes of [undefined, 1000, Infinity]) {
      const id = await manager.submitJob(spec, { maxLogBytes, onChunkComplete })
      const job = await until(async () => {
        const status = await manager.getJob(id)
        return status.state === 'completed' && status
      })
      const [{ stdout }] = job.logs
      lengths[maxLogBytes] = stdout.length
      expect(stdout.endsWith('xend')).toBe(true)
      if (maxLogBytes === 1000) {
        expect(stdout).toBe(`${'x'.repeat(500)}\n[2999003 bytes left out]\n${'x'.repeat(497)}end`)
      }
    }
    expect(results.map((text) => text.length)).toEqual([3_000_003, 3_000_003, 3_000_003])
    expect(lengths).toEqual({ undefined: 1048576 + 26, 1000: 1000 + 26, Infinity: 3_000_003 })
  })

  it('and in errors', async () => {
    const error = await rejection(() => chunk(`exec >&2; ${script}; exit 1`, { maxLogBytes: 10 }))
    expect(error.message).toBe(
      'Chunk 1 failed after 1 attempts: Chunk 1 failed with exit code 1: xxxxx\n[2999993 bytes left out]\nxxend',
    )
    expect(error.stderr).toBe('xxxxx\n[2999993 bytes left out]\nxxend')
  })
})

describe('maxOutputBytes', () => {
  it('limits what a result holds, not what callbacks hear', async () => {
    let heard = 0
    const job = { maxOutputBytes: 1000, onStderr: (text) => void (heard += text.length) }
    const script = "head -c 100000000 /dev/zero | tr '\\0' y; head -c 3000000 /dev/zero | tr '\\0' z >&2"
    const { stdout, stderr } = await shell(script, job)
    expect(stdout).toBe(`${'y'.repeat(500)}\n[99999000 bytes left out]\n${'y'.repeat(500)}`)
    expect(stderr).toBe(`${'z'.repeat(500)}\n[2999000 bytes left out]\n${'z'.repeat(500)}`)
    expect(heard).toBe(3_000_000)
  })

  it('makes more output possible than a string can hold, in little memory', async () => {
    const before = process.memoryUsage().rss
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20)
    const { stdout } = await shell('yes | head -c 600000000', { maxOutputBytes: 1_000_000 })
    clearInterval(watch)
    expect(stdout).toContain('[599000000 bytes left out]')
    expect(most - before).toBeLessThan(100 * 1024 * 1024)
  })

  it('is one of the options of a job too, and reaches adapters of theirs', async () => {
    const results = []
    const options = { maxOutputBytes: 4, onChunkComplete: (_, { stdout }) => void results.push(stdout) }
    await chunk('echo 123456789', options)
    expect(results).toEqual(['12\n[6 bytes left out]\n9\n'])
    const execute = vi.fn(async () => ({ exitCode: 0, stdout: '', stderr: '', durationMs: 0 }))
    await chunk('', options, { execute })
    expect(execute.mock.calls[0][0].maxOutputBytes).toBe(4)
  })

  it('must be a number of bytes', async () => {
    const error = await rejection(() => run({ command: 'true', maxOutputBytes: 'many' }))
    expect(error).toMatchObject({ name: 'TypeError', message: 'job.maxOutputBytes must be a number of bytes' })
  })
})

describe('when a promise settles, the work is over', () => {
  const stubborn = `trap '' TERM INT HUP; while :; do : > beats/$$; sleep 0.05; done`
  const escapes = [
    ['one that ignores SIGTERM', 'exec sh stubborn.sh'],
    ['one in a group of its own', `sh -mc 'sh stubborn.sh & wait'`],
    ['one that was stopped', `sh -c ': > beats/$$; kill -STOP $$' & exec sh stubborn.sh`],
    ...(hasSetsid
      ? [
          ['one in a session of its own', 'setsid sh stubborn.sh & wait'],
          ['one whose parents have ended', '(setsid sh stubborn.sh &) ; sleep 60'],
          ['one that has scrubbed its environment', 'setsid env -i /bin/sh stubborn.sh & wait'],
          ['one that does all of this by and by', `(setsid sh -c '(setsid sh stubborn.sh &); sleep 60' &) ; sleep 60`],
        ]
      : []),
  ]

  it.each(escapes)('%s', async (_, script) => {
    const jobDir = tempFolder()
    // Who lives shows by a file; the environment is no help to find those who have scrubbed theirs.
    const beats = join(jobDir, 'beats')
    mkdirSync(beats)
    writeFileSync(join(jobDir, 'stubborn.sh'), stubborn)
    const controller = new AbortController()
    const job = outcome(chunk(script, { jobDir, signal: controller.signal, killGraceMs: 100 }))
    const pids = () => readdirSync(beats).map(Number)
    await until(() => pids().length > (script.includes('STOP') ? 1 : 0), 'a sign of life')
    controller.abort()
    expect((await within(10_000, job)).error.name).toBe('AbortError')
    for (const pid of pids()) expect([pid, alive(pid)]).toEqual([pid, false])
  })

  it('in little time, also for a hundred processes', async (context) => {
    const mark = processMark(context)
    const controller = new AbortController()
    const script = 'i=0; while [ $i -lt 100 ]; do sleep 60 & i=$((i + 1)); done; wait'
    const job = outcome(shell(script, { env: mark.env, signal: controller.signal }))
    await until(() => mark.living().length > 100, 'all of them')
    const started = performance.now()
    controller.abort()
    await job
    const took = performance.now() - started
    expect(mark.living()).toEqual([])
    // Alone on a machine it takes a tenth of this (docs/reliability.md).
    expect(took).toBeLessThan(1000)
  })

  it('and those who share a census are all found', async (context) => {
    const mark = processMark(context)
    const controller = new AbortController()
    const jobs = Array.from({ length: 32 }, () =>
      outcome(shell('setsid sleep 60 & wait', { env: mark.env, signal: controller.signal })),
    )
    await until(() => mark.living().length >= 64, 'all of them')
    controller.abort()
    await Promise.all(jobs)
    expect(mark.living()).toEqual([])
  })

  it('what a command leaves running that has succeeded is left alone', async (context) => {
    const mark = processMark(context)
    await shell('sleep 60 >/dev/null 2>&1 &', { env: mark.env })
    expect(mark.living()).toHaveLength(1)
  })
})
