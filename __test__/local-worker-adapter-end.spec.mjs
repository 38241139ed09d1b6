// LocalWorkerAdapter: how a running process is ended, by timeout and by signal, and what is left behind: nothing.
import { getEventListeners } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LocalWorkerAdapter } from '../index.js'
import { captureWarnings } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { processMark } from './support/processes.mjs'
import { outcome, rejection, until, within } from './support/wait.mjs'

const run = (job) => new LocalWorkerAdapter().execute(job)
const shell = (script, job) => run({ command: 'sh', args: ['-c', script], ...job })
const listeners = (signal) => getEventListeners(signal, 'abort').length

/** A signal that is none: what people hand in from other realms and libraries. */
function lookAlike({ removable = true } = {}) {
  const heard = new Set()
  const signal = {
    aborted: false,
    addEventListener: (type, listener) => void (type === 'abort' && heard.add(listener)),
  }
  if (removable) signal.removeEventListener = (_, listener) => void heard.delete(listener)
  const abort = () => {
    signal.aborted = true
    for (const listener of heard) listener({ type: 'abort' })
  }
  return { signal, abort, heard }
}

describe('a timeout', () => {
  it('rejects and ends the process with all its descendants', async (context) => {
    const mark = processMark(context)
    const started = performance.now()
    const error = await rejection(() => shell('sleep 60 & (sleep 60 & wait) & wait', { timeout: 200, env: mark.env }))
    expect(error).toMatchObject({ name: 'Error', message: 'Worker job timed out after 200ms' })
    expect(performance.now() - started).toBeGreaterThanOrEqual(195)
    expect(mark.living()).toEqual([])
  })

  it('is not felt by a process that ends in time', async () => {
    expect(await shell('echo done', { timeout: 20_000 })).toMatchObject({ exitCode: 0, stdout: 'done\n' })
  })

  it.each([0, undefined])('of %s is none', async (timeout) => {
    expect(await shell('sleep 0.1; echo done', { timeout })).toMatchObject({ exitCode: 0, stdout: 'done\n' })
  })

  it('passes also while this thread is busy', async (context) => {
    const mark = processMark(context)
    const job = outcome(shell('sleep 60', { timeout: 50, env: mark.env }))
    await until(() => mark.living().length > 0, 'the process to start')
    const end = performance.now() + 500
    while (performance.now() < end);
    expect((await job).error.message).toBe('Worker job timed out after 50ms')
    expect(mark.living()).toEqual([])
  })
})

describe('an abort', () => {
  it.each([
    ['without a reason', []],
    ['with a reason of the user', [new Error('my own reason')]],
    ['with a reason that is no error', ['because']],
  ])('before the start, %s, starts nothing', async (_, reason) => {
    const file = join(tempFolder(), 'started')
    const control = new AbortController()
    control.abort(...reason)
    const error = await rejection(() => shell(`touch '${file}'`, { signal: control.signal }))
    expect(error).toMatchObject({ name: 'Error', message: 'Job was aborted' })
    expect(existsSync(file)).toBe(false)
    expect(listeners(control.signal)).toBe(0)
  })

  it.for([
    ['without a reason', []],
    ['with a reason of the user', [new Error('my own reason')]],
  ])('of a running process, %s, ends it with all its descendants', async ([, reason], context) => {
    const mark = processMark(context)
    const control = new AbortController()
    const script = 'sleep 60 & (sleep 60 & wait) & echo ready; wait'
    const onStdout = () => control.abort(...reason)
    const error = await rejection(() => shell(script, { signal: control.signal, env: mark.env, onStdout }))
    expect(error).toMatchObject({ name: 'Error', message: 'Job was aborted' })
    expect(mark.living()).toEqual([])
    expect(listeners(control.signal)).toBe(0)
  })

  it('waits for a descendant that takes its time to end', async (context) => {
    const mark = processMark(context)
    const control = new AbortController()
    const slow = `trap 'trap "" TERM; sleep 0.6; exit' TERM; echo up; exec >/dev/null 2>&1; while :; do sleep 0.05; done`
    const onStdout = () => control.abort()
    const job = { signal: control.signal, env: { ...mark.env, SLOW: slow }, onStdout }
    const started = performance.now()
    const error = await rejection(() => shell('sh -c "$SLOW" & exec sleep 60', job))
    expect(error.message).toBe('Job was aborted')
    expect(mark.living()).toEqual([])
    expect(performance.now() - started).toBeGreaterThan(550)
  })

  it('right after the call, before the process is up, ends it too', async (context) => {
    const mark = processMark(context)
    for (let i = 0; i < 20; i += 1) {
      const control = new AbortController()
      const job = outcome(shell('sleep 60', { signal: control.signal, env: mark.env }))
      if (i % 2) await new Promise(setImmediate)
      control.abort()
      expect((await within(10_000, job)).error.message).toBe('Job was aborted')
    }
    expect(mark.living()).toEqual([])
  })

  it('after the end does nothing', async () => {
    const control = new AbortController()
    const result = await shell('echo done', { signal: control.signal })
    control.abort()
    expect(result).toMatchObject({ exitCode: 0, stdout: 'done\n' })
  })

  it('ends every one of many processes under one signal', async (context) => {
    const mark = processMark(context)
    const control = new AbortController()
    const jobs = Array.from({ length: 8 }, () =>
      rejection(() => shell('sleep 60', { signal: control.signal, env: mark.env })),
    )
    await until(() => mark.living().length >= 8, 'the processes to start')
    control.abort()
    const messages = (await Promise.all(jobs)).map(({ message }) => message)
    expect(messages).toEqual(Array(8).fill('Job was aborted'))
    expect(mark.living()).toEqual([])
    expect(listeners(control.signal)).toBe(0)
  })
})

describe('a signal', () => {
  it('has no listener left, however the job ended', async () => {
    const { signal } = new AbortController()
    await shell('true', { signal })
    await shell('exit 3', { signal })
    await outcome(run({ command: 'no-such-command', signal }))
    await outcome(shell('sleep 60', { signal, timeout: 20 }))
    await outcome(run({ command: 5, signal }))
    expect(listeners(signal)).toBe(0)
  })

  it('gathers no listeners and no warnings over many jobs', async () => {
    const warnings = captureWarnings()
    const { signal } = new AbortController()
    let most = 0
    for (let i = 0; i < 50; i += 1) {
      const job = run({ command: 'true', signal })
      most = Math.max(most, listeners(signal))
      await job
    }
    expect(most).toBe(1)
    expect(listeners(signal)).toBe(0)
    expect(warnings).toEqual([])
  })

  it('keeps its onabort', async () => {
    const control = new AbortController()
    let heard = 0
    const mine = () => void (heard += 1)
    control.signal.onabort = mine
    await shell('true', { signal: control.signal })
    const job = rejection(() => shell('sleep 60', { signal: control.signal }))
    expect(control.signal.onabort).toBe(mine)
    control.abort()
    expect((await job).message).toBe('Job was aborted')
    expect([control.signal.onabort, heard]).toEqual([mine, 1])
  })

  it.for([
    ['with removeEventListener', { removable: true }],
    ['without removeEventListener', { removable: false }],
  ])('may be a look-alike %s', async ([, options], context) => {
    const mark = processMark(context)
    const { signal, abort, heard } = lookAlike(options)
    expect(await shell('echo done', { signal })).toMatchObject({ exitCode: 0, stdout: 'done\n' })
    if (options.removable) expect(heard.size).toBe(0)
    const job = rejection(() => shell('sleep 60', { signal, env: mark.env }))
    await until(() => mark.living().length > 0, 'the process to start')
    abort()
    expect((await job).message).toBe('Job was aborted')
    expect(mark.living()).toEqual([])
    if (options.removable) expect(heard.size).toBe(0)
  })

  it('may be a look-alike that has nothing but `aborted`', async () => {
    expect(await shell('echo done', { signal: { aborted: false } })).toMatchObject({ stdout: 'done\n' })
    const error = await rejection(() => shell('true', { signal: { aborted: true } }))
    expect(error.message).toBe('Job was aborted')
  })

  it('may be a composed one', async () => {
    const control = new AbortController()
    const signal = AbortSignal.any([control.signal, AbortSignal.timeout(60_000)])
    const job = rejection(() => shell('sleep 60', { signal }))
    control.abort()
    expect((await job).message).toBe('Job was aborted')
  })
})
