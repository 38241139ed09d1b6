// What becomes of running chunks when the process that runs them dies, in whatever way; and who sees to it.
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { need } from './support/abilities.mjs'
import { tempFolder } from './support/files.mjs'
import { alive, processMark } from './support/processes.mjs'
import { moduleOf, startScript } from './support/scripts.mjs'
import { until } from './support/wait.mjs'

const hasSetsid = spawnSync('setsid', ['true']).status === 0
const GRACE_MS = 200

beforeEach((context) => need(context, 'proc'))

/** Chunks that do not want to go; each shows by a file that it lives. */
const stubborn = `trap '' TERM INT HUP; while :; do : > beats/$$; sleep 0.05; done`
const chunks = [
  'sh -c "exec sh stubborn.sh"',
  'sh -c "sh stubborn.sh & wait"',
  ...(hasSetsid
    ? [
        'sh -c "setsid sh stubborn.sh & wait"',
        'sh -c "(setsid sh stubborn.sh &) ; sleep 60"',
        `sh -c "setsid env -i /bin/sh stubborn.sh & wait"`,
      ]
    : []),
].map((command, id) => ({ id, command }))

const render = `
  console.log = () => {}
  const options = { jobDir: process.argv.at(-1), concurrency: 16, killGraceMs: ${GRACE_MS} }
  const rendered = new lib.JobExecutor(new lib.LocalWorkerAdapter()).execute({ chunks: ${JSON.stringify(chunks)} }, options)
`

function jobFolder() {
  const folder = tempFolder()
  mkdirSync(join(folder, 'beats'))
  writeFileSync(join(folder, 'stubborn.sh'), stubborn)
  return folder
}

const pidsIn = (folder) => readdirSync(join(folder, 'beats')).map(Number)

/** Waits until all chunks are running. */
const running = (folder) => until(() => pidsIn(folder).length >= chunks.length, 'all chunks to run')

/** Waits until none is: as long as is promised, and not longer. */
async function gone(folder) {
  await until(() => !pidsIn(folder).some(alive), 'the chunks to be gone', 2000 + GRACE_MS)
  for (const pid of pidsIn(folder)) expect([pid, alive(pid)]).toEqual([pid, false])
}

/** The companions of a process. */
const companionsOf = (pid) =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]
        return Number(parent) === pid && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('helios-guardian')
      } catch {
        return false
      }
    })
    .map(Number)

describe('nothing survives', () => {
  const ends = [
    ['SIGKILL', (child) => child.kill('SIGKILL'), ''],
    ['SIGTERM', (child) => child.kill('SIGTERM'), ''],
    ['SIGINT', (child) => child.kill('SIGINT'), ''],
    ['SIGHUP', (child) => child.kill('SIGHUP'), ''],
    ['SIGSEGV', (child) => child.kill('SIGSEGV'), ''],
    ['process.exit()', (child) => child.stdin.write('go'), `process.stdin.once('data', () => process.exit(3))`],
    ['process.abort()', (child) => child.stdin.write('go'), `process.stdin.once('data', () => process.abort())`],
    ['an uncaught error', (child) => child.stdin.write('go'), `process.stdin.once('data', () => { throw 'up' })`],
  ]

  it.each(ends)('%s', async (_, end, more) => {
    const folder = jobFolder()
    const { child, ended } = startScript(`${render}\n${more}`, { args: [folder] })
    await running(folder)
    end(child)
    await ended
    await gone(folder)
  })

  it('Ctrl-C at a terminal', async (context) => {
    need(context, 'terminal')
    const folder = jobFolder()
    const script = join(folder, 'render.mjs')
    writeFileSync(script, moduleOf(render))
    // A session with a terminal of its own; what is written to it is typed there.
    const terminal = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
sys.stdin.read(1)
os.write(fd, b'\\x03')
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
    const child = spawn('python3', ['-c', terminal, process.execPath, script, folder], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    await running(folder)
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text) => (printed += text))
    const closed = new Promise((resolve) => child.on('close', resolve))
    child.stdin.end('c')
    await closed
    expect(printed).toBe('-2\n')
    await gone(folder)
  })

  it('the end of a worker thread', async () => {
    const folder = jobFolder()
    const script = `
      const { Worker } = await import('node:worker_threads')
      const source = 'data:text/javascript,' + encodeURIComponent(${JSON.stringify(moduleOf(render))})
      const worker = new Worker(new URL(source), { argv: [process.argv[1]] })
      worker.on('error', (error) => console.error(error))
      process.stdin.once('data', async () => { await worker.terminate(); console.log('terminated') })
    `
    const { child, out } = startScript(script, { args: [folder] })
    await running(folder)
    child.stdin.write('go')
    await until(() => out.stdout.includes('terminated'), 'the thread to end')
    await gone(folder)
    expect(child.exitCode).toBe(null)
  })

  it('also when the guardian itself was killed before', async () => {
    const folder = jobFolder()
    const { child, ended } = startScript(render, { args: [folder] })
    await running(folder)
    const [first] = companionsOf(child.pid)
    // One that dies right after its start is not replaced, as the next would too.
    const since = Date.now()
    await until(() => Date.now() - since > 1100, 'the guardian to be old enough')
    process.kill(first, 'SIGKILL')
    await until(() => companionsOf(child.pid).some((pid) => pid !== first), 'the next guardian')
    child.kill('SIGKILL')
    await ended
    await gone(folder)
  })
})

describe('what has succeeded and left something running', () => {
  it('is left alone, whatever becomes of this process', async (context) => {
    const mark = processMark(context)
    const script = `
      await new lib.LocalWorkerAdapter().execute({ command: 'sh', args: ['-c', 'sleep 60 >/dev/null 2>&1 &'] })
      console.log('done')
      process.stdin.resume()
    `
    const { child, out, ended } = startScript(script, { env: { ...process.env, ...mark.env } })
    await until(() => out.stdout.includes('done'), 'the command to end')
    child.kill('SIGKILL')
    await ended
    // The guardian of a process that has nothing running ends with it.
    await until(() => mark.living().length === 1, 'the guardian to be gone')
    const [pid] = mark.living()
    expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBe('sleep\0' + '60\0')
  })
})

describe('the guardian', () => {
  it('is there while something runs, is small, and goes when it has had nothing to guard for a second', async () => {
    const script = `
      const adapter = new lib.LocalWorkerAdapter()
      process.stdin.on('data', async () => {
        await adapter.execute({ command: 'sleep', args: ['0.3'] })
        console.log('done')
      })
    `
    const { child, out } = startScript(script)
    for (const times of [1, 2]) {
      child.stdin.write('go')
      const [pid] = await until(() => {
        const found = companionsOf(child.pid)
        return found.length > 0 && found
      }, 'the guardian')
      expect(companionsOf(child.pid)).toEqual([pid])
      const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
      expect(Number(kilobytes)).toBeLessThan(2048)
      await until(() => out.stdout.split('\n').length > times, 'the command to end')
      await until(() => companionsOf(child.pid).length === 0 && !alive(pid), 'the guardian to go', 5000)
    }
  })

  it('is not there for a package that is only imported, and keeps nobody waiting', async () => {
    const { child, ended } = startScript('await new lib.LocalWorkerAdapter().execute({ command: "true" })')
    const started = performance.now()
    expect(await ended).toMatchObject({ code: 0, stderr: '' })
    expect(performance.now() - started).toBeLessThan(5000)
    expect(child.exitCode).toBe(0)
  })

  it('is one for all threads of a process', async () => {
    const run = 'new lib.LocalWorkerAdapter().execute({ command: "sleep", args: ["60"] })'
    const script = `
      const { Worker } = await import('node:worker_threads')
      const source = 'data:text/javascript,' + encodeURIComponent(${JSON.stringify(moduleOf(run))})
      for (let i = 0; i < 3; i++) new Worker(new URL(source))
      ${run}
    `
    const { child } = startScript(script)
    const sleepers = () => readdirSync(`/proc/${child.pid}/task`).flatMap((task) => childrenOf(child.pid, task))
    await until(() => sleepers().length >= 5, 'four commands and a guardian')
    expect(companionsOf(child.pid)).toHaveLength(1)
  })

  it('ends the work of a process that is itself part of a chunk of another', async () => {
    const folder = jobFolder()
    const inner = join(folder, 'inner.mjs')
    writeFileSync(inner, moduleOf(render))
    const command = `${process.execPath} ${inner} ${folder}`
    const outer = `
      console.log = () => {}
      const executor = new lib.JobExecutor(new lib.LocalWorkerAdapter())
      await executor.execute({ chunks: [{ id: 1, command: ${JSON.stringify(command)} }] }, { killGraceMs: ${GRACE_MS} })
    `
    const { child, ended } = startScript(outer)
    await running(folder)
    child.kill('SIGKILL')
    await ended
    await gone(folder)
  })
})

function childrenOf(pid, task) {
  try {
    return readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean)
  } catch {
    return []
  }
}
