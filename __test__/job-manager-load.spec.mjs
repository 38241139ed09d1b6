// JobManager under load: 200 jobs of 50 chunks at once on one folder, watched by this process and by another one.
import { readdirSync } from 'node:fs'
import { expect, it } from 'vitest'
import { FileJobRepository, JobExecutor, JobManager } from '../index.js'
import { captureConsole, captureUnhandled } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, ok, spec } from './support/jobs.mjs'
import { startScript } from './support/scripts.mjs'
import { until } from './support/wait.mjs'

const JOBS = 200
const CHUNKS = 50

/** Reads all records over and over, with nothing but Node; every file must parse and no count may go back. */
const watcher = `
  import fs from 'node:fs'
  import path from 'node:path'
  const [dir] = process.argv.slice(1)
  const order = ['pending', 'running', 'completed']
  const last = new Map()
  const wrong = []
  let [reads, over] = [0, false]
  process.stdin.on('data', () => (over = true))
  const note = (name, what) => wrong.length < 10 && wrong.push(name + ': ' + what)
  for (let last_round = false; !last_round; ) {
    last_round = over
    for (const name of fs.readdirSync(dir)) {
      if (!name.endsWith('.json')) continue
      reads += 1
      let job
      try {
        job = JSON.parse(fs.readFileSync(path.join(dir, name), 'utf8'))
      } catch (error) {
        note(name, error.message)
        continue
      }
      const now = [order.indexOf(job.state), job.completedChunks, job.logs.length, job.progress]
      const before = last.get(name) ?? [0, 0, 0, 0]
      if (now.some((n, i) => n < before[i])) note(name, before + ' became ' + now)
      last.set(name, now)
    }
    process.stdout.write('.')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  process.stdout.write('\\n' + JSON.stringify({ reads, wrong, seen: [...last.values()] }))
  process.exit()
`

it(`loses nothing in ${JOBS} jobs of ${CHUNKS} chunks`, { timeout: 120_000 }, async () => {
  captureConsole()
  const unhandled = captureUnhandled()
  const dir = tempFolder()
  const other = startScript(watcher, { args: [dir] })
  let polls = 0
  const adapter = adapterOf(async ({ meta }) => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    // However fast the jobs are: both watchers see them begun and half done.
    const round = [1, CHUNKS / 2, CHUNKS].indexOf(meta.chunkId)
    if (round > 0) await until(() => polls > 2 * round && other.out.stdout.length > 2 * round, 'both watchers', 60_000)
    return ok({ stdout: `chunk ${meta.chunkId} of ${meta.tag}`, durationMs: meta.chunkId })
  })
  const manager = new JobManager(new FileJobRepository(dir), new JobExecutor(adapter))

  const submit = (_, i) => manager.submitJob(spec(CHUNKS, { id: `film ${i}` }), { concurrency: 4, meta: { tag: i } })
  const ids = await Promise.all(Array.from({ length: JOBS }, submit))
  expect(new Set(ids).size).toBe(JOBS)

  const before = new Map()
  const forward = (job) => {
    const now = [
      ['pending', 'running', 'completed'].indexOf(job.state),
      job.completedChunks,
      job.logs.length,
      job.progress,
    ]
    const then = before.get(job.id) ?? [0, 0, 0, 0]
    expect({ id: job.id, back: now.some((n, k) => n < then[k]) ? [then, now] : [] }).toEqual({ id: job.id, back: [] })
    before.set(job.id, now)
  }
  await until(
    async () => {
      const jobs = await manager.listJobs()
      jobs.forEach(forward)
      for (let k = 0; k < 10; k += 1) forward(await manager.getJob(ids[(polls * 10 + k) % JOBS]))
      polls += 1
      return jobs.length === JOBS && jobs.every(({ state }) => state === 'completed')
    },
    'all jobs to complete',
    100_000,
  )

  const numbers = Array.from({ length: CHUNKS }, (_, i) => i + 1)
  for (const [i, id] of ids.entries()) {
    const job = await manager.getJob(id)
    expect([job.state, job.progress, job.completedChunks, job.spec.id]).toEqual(['completed', 100, CHUNKS, `film ${i}`])
    const logs = job.logs.toSorted((a, b) => a.chunkId - b.chunkId)
    const log = (n) => ({ chunkId: n, durationMs: n, stdout: `chunk ${n} of ${i}`, stderr: '' })
    expect(logs).toEqual(numbers.map(log))
    expect(job.metrics.totalDurationMs).toBe(numbers.reduce((sum, n) => sum + n, 0))
  }
  expect(adapter.calls).toHaveLength(JOBS * CHUNKS)
  expect(readdirSync(dir).sort()).toEqual(ids.map((id) => `${id}.json`).sort())

  other.child.stdin.end('over\n')
  const { code, stdout, stderr } = await other.ended
  expect([code, stderr]).toEqual([0, ''])
  const { reads, wrong, seen } = JSON.parse(stdout.split('\n')[1])
  expect(wrong).toEqual([])
  expect(reads).toBeGreaterThan(JOBS)
  expect(seen).toEqual(Array(JOBS).fill([2, CHUNKS, CHUNKS, 100]))
  expect(unhandled).toEqual([])
})
