// Runs jobs over and over, with pauses, cancels, failures and owners that are killed, and watches whether anything grows or is
// lost: memory, handles, open files, threads, files and processes left behind. Exit code 1 when something does. POSIX.
//
//   npm run soak -- [--minutes 5] [--seed N]

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { randomOf } from '../__test__/support/random.mjs'

const CHUNKS = 6
const AT_ONCE = 4
/** Looks at itself so many times in all. */
const SAMPLES = 20
/** By how much the last quarter may be above the second one, in parts and in all. */
const ROOM = { rss: [0.1, 8], handles: [0, 2], fds: [0, 3], threads: [0, 3] }

const say = (line) => process.stdout.write(`${line}\n`)
console.log = console.warn = console.error = () => {}

const managerOf = (records) => new JobManager(new FileJobRepository(records), new JobExecutor(new LocalWorkerAdapter()))

function specOf(name, commandOf = () => '') {
  const chunks = Array.from({ length: CHUNKS }, (_, id) => {
    return { id, command: `sh -c "${commandOf(id)}sleep 0.02; printf done > ${id}.out"`, outputFile: `${id}.out` }
  })
  return {
    id: name,
    metadata: { totalFrames: CHUNKS, fps: 1, width: 2, height: 2, duration: CHUNKS },
    chunks,
    mergeCommand: 'true',
  }
}

async function soak({ minutes, seed }) {
  const home = mkdtempSync(join(tmpdir(), 'helios-soak-'))
  const records = join(home, 'records')
  const mark = `HELIOS_SOAK=${randomUUID()}`
  process.env.HELIOS_SOAK = mark.split('=')[1]
  const [random, manager] = [randomOf(seed), managerOf(records)]
  const [done, lost, samples] = [{ jobs: 0 }, [], []]
  const [started, span] = [performance.now(), minutes * 60_000]
  say(`seed ${seed}, ${minutes} min`)
  say('     s    jobs  rss MB  handles  fds  threads  strays  processes')
  try {
    while (performance.now() - started < span) {
      await Promise.all(Array.from({ length: AT_ONCE }, () => one(random.pick(Object.keys(kinds)))))
      if (performance.now() - started > (samples.length * span) / SAMPLES) samples.push(await sample())
    }
    samples.push(await sample())
  } finally {
    await manager.close()
    rmSync(home, { recursive: true, force: true })
  }
  say(JSON.stringify(done))
  return [...lost, ...grown(samples)]

  async function one(kind) {
    const name = `${kind} ${(done.jobs += 1)}`
    done[kind] = (done[kind] ?? 0) + 1
    const work = join(home, String(done.jobs))
    mkdirSync(work)
    try {
      const reported = []
      const options = { jobDir: work, concurrency: 2, onChunkComplete: (id) => void reported.push(id) }
      await kinds[kind]({ name, work, records, manager, options, wait: () => pause(random.below(150)) })
      const record = (await manager.listJobs()).find(({ spec }) => spec.id === name)
      // An owner that was killed before it had submitted it.
      if (!record) return void (kind === 'killed' || lost.push(`${name}: no record`))
      const logged = record.logs.map(({ chunkId }) => chunkId)
      for (const id of reported) if (!logged.includes(id)) lost.push(`${name}: ${id} reported, not recorded`)
      if (!(ends[kind] ?? ['completed']).includes(record.state)) lost.push(`${name}: ${record.state} (${record.error})`)
      const rendered = (id) => logged.includes(id) && existsSync(join(work, `${id}.out`))
      const isWhole = Array.from({ length: CHUNKS }, (_, id) => id).every(rendered)
      if (record.state === 'completed' && !isWhole) lost.push(`${name}: completed with ${logged}`)
      await manager.deleteJob(record.id)
    } catch (error) {
      lost.push(`${name}: ${error.stack}`)
    } finally {
      rmSync(work, { recursive: true, force: true })
    }
  }

  async function sample() {
    // What ends by itself: a guardian stays for a second, a closed handle until the next turn.
    for (let at = 0; at < 100 && living(mark).length > 0; at += 1) await pause(50)
    await pause(50)
    globalThis.gc?.()
    const count = (folder) => (existsSync(folder) ? readdirSync(folder).length : 0)
    const seen = {
      rss: process.memoryUsage.rss() / 2 ** 20,
      handles: process.getActiveResourcesInfo().length,
      fds: count('/proc/self/fd'),
      threads: count('/proc/self/task'),
      strays: count(records),
      processes: living(mark).length,
    }
    const cells = [(performance.now() - started) / 1000, done.jobs, ...Object.values(seen)]
    say(cells.map((cell, at) => String(Math.round(cell)).padStart([6, 8, 8, 9, 5, 9, 8, 11][at])).join(''))
    if (seen.strays > 0) lost.push(`left in the folder of records: ${readdirSync(records)}`)
    if (seen.processes > 0) lost.push(`processes left: ${living(mark)}`)
    return seen
  }
}

const submit = ({ manager, options, name }, commandOf, extra) =>
  manager.submitJob(specOf(name, commandOf), { ...options, ...extra })

/** What may happen to a job. */
const kinds = {
  plain: async (at) => void (await at.manager.waitForJob(await submit(at))),
  paused: async (at) => {
    const id = await submit(at)
    await at.wait()
    await at.manager.pauseJob(id)
    await at.manager.resumeJob(id)
    await at.manager.waitForJob(id)
  },
  cancelled: async (at) => {
    const id = await submit(at)
    await at.wait()
    await at.manager.cancelJob(id)
  },
  retried: async (at) => {
    const commandOf = (chunk) => (chunk % 2 ? `test -e ${chunk}.again || { touch ${chunk}.again; exit 1; }; ` : '')
    await at.manager.waitForJob(await submit(at, commandOf, { retries: 2, retryDelay: 5 }))
  },
  failed: async (at) => {
    await at.manager.waitForJob(await submit(at, (chunk) => (chunk === 3 ? 'exit 7; ' : '')))
  },
  killed: async (at) => {
    const args = [fileURLToPath(import.meta.url), '--owner', at.records, at.work, at.name]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise((resolve, reject) => child.on('close', resolve).on('error', reject))
    child.stdout.on(
      'data',
      (id) =>
        void String(id)
          .match(/\d+/g)
          .forEach((one) => at.options.onChunkComplete(Number(one))),
    )
    await new Promise((resolve) => child.stdout.once('data', resolve).once('close', resolve))
    await at.wait()
    child.kill('SIGKILL')
    await ended
    await at.manager.recover()
    const record = (await at.manager.listJobs()).find(({ spec }) => spec.id === at.name)
    if (record) await at.manager.waitForJob(record.id)
  },
}

/** The states in which each may end, unless it is `completed`. */
const ends = { cancelled: ['cancelled', 'completed'], failed: ['failed'] }

/** The owner that is killed: prints the chunks that were reported. */
async function own(records, work, name) {
  const onChunkComplete = (id) => void process.stdout.write(`${id} `)
  const manager = managerOf(records)
  await manager.waitForJob(await manager.submitJob(specOf(name), { jobDir: work, concurrency: 2, onChunkComplete }))
}

/** Processes that have `mark` in their environment. */
function living(mark) {
  if (!existsSync('/proc/self/environ')) return []
  return readdirSync('/proc').filter((pid) => {
    try {
      return Number(pid) !== process.pid && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark)
    } catch {
      return false
    }
  })
}

/** What is above where it was, by the medians of the second quarter and the last. */
function grown(samples) {
  const quarter = Math.floor(samples.length / 4)
  const median = (name) => (list) => list.map((one) => one[name]).sort((a, b) => a - b)[Math.floor(list.length / 2)]
  return Object.entries(ROOM).flatMap(([name, [part, all]]) => {
    const [before, after] = [samples.slice(quarter, 2 * quarter + 1), samples.slice(-quarter - 1)].map(median(name))
    say(`${name.padEnd(8)} ${before.toFixed(1)} -> ${after.toFixed(1)}`)
    return after > before * (1 + part) + all ? [`${name} has grown`] : []
  })
}

if (process.argv[2] === '--owner') await own(...process.argv.slice(3))
else {
  const { values } = parseArgs({ options: { minutes: { type: 'string' }, seed: { type: 'string' } } })
  const [minutes, seed] = [Number(values.minutes ?? 5), Number(values.seed ?? Math.floor(Math.random() * 1e9))]
  const wrong = await soak({ minutes, seed })
  wrong.forEach(say)
  say(wrong.length > 0 ? `${wrong.length} things are wrong.` : 'Nothing has grown, nothing was lost.')
  process.exitCode = wrong.length > 0 ? 1 : 0
}
