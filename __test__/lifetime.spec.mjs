// The package in processes of its own: loading, staying alive, ending, threads, neighbours and memory.
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { tempFolder } from './support/files.mjs'
import { processMark } from './support/processes.mjs'
import { runScript, scriptResult } from './support/scripts.mjs'
import { until } from './support/wait.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const clean = { code: 0, signal: null, stdout: '', stderr: '' }

/** Chunks of one command each, as source text. */
const chunks = (count, command) =>
  `Array.from({ length: ${count} }, (_, i) => ({ id: i + 1, command: ${JSON.stringify(command)} }))`

const oneOfEach = `
  console.log = () => {}
  const adapter = new lib.LocalWorkerAdapter()
  const executor = new lib.JobExecutor(adapter)
  const repository = new lib.FileJobRepository(process.argv[1])
  const manager = new lib.JobManager(repository, executor)
`

describe('loading', () => {
  it('prints nothing, and an idle import exits at once', async () => {
    const started = performance.now()
    expect(await runScript('')).toEqual(clean)
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it('and making one of each keeps nothing alive', async () => {
    const more = 'new lib.FfmpegStitcher(); new lib.RenderExecutor("/tmp"); new lib.InMemoryJobRepository()'
    expect(await runScript(oneOfEach + more, { args: [tempFolder()] })).toEqual(clean)
  })

  it('nor does work that has ended', async () => {
    const work = `
      await adapter.execute({ command: 'true', signal: new AbortController().signal })
      await executor.execute({ chunks: ${chunks(3, 'true')} }, { concurrency: 2, signal: new AbortController().signal })
      const id = await manager.submitJob({ chunks: ${chunks(3, 'true')} })
      while ((await manager.getJob(id)).state !== 'completed') await new Promise(setImmediate)
      await manager.deleteJob(id)
    `
    const started = performance.now()
    expect(await runScript(oneOfEach + work, { args: [tempFolder()] })).toEqual(clean)
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it('by import and by require gives the same classes', async () => {
    const script = `
      import { createRequire } from 'node:module'
      import * as named from '@helios-project/infrastructure'
      const required = createRequire(import.meta.url)('@helios-project/infrastructure')
      const names = Object.keys(lib).filter((name) => name !== 'default')
      const same = names.filter((name) => lib[name] === required[name] && lib[name] === named[name])
      process.stdout.write(JSON.stringify({ names, same }))
    `
    const { names, same } = await scriptResult(script, { cwd: root })
    expect(same).toEqual(names)
    expect(names).toContain('JobManager')
  })
})

describe('a job nobody waits for', () => {
  const submit = (job, options = '{}') => `${oneOfEach} manager.submitJob(${job}, ${options})`
  const record = (dir) => {
    const [name, ...others] = readdirSync(dir)
    expect(others).toEqual([])
    return JSON.parse(readFileSync(join(dir, name), 'utf8'))
  }

  it.each([
    ['with chunks of our own adapter', submit(`{ chunks: ${chunks(2, 'sleep 0.2')} }`), 2],
    [
      'in a retry delay',
      submit(
        `{ chunks: ${chunks(1, `sh -c '[ -e "$0" ] || { touch "$0"; exit 1; }' FILE`)} }`,
        '{ retries: 1, retryDelay: 300 }',
      ),
      1,
    ],
    ['in a merge', submit(`{ chunks: ${chunks(1, 'true')}, mergeCommand: 'sleep 0.3' }`), 1],
  ])('%s keeps Node alive until it has ended and is saved', async (_, script, count) => {
    const dir = join(tempFolder(), 'jobs')
    const flag = join(tempFolder(), 'flag')
    const { code, stderr } = await runScript(`console.warn = () => {}\n${script.replace('FILE', flag)}`, {
      args: [dir],
    })
    expect([code, stderr]).toEqual([0, ''])
    expect(record(dir)).toMatchObject({ state: 'completed', completedChunks: count, progress: 100 })
  })

  it('nor a single command', async () => {
    const file = join(tempFolder(), 'written')
    const args = JSON.stringify(['-c', `sleep 0.3; echo done > '${file}'`])
    expect(await runScript(`new lib.LocalWorkerAdapter().execute({ command: 'sh', args: ${args} })`)).toEqual(clean)
    expect(readFileSync(file, 'utf8')).toBe('done\n')
  })

  it('whose rejection is not handled ends Node with code 1, as any does', async () => {
    const { code, stderr } = await runScript(`new lib.LocalWorkerAdapter().execute({ command: 'no-such-command' })`)
    expect([code, /spawn no-such-command ENOENT/.test(stderr)]).toEqual([1, true])
  })
})

describe('process.exit', () => {
  const work = `
    ${oneOfEach}
    for (let i = 0; i < 4; i += 1) {
      manager.submitJob({ chunks: ${chunks(20, 'sleep 20')} }, { concurrency: 4 })
      manager.submitJob({ chunks: ${chunks(20, 'true')} }, { concurrency: 2 })
      repository.save({ id: 'own' + i, filler: 'x'.repeat(1e6) })
      adapter.execute({ command: 'yes', onStdout() {} }).catch(() => {})
    }
  `

  it.for([0, 1, 5, 20, 60, 150])('after %i ms with work in flight ends cleanly, with its code', async (ms, context) => {
    const mark = processMark(context)
    const dir = tempFolder()
    const exit = ms ? `setTimeout(() => process.exit(7), ${ms})` : 'process.exit(7)'
    const options = { args: [dir], env: { ...process.env, ...mark.env } }
    expect(await runScript(work + exit, options)).toEqual({ ...clean, code: 7 })
  })

  it('by an uncaught exception has code 1', async (context) => {
    const mark = processMark(context)
    const options = { args: [tempFolder()], env: { ...process.env, ...mark.env } }
    const script = `${work} setTimeout(() => { throw new Error('on purpose') }, 20)`
    const { code, signal, stderr } = await runScript(script, options)
    expect([code, signal, /Error: on purpose/.test(stderr), /panic|SIG/.test(stderr)]).toEqual([1, null, true, false])
  })
})

describe('worker threads', () => {
  const thread = `
    console.log = console.warn = () => {}
    import('node:worker_threads').then(async ({ parentPort, workerData }) => {
      const lib = await import(workerData.entry)
      const native = new lib.JobManager(new lib.FileJobRepository(workerData.dir), new lib.JobExecutor(new lib.LocalWorkerAdapter()))
      const slow = { execute: () => new Promise((resolve) => setTimeout(resolve, 1, { exitCode: 0, stdout: '', stderr: '' })) }
      const plain = new lib.JobManager(new lib.FileJobRepository(workerData.dir), new lib.JobExecutor(slow))
      const { chunk } = workerData
      const chunks = (command, n) => Array.from({ length: n }, (_, id) => ({ id, command }))
      native.submitJob({ chunks: chunks(chunk, workerData.count) }, { concurrency: 4 })
      plain.submitJob({ chunks: chunks('x', 10 * workerData.count) }, { concurrency: 4 })
      new lib.LocalWorkerAdapter().execute({ command: 'sh', args: ['-c', chunk], timeout: 30000, onStdout() {} }).catch(() => {})
      parentPort.postMessage('started')
    })
  `
  const script = (body) => `
    import { Worker } from 'node:worker_threads'
    const source = ${JSON.stringify(thread)}
    const [dir, entry] = process.argv.slice(1)
    const start = (chunk, count) => {
      const worker = new Worker(source, { eval: true, workerData: { dir, entry, chunk, count } })
      const ended = new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve))
      return { worker, ended, started: new Promise((resolve) => worker.once('message', resolve)) }
    }
    ${body}
    const { stdout } = await new lib.LocalWorkerAdapter().execute({ command: 'echo', args: ['alive'] })
    process.stdout.write(stdout)
  `
  const entry = new URL('../index.js', import.meta.url).href

  it('may be terminated with work in flight, 30 times: no crash, no orphan', { timeout: 90_000 }, async (context) => {
    const mark = processMark(context)
    const body = `
      for (let round = 0; round < 30; round += 1) {
        const { worker, started } = start('sleep 50', 20)
        await started
        await new Promise((resolve) => setTimeout(resolve, (round * 7) % 40))
        await worker.terminate()
      }
      const { readFileSync, readdirSync } = await import('node:fs')
      const orphans = () =>
        readdirSync('/proc').filter((pid) => {
          try {
            return readFileSync('/proc/' + pid + '/stat', 'latin1').includes('(sleep) S ' + process.pid + ' ')
          } catch {
            return false
          }
        })
      for (let i = 0; i < 500 && orphans().length; i += 1) await new Promise((resolve) => setTimeout(resolve, 10))
      if (orphans().length) throw new Error('orphans: ' + orphans())
    `
    const options = { args: [tempFolder(), entry], env: { ...process.env, ...mark.env } }
    expect(await runScript(script(body), options)).toEqual({ ...clean, stdout: 'alive\n' })
    await until(() => mark.living().length === 0, 'every process to be gone')
  })

  it('end by themselves when their jobs have ended', async () => {
    const dir = tempFolder()
    const body = `
      const threads = Array.from({ length: 4 }, () => start('true', 5))
      for (const { ended } of threads) if (await ended) throw new Error('a thread ended badly')
    `
    expect(await runScript(script(body), { args: [dir, entry] })).toEqual({ ...clean, stdout: 'alive\n' })
    const states = readdirSync(dir).map((name) => JSON.parse(readFileSync(join(dir, name), 'utf8')).state)
    expect(states).toEqual(Array(8).fill('completed'))
  })
})

describe('beside the child_process of Node', () => {
  it('1,500 processes each: every exit code is right, no zombie, no file left open', { timeout: 120_000 }, async () => {
    const script = `
      import { spawn } from 'node:child_process'
      import { existsSync, readFileSync, readdirSync } from 'node:fs'
      const adapter = new lib.LocalWorkerAdapter()
      const node = (code) =>
        new Promise((resolve, reject) => spawn('sh', ['-c', 'exit ' + code]).on('error', reject).on('close', resolve))
      const ours = async (code) => (await adapter.execute({ command: 'sh', args: ['-c', 'exit ' + code] })).exitCode
      const files = () => existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0
      const zombies = () => {
        if (!existsSync('/proc/self')) return 0
        const stats = readdirSync('/proc').filter((name) => /^\\d+$/.test(name)).map((pid) => {
          try { return readFileSync('/proc/' + pid + '/stat', 'utf8') } catch { return '' }
        })
        return stats.filter((text) => text.slice(text.lastIndexOf(')')).startsWith(') Z ' + process.pid + ' ')).length
      }
      const many = async (run, wrong, total, next = { at: 0 }) => {
        const lane = async () => {
          for (let i = next.at++; i < total; i = next.at++) {
            const code = await run(i % 256)
            if (code !== i % 256) wrong.push([i, code])
          }
        }
        await Promise.all(Array.from({ length: 12 }, lane))
      }
      const wrong = { node: [], ours: [] }
      await Promise.all([many(node, wrong.node, 50), many(ours, wrong.ours, 50)])
      const before = files()
      await Promise.all([many(node, wrong.node, 1500), many(ours, wrong.ours, 1500)])
      for (let i = 0; i < 100 && (files() > before + 2 || zombies()); i += 1) await new Promise((go) => setTimeout(go, 10))
      process.stdout.write(JSON.stringify({ wrong, zombies: zombies(), files: Math.max(0, files() - before - 2) }))
    `
    expect(await scriptResult(script)).toEqual({ wrong: { node: [], ours: [] }, zombies: 0, files: 0 })
  })
})

describe('memory', () => {
  it('holds nothing of 10,000 aborted signals', { timeout: 90_000 }, async () => {
    const script = `
      import { getEventListeners } from 'node:events'
      console.log = console.warn = console.error = () => {}
      const adapter = new lib.LocalWorkerAdapter()
      const waiting = { execute: ({ signal }) => new Promise((_, fail) => signal.addEventListener('abort', fail, { once: true })) }
      const executor = new lib.JobExecutor(waiting)
      const signals = []
      let [listeners, wrong] = [0, 0]
      const used = async (run, early) => {
        const control = new AbortController()
        if (early) control.abort()
        const job = run(control.signal).then(() => (wrong += 1), () => {})
        control.abort()
        await job
        listeners += getEventListeners(control.signal, 'abort').length
        signals.push(new WeakRef(control.signal))
      }
      const job = { chunks: [{ id: 1, command: 'x' }] }
      const rounds = async (n) => {
        for (let i = 0; i < n; i += 1) {
          await used((signal) => adapter.execute({ command: 'true', signal }), true)
          await used((signal) => executor.execute(job, { signal }), i % 2)
        }
      }
      const heap = async () => {
        for (let i = 0; i < 3; i += 1) {
          globalThis.gc()
          await new Promise((resolve) => setTimeout(resolve, 10))
        }
        return process.memoryUsage().heapUsed
      }
      await rounds(500)
      const before = await heap()
      await rounds(4500)
      const grown = (await heap()) - before
      const kept = signals.filter((ref) => ref.deref()).length
      process.stdout.write(JSON.stringify({ used: signals.length, listeners, wrong, kept, grown }))
    `
    const { grown, kept, ...counts } = await scriptResult(script, { nodeArgs: ['--expose-gc'] })
    expect(counts).toEqual({ used: 10_000, listeners: 0, wrong: 0 })
    expect(kept).toBeLessThan(100)
    expect(grown).toBeLessThan(8e6)
  })
})
