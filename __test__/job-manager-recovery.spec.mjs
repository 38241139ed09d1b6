// JobManager.recover(): what becomes of jobs whose process has died.
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FileJobRepository, InMemoryJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, spec } from './support/jobs.mjs'
import { processMark } from './support/processes.mjs'
import { moduleOf, startScript } from './support/scripts.mjs'
import { until, within } from './support/wait.mjs'

/** A folder of records and one to work in, and a manager of them. */
function desk(options) {
  const [records, work] = [tempFolder(), tempFolder()]
  const repository = new FileJobRepository(records)
  const manager = new JobManager(repository, new JobExecutor(new LocalWorkerAdapter()), undefined, options)
  const runs = (chunk) =>
    existsSync(join(work, `${chunk}.runs`)) ? readFileSync(join(work, `${chunk}.runs`), 'utf8') : ''
  return { records, work, repository, manager, runs, open: () => writeFileSync(join(work, 'open'), '') }
}

/** The files below a folder that this process has open, where the system tells. */
function openBelow(folder) {
  if (process.platform !== 'linux') return []
  const target = (fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }
  return readdirSync('/proc/self/fd')
    .map(target)
    .filter((path) => path.startsWith(folder))
}

/** Chunks that note that they run; all but the first wait until the file `open` is there. */
const chunks = (count) =>
  Array.from({ length: count }, (_, id) => {
    const wait = id === 0 ? '' : 'while [ ! -e open ]; do sleep 0.02; done; '
    return { id, command: `sh -c "printf x >> ${id}.runs; ${wait}printf done > ${id}.out"`, outputFile: `${id}.out` }
  })

/** Submits a job and says so when its first chunk has been reported. */
const submitting = `
  const [records, work, spec, options] = process.argv.slice(-4)
  console.log = () => {}
  const repository = new lib.FileJobRepository(records)
  const manager = new lib.JobManager(repository, new lib.JobExecutor(new lib.LocalWorkerAdapter()))
  await manager.submitJob(JSON.parse(spec), {
    jobDir: work, concurrency: 2, ...eval('(' + options + ')'),
    onChunkComplete: () => void process.stdout.write('reported'),
  })
`

/** A process that has submitted a job and died with its first chunk done and the others running. */
async function interrupted({ records, work }, { options = '{}', job = spec(chunks(3)), signal = 'SIGKILL', env } = {}) {
  const args = [records, work, JSON.stringify(job), options]
  const { child, out, ended } = startScript(submitting, { args, env: { ...process.env, ...env } })
  await until(() => out.stdout.includes('reported') && existsSync(join(work, '2.runs')), 'the first chunk')
  child.kill(signal)
  await ended
  const [name] = readdirSync(records).filter((one) => one.endsWith('.json'))
  return name.slice(0, -'.json'.length)
}

/** What is left in a folder of records, hidden files too. */
const left = (records) => readdirSync(records)

describe('recover', () => {
  it('goes on where a killed process was, with its options, and renders nothing twice', async (context) => {
    captureConsole()
    const mark = processMark(context)
    const at = desk()
    const id = await interrupted(at, { options: '{ retries: 2, maxLogBytes: 7 }', env: mark.env })
    const record = await at.repository.get(id)
    expect(record).toMatchObject({ state: 'running', completedChunks: 1, options: { retries: 2, jobDir: at.work } })
    expect(record.logs).toHaveLength(1)

    expect(await within(10_000, at.manager.recover(), 'recover')).toEqual([id])
    expect(mark.living(), 'what the dead process had running').toEqual([])
    at.open()
    const done = await within(10_000, at.manager.waitForJob(id), 'the job')
    expect(done).toMatchObject({ state: 'completed', completedChunks: 3, progress: 100, options: { maxLogBytes: 7 } })
    expect(done.logs.map(({ chunkId }) => chunkId).sort()).toEqual([0, 1, 2])
    expect([0, 1, 2].map(at.runs)).toEqual(['x', 'xx', 'xx'])
    expect(left(at.records)).toEqual([`${id}.json`])
    expect(done).not.toHaveProperty('manager')
  })

  it('renders a chunk again whose file has vanished', async () => {
    captureConsole()
    const at = desk()
    const id = await interrupted(at)
    writeFileSync(join(at.work, '0.out'), 'changed')
    at.open()
    await at.manager.recover()
    await within(10_000, at.manager.waitForJob(id), 'the job')
    expect(at.runs(0)).toBe('xx')
  })

  it('goes on at the merge when all chunks are done', async () => {
    captureConsole()
    const at = desk()
    const merge = 'sh -c "printf x >> merge.runs; while [ ! -e open ]; do sleep 0.02; done"'
    const job = spec([{ id: 0, command: 'sh -c "printf x >> 0.runs"' }], { mergeCommand: merge })
    const args = [at.records, at.work, JSON.stringify(job), '{}']
    const { child, ended } = startScript(submitting, { args })
    await until(() => at.runs('merge') === 'x', 'the merge')
    const [running] = await at.repository.list()
    await until(async () => (await at.repository.get(running.id)).phase === 'merging', 'the phase')
    child.kill('SIGKILL')
    await ended
    at.open()
    const [id] = await at.manager.recover()
    expect(await within(10_000, at.manager.waitForJob(id), 'the job')).toMatchObject({ state: 'completed' })
    expect([at.runs(0), at.runs('merge')]).toEqual(['x', 'xx'])
  })

  it('leaves jobs alone whose manager is alive, in this process or another', async () => {
    captureConsole()
    const at = desk()
    const args = [at.records, at.work, JSON.stringify(spec(chunks(3))), '{}']
    const other = startScript(submitting, { args })
    await until(() => other.out.stdout.includes('reported'), 'the other process')
    const here = new JobManager(new FileJobRepository(at.records), new JobExecutor(new LocalWorkerAdapter()))
    const id = await here.submitJob(spec(chunks(2)), { jobDir: at.work })
    expect(await at.manager.recover()).toEqual([])
    expect(await here.recover()).toEqual([])
    at.open()
    expect(await within(10_000, at.manager.waitForJob(id))).toMatchObject({ state: 'completed' })
    await other.ended
    expect((await at.repository.list()).map(({ state }) => state)).toEqual(['completed', 'completed'])
  })

  it('is done by one of several at once', async () => {
    captureConsole()
    const at = desk()
    const id = await interrupted(at)
    const managers = Array.from({ length: 4 }, () => {
      return new JobManager(new FileJobRepository(at.records), new JobExecutor(new LocalWorkerAdapter()))
    })
    const recovered = await Promise.all(managers.map((manager) => manager.recover()))
    expect(recovered.flat()).toEqual([id])
    at.open()
    await within(10_000, at.manager.waitForJob(id), 'the job')
    expect([0, 1, 2].map(at.runs)).toEqual(['x', 'xx', 'xx'])
  })

  it('takes what is needed, and what replaces the old, from its options', async () => {
    const lines = captureConsole()
    const at = desk()
    const id = await interrupted(at, { options: `{ stitcher: { stitch() {} }, outputFile: 'film.mp4', retries: 5 }` })
    expect(await at.manager.recover()).toEqual([])
    const said = printed(lines, 'error')
    expect(said).toEqual([
      expect.stringContaining(`Job ${id} was not recovered: TypeError: options.stitcher must be given again`),
    ])
    expect((await at.repository.get(id)).state).toBe('running')
    const stitched = []
    const stitcher = { stitch: async (inputs, output) => void stitched.push([inputs.length, output]) }
    expect(await at.manager.recover({ stitcher, retries: 1 })).toEqual([id])
    at.open()
    const done = await within(10_000, at.manager.waitForJob(id), 'the job')
    expect(done.state).toBe('completed')
    expect(stitched).toEqual([[3, join(at.work, 'film.mp4')]])
  })

  it('takes over from a worker thread that was terminated', async (context) => {
    captureConsole()
    const mark = processMark(context)
    const at = desk()
    const args = [at.records, at.work, JSON.stringify(spec(chunks(3))), '{ killGraceMs: 300 }']
    const body = submitting.replace(`process.stdout.write('reported')`, `0`)
    const url = new URL(`data:text/javascript,${encodeURIComponent(moduleOf(body))}`)
    const worker = new Worker(url, { argv: args, env: { ...process.env, ...mark.env }, stdout: true })
    onTestFinished(() => worker.terminate())
    await until(() => at.runs(2) === 'x' && existsSync(join(at.work, '0.out')), 'the chunks')
    await until(async () => (await at.repository.list())[0].completedChunks === 1, 'the first chunk')
    await worker.terminate()
    await until(() => openBelow(at.records).length === 0, 'the files of its jobs to be closed')
    const [id] = await within(10_000, at.manager.recover(), 'recover')
    expect(mark.living()).toEqual([])
    at.open()
    expect(await within(10_000, at.manager.waitForJob(id), 'the job')).toMatchObject({ state: 'completed' })
    expect(at.runs(0)).toBe('x')
  })

  it('works on records of any repository, whose only manager it must be', async () => {
    captureConsole()
    const records = new InMemoryJobRepository()
    await records.save({ id: 'a', spec: spec(3), state: 'running', logs: [{ chunkId: 2, durationMs: 1 }] })
    await records.save({ id: 'b', spec: spec(1), state: 'pending' })
    await records.save({ id: 'c', spec: spec(1), state: 'paused' })
    const adapter = adapterOf()
    const manager = new JobManager(records, new JobExecutor(adapter))
    expect(await manager.recover()).toEqual(['a', 'b'])
    await manager.waitForJob('a')
    await manager.waitForJob('b')
    expect(adapter.calls.map(({ meta }) => meta.chunkId).sort()).toEqual([1, 1, 3])
    expect((await manager.getJob('c')).state).toBe('paused')
  })

  it('rejects what is no options object, before anything is touched', async () => {
    const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(adapterOf()))
    await expect(manager.recover(7)).rejects.toThrow('options must be an object')
    await expect(manager.recover({ jobDir: 7 })).rejects.toThrow('options.jobDir must be a string')
  })

  it('finds nothing in a folder that is not there', async () => {
    const manager = new JobManager(new FileJobRepository(join(tempFolder(), 'none')), new JobExecutor(adapterOf()))
    expect(await manager.recover()).toEqual([])
  })
})

describe('resumeJob in another process', () => {
  it('uses the options that are kept with the record', async () => {
    captureConsole()
    const at = desk()
    mkdirSync(join(at.work, 'deep'))
    const script = `${submitting}
      process.stdin.once('data', async () => { await manager.close(); process.stdout.write('closed') })`
    const job = spec(chunks(3))
    const args = [at.records, at.work, JSON.stringify(job), `{ jobDir: 'deep', retries: Infinity, meta: { a: 1n } }`]
    const { child, out, ended } = startScript(script, { args, cwd: at.work })
    await until(() => out.stdout.includes('reported'), 'the first chunk')
    child.stdin.end('close')
    await ended
    expect(out.stdout).toContain('closed')
    const [record] = await at.repository.list()
    expect(record).toMatchObject({ state: 'paused', options: { jobDir: join(at.work, 'deep'), retries: 'Infinity' } })
    writeFileSync(join(at.work, 'deep', 'open'), '')
    await at.manager.resumeJob(record.id)
    expect(await within(10_000, at.manager.waitForJob(record.id))).toMatchObject({ state: 'completed' })
    expect(readdirSync(join(at.work, 'deep')).filter((name) => name.endsWith('.out'))).toHaveLength(3)
  })
})
