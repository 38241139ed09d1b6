// Several managers on one folder of records: each job has one owner; the others read it and can have it stopped.
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, gatedAdapter, spec } from './support/jobs.mjs'
import { processMark } from './support/processes.mjs'
import { startScript } from './support/scripts.mjs'
import { until, within } from './support/wait.mjs'

const owner = `
  const [dir, spec] = process.argv.slice(-2)
  console.log = (line) => process.stdout.write(line + '\\n')
  const manager = new lib.JobManager(new lib.FileJobRepository(dir), new lib.JobExecutor(new lib.LocalWorkerAdapter()))
  const id = await manager.submitJob(JSON.parse(spec))
  process.stdout.write('submitted\\n')
  const { state } = await manager.waitForJob(id)
  process.stdout.write('ended ' + state + '\\n')
`
const endless = (env) => spec([`env ${env} sh -c "sleep 600 & sleep 600"`, 'true'])
const MARK = 'HELIOS_TEST_MARK'

/** Managers of one folder that share nothing else. */
function managers(dir, count, adapter = new LocalWorkerAdapter()) {
  return Array.from({ length: count }, () => new JobManager(new FileJobRepository(dir), new JobExecutor(adapter)))
}

/** Another process with a job that runs for ever, and a manager here of the same folder. */
async function endlessElsewhere(context) {
  const mark = processMark(context)
  const dir = tempFolder()
  const [manager] = managers(dir, 1)
  const job = endless(`${MARK}=${mark.env[MARK]}`)
  const other = startScript(owner, { args: [dir, JSON.stringify(job)] })
  await until(() => mark.living().length >= 3, 'the chunk')
  return { mark, dir, manager, other }
}

describe('a job of another process', () => {
  it.for([
    ['cancelJob', 'cancelled'],
    ['pauseJob', 'paused'],
    ['deleteJob', 'gone'],
  ])('%s has it stopped within a second, and is over when it is', async ([action, state], context) => {
    captureConsole()
    const { mark, dir, manager, other } = await endlessElsewhere(context)
    const [{ id, manager: name }] = await manager.listJobs()
    expect(existsSync(join(dir, `.manager-${name}`))).toBe(true)
    const started = performance.now()
    await within(10_000, manager[action](id), action)
    // A quarter of a second until it is heard, another tenth until it is seen, and the time that ending takes.
    expect(performance.now() - started).toBeLessThan(1500)
    expect(mark.living()).toEqual([])
    expect((await manager.getJob(id))?.state ?? 'gone').toBe(state)
    expect(await manager.recover()).toEqual([])
    // Who waits for it there goes on waiting through a pause.
    if (state === 'paused') await manager.cancelJob(id)
    await within(10_000, other.ended, 'the owner')
    expect(readdirSync(dir)).toEqual(state === 'gone' ? [] : [`${id}.json`])
  })

  it('is waited for, and neither resumed nor recovered', async () => {
    captureConsole()
    const [dir, work] = [tempFolder(), tempFolder()]
    const [manager] = managers(dir, 1)
    const job = spec([`sh -c "while [ ! -e ${join(work, 'open')} ]; do sleep 0.02; done"`])
    const other = startScript(owner, { args: [dir, JSON.stringify(job)] })
    await until(() => other.out.stdout.includes('submitted'), 'the job')
    const [{ id }] = await manager.listJobs()
    await manager.resumeJob(id)
    expect(await manager.recover()).toEqual([])
    const waited = manager.waitForJob(id)
    writeFileSync(join(work, 'open'), '')
    expect(await within(10_000, waited)).toMatchObject({ state: 'completed' })
    expect(await within(10_000, other.ended)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('ended completed'),
    })
  })

  it('whose process is killed meanwhile is stopped nevertheless', async (context) => {
    captureConsole()
    const { mark, dir, manager, other } = await endlessElsewhere(context)
    const [{ id }] = await manager.listJobs()
    // It cannot hear anything.
    other.child.kill('SIGSTOP')
    const cancelled = manager.cancelJob(id)
    await until(() => readdirSync(dir).some((name) => name.endsWith('.asked')), 'the request')
    other.child.kill('SIGKILL')
    await within(10_000, cancelled, 'cancelJob')
    expect((await manager.getJob(id)).state).toBe('cancelled')
    await until(() => mark.living().length === 0, 'its processes to be gone')
  })
})

it.for(['cancelJob', 'pauseJob', 'deleteJob'])(
  '%s of a dead process’s job ends what it has left running',
  async (action, context) => {
    captureConsole()
    const mark = processMark(context)
    const dir = tempFolder()
    const [manager] = managers(dir, 1)
    const job = spec([`env ${MARK}=${mark.env[MARK]} sh -c "trap '' TERM; while :; do sleep 0.1; done"`])
    const other = startScript(owner, { args: [dir, JSON.stringify(job)] })
    await until(() => mark.living().length >= 2, 'the chunk')
    const [{ id }] = await manager.listJobs()
    other.child.kill('SIGKILL')
    await other.ended
    expect(mark.living()).not.toEqual([])
    await within(15_000, manager[action](id), action)
    expect(mark.living()).toEqual([])
  },
)

describe('two managers in one process', () => {
  it('stop the jobs of each other', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const [one, two] = managers(tempFolder(), 2, gated)
    const id = await one.submitJob(spec(2))
    await until(() => gated.active === 1, 'the chunk')
    await within(5000, two.pauseJob(id), 'pauseJob')
    expect([gated.active, (await one.getJob(id)).state]).toEqual([0, 'paused'])
    // Now it is the other's.
    await two.resumeJob(id)
    await until(() => gated.active === 1, 'the chunk')
    await one.resumeJob(id)
    expect(gated.active).toBe(1)
    gated.release()
    expect(await within(5000, one.waitForJob(id))).toMatchObject({ state: 'completed' })
    expect(gated.started).toEqual([1, 1, 2])
  })

  it('that resume a job at once run it once', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const all = managers(tempFolder(), 5, gated)
    const id = await all[0].submitJob(spec(1))
    await until(() => gated.active === 1, 'the chunk')
    await all[0].pauseJob(id)
    await Promise.all(all.map((manager) => manager.resumeJob(id)))
    await until(() => gated.active > 0, 'the chunk')
    gated.release()
    await within(5000, all[1].waitForJob(id))
    expect([gated.most, gated.started.length]).toEqual([1, 2])
  })

  it('do not stop a run for what was asked of the one before', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const [one, two] = managers(tempFolder(), 2, gated)
    // Keeps its owner among the known ones.
    const other = await one.submitJob(spec(1))
    const id = await one.submitJob(spec(1))
    await until(() => gated.active === 2, 'the chunks')
    await Promise.all([two.pauseJob(id), one.pauseJob(id)])
    await one.resumeJob(id)
    // Longer than it takes until a request is heard.
    await pause(600)
    expect((await two.getJob(id)).state).toBe('running')
    // Who has not seen that it was paused meanwhile asks again.
    const paused = two.pauseJob(id)
    await until(() => gated.active === 2, 'the chunk')
    await one.pauseJob(id)
    await one.resumeJob(id)
    await within(5000, paused, 'pauseJob')
    gated.release()
    await one.waitForJob(other)
    await two.cancelJob(id)
    expect((await one.getJob(id)).state).toBe('cancelled')
  })

  it('that delete and resume a job at once agree on what becomes of it', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const dir = tempFolder()
    const [one, two] = managers(dir, 2, gated)
    const other = await one.submitJob(spec(1))
    for (let round = 0; round < 30; round += 1) {
      const id = await one.submitJob(spec(1))
      await one.cancelJob(id)
      const resumed = one.resumeJob(id)
      await pause(round % 6)
      await within(5000, two.deleteJob(id), 'deleteJob')
      await resumed
      expect(await one.getJob(id)).toBeUndefined()
    }
    expect(gated.active).toBe(1)
    gated.release()
    await one.waitForJob(other)
    expect(readdirSync(dir)).toEqual([`${other}.json`])
  })

  it('leave no files behind, and keep no process alive', async () => {
    captureConsole()
    const dir = tempFolder()
    const body = `
      const [dir] = process.argv.slice(-1)
      console.log = () => {}
      const adapter = { execute: async () => ({ exitCode: 0, stdout: '', stderr: '', durationMs: 0 }) }
      for (let i = 0; i < 5; i += 1) {
        const manager = new lib.JobManager(new lib.FileJobRepository(dir), new lib.JobExecutor(adapter))
        await manager.waitForJob(await manager.submitJob({ chunks: [{ id: 1, command: 'x' }] }))
      }
      process.stdout.write('done')
    `
    const { out, ended } = startScript(body, { args: [dir] })
    expect(await within(10_000, ended)).toMatchObject({ code: 0 })
    expect(out.stdout).toBe('done')
    expect(readdirSync(dir).filter((name) => !name.endsWith('.json'))).toEqual([])
    expect(readdirSync(dir)).toHaveLength(5)
  })
})

it('records of an unknown or forged manager are anybody’s', async () => {
  captureConsole()
  const dir = tempFolder()
  const repository = new FileJobRepository(dir)
  const [manager] = managers(dir, 1, adapterOf())
  for (const [id, name] of [
    ['a', '../../../etc/passwd'],
    ['b', '00000000-0000-4000-8000-000000000000'],
    ['c', 7],
  ]) {
    await repository.save({ id, spec: spec(1), state: 'running', manager: name })
  }
  expect((await manager.recover()).sort()).toEqual(['a', 'b', 'c'])
  for (const id of ['a', 'b', 'c']) expect((await manager.waitForJob(id)).state).toBe('completed')
})
