// Processes that run jobs and are killed, and what must hold afterwards.
//
// Chunks and merges note every run in a file of their own, `<chunk>.runs` and `<job>.merges`. The process writes down what it
// was told in `notes`, at once: what stands there was reported, and must outlive the process.
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../../index.js'
import { makeFolder, removeFolder } from './files.mjs'
import { startScript } from './scripts.mjs'
import { within } from './wait.mjs'

/** Chunks have ids of their own across all jobs: those of job 3 are 300, 301… */
const PER_JOB = 100

/** So many jobs of so many chunks. Those for which `slow(id)` holds take a little; `merge(job)` says which are merged. */
export function specsOf({ jobs = 1, chunks = 3, slow = () => false, merge = (job) => job % 2 === 1 } = {}) {
  return Array.from({ length: jobs }, (_, job) => ({
    id: `job-${job}`,
    metadata: { totalFrames: chunks, fps: 30, width: 64, height: 64, duration: 1 },
    chunks: Array.from({ length: chunks }, (_, index) => {
      const id = job * PER_JOB + index
      const pause = slow(id) ? 'sleep 0.02; ' : ''
      return { id, command: `sh -c "printf x >> ${id}.runs; ${pause}printf done > ${id}.out"`, outputFile: `${id}.out` }
    }),
    mergeCommand: merge(job) ? `sh -c "printf x >> ${job}.merges"` : '',
  }))
}

const script = `
  import { appendFileSync } from 'node:fs'
  const [records, work, task] = process.argv.slice(-3)
  const { specs = [], concurrency = 8, pauses = [], fsync = true } = JSON.parse(task)
  const note = (...words) => appendFileSync(work + '/notes', words.join(' ') + '\\n')
  const mark = (...words) => {
    note(...words)
    if (process.env.HELIOS_FAULT_LOG) appendFileSync(process.env.HELIOS_FAULT_LOG, 'note ' + words.join(' ') + '\\n')
  }
  console.log = () => {}
  const repository = new lib.FileJobRepository(records, { fsync })
  const manager = new lib.JobManager(repository, new lib.JobExecutor(new lib.LocalWorkerAdapter()))
  const failed = (what) => (error) => mark('rejected', what, error.code ?? error.message)
  const onChunkComplete = (chunk) => mark('chunk', chunk)
  const end = (id) => manager.waitForJob(id).then(({ state }) => mark('ended', id, state), failed('waitForJob'))
  async function run(spec, job) {
    let first
    const begun = new Promise((resolve) => (first = resolve))
    const options = {
      jobDir: work, concurrency,
      onChunkComplete: (chunk) => (onChunkComplete(chunk), first()),
    }
    const id = await manager.submitJob(spec, options)
    mark('submitted', id, spec.id)
    if (!pauses.includes(job)) return end(id)
    const ended = end(id)
    await Promise.race([begun, ended])
    await manager.pauseJob(id)
    if ((await manager.getJob(id)).state === 'paused') {
      mark('paused', id)
      mark('resuming', id)
      await manager.resumeJob(id)
    }
    return ended
  }
  process.stdout.write('go')
  if (specs.length === 0) await manager.recover({ onChunkComplete }).then((ids) => Promise.all(ids.map(end)), failed('recover'))
  else await Promise.all(specs.map((spec, job) => run(spec, job).catch(failed('run'))))
  await manager.close().catch(failed('close'))
`

/** A folder of records and one to work in, for `use`; both are gone afterwards. */
export async function atDesk(use) {
  const home = makeFolder('helios-crash-')
  try {
    const desk = { home, records: join(home, 'records'), work: join(home, 'work') }
    mkdirSync(desk.work)
    return await use(desk)
  } finally {
    removeFolder(home)
  }
}

/** Starts a process that runs `task`; one without `specs` recovers what others have left. */
export function startOwner({ records, work }, task, env) {
  const args = [records, work, JSON.stringify(task)]
  return startScript(script, { args, env: { ...process.env, ...env } })
}

/** Everything that was reported, by all processes so far. */
export function notesOf({ work }) {
  const path = join(work, 'notes')
  return readNotes(existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [])
}

/** What lines of notes mean. */
export function readNotes(lines) {
  const notes = { jobs: new Set(), chunks: new Set(), states: new Map(), rejected: [] }
  for (const line of lines) {
    const [what, one, ...rest] = line.split(' ')
    if (what === 'submitted') notes.jobs.add(one)
    if (what === 'chunk') notes.chunks.add(Number(one))
    if (what === 'ended') notes.states.set(one, rest[0])
    if (what === 'paused') notes.states.set(one, 'paused')
    if (what === 'resuming') notes.states.delete(one)
    if (what === 'rejected') notes.rejected.push([one, rest.join(' ')])
  }
  return notes
}

const runsOf = ({ work }, name) => {
  const path = join(work, name)
  return existsSync(path) ? readFileSync(path, 'utf8').length : 0
}

/** How often everything has run that must not run again. */
export function runsReported(desk, notes = notesOf(desk)) {
  const runs = new Map([...notes.chunks].map((id) => [`${id}.runs`, runsOf(desk, `${id}.runs`)]))
  return runs
}

/** That the records can all be read, and hold everything that was reported. */
export async function expectReported(records, notes) {
  const listed = await new FileJobRepository(records).list()
  const byId = new Map(listed.map((record) => [record.id, record]))
  expect(
    [...notes.jobs].filter((id) => !byId.has(id)),
    'submitted jobs without a record',
  ).toEqual([])
  const logged = listed.flatMap(({ logs }) => logs.map(({ chunkId }) => chunkId))
  expect(new Set(logged).size, `chunks logged twice: ${logged}`).toBe(logged.length)
  expect(
    [...notes.chunks].filter((id) => !logged.includes(id)),
    'reported chunks that are not recorded',
  ).toEqual([])
  for (const [id, state] of notes.states) expect(byId.get(id).state, `the state of job ${id}`).toBe(state)
  return listed
}

/** Recovers everything in this process, and checks that every job is whole then. */
export async function recoverAll(
  desk,
  { notes = notesOf(desk), before = runsReported(desk, notes), mark, options } = {},
) {
  const manager = new JobManager(new FileJobRepository(desk.records), new JobExecutor(new LocalWorkerAdapter()))
  await within(20_000, manager.recover(options), 'recover')
  expect(mark?.living() ?? [], 'processes of dead owners').toEqual([])
  for (const { id, state } of await manager.listJobs()) {
    if (state === 'paused' || state === 'failed') await manager.resumeJob(id, options)
    await within(20_000, manager.waitForJob(id), `job ${id}`)
  }
  const jobs = await manager.listJobs()
  expectWhole(desk, jobs)
  for (const [name, runs] of before) expect(runsOf(desk, name), name).toBe(runs)
  // A job that was over, is; its merge too.
  for (const { id, spec } of jobs) {
    const merges = spec.mergeCommand ? runsOf(desk, `${spec.id.split('-')[1]}.merges`) : 1
    expect(merges, `merges of job ${id}`).toBeGreaterThan(0)
  }
  expect([...notes.jobs].every((id) => jobs.some((job) => job.id === id))).toBe(true)
  return jobs
}

/** That all jobs are completed, with every chunk rendered and logged once, and nothing else in the folder. */
export function expectWhole(desk, jobs) {
  for (const job of jobs) {
    const ids = job.spec.chunks.map(({ id }) => id)
    expect(job, `job ${job.id}`).toMatchObject({ state: 'completed', progress: 100, completedChunks: ids.length })
    expect(job.logs.map(({ chunkId }) => chunkId).sort((a, b) => a - b)).toEqual(ids)
    for (const id of ids) expect(readFileSync(join(desk.work, `${id}.out`), 'utf8')).toBe('done')
    expect(job).not.toHaveProperty('manager')
  }
  expectNoStrays(desk, jobs)
}

export function expectNoStrays({ records }, jobs) {
  const names = existsSync(records) ? readdirSync(records).sort() : []
  expect(names, 'what is in the folder').toEqual(jobs.map(({ id }) => `${id}.json`).sort())
}
