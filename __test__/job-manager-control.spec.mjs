// JobManager: cancel, pause, resume and delete at every phase of a job, twice, and in any pair, one after the other or at
// once. What the user asked for last is what is on disk in the end; what has been stopped stays stopped.
import { describe, expect, it } from 'vitest'
import { FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole, captureUnhandled, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, ok, spec } from './support/jobs.mjs'
import { executorOf } from './support/managed.mjs'
import { processMark } from './support/processes.mjs'
import { PHASES, stage } from './support/stages.mjs'
import { gate, until, within } from './support/wait.mjs'

const ACTIONS = ['cancelJob', 'pauseJob', 'resumeJob', 'deleteJob']

/** The state after an action, by the contract. */
const after = (state, action) => {
  if (action === 'deleteJob') return 'gone'
  if (action === 'cancelJob') return ['running', 'paused'].includes(state) ? 'cancelled' : state
  if (action === 'pauseJob') return state === 'running' ? 'paused' : state
  return ['paused', 'cancelled'].includes(state) ? 'running' : state
}

const settle = async () => {
  for (let i = 0; i < 3; i += 1) await new Promise(setImmediate)
}

const pairs = ACTIONS.flatMap((first) => ACTIONS.map((second) => [first, second]))

describe.each(PHASES)('%s', (phase) => {
  const orders = ['then', 'and at once']
  const cases = pairs.flatMap(([first, second]) => orders.map((order) => [first, order, second]))

  it.each(cases)('%s %s %s', async (first, order, second) => {
    const lines = captureConsole()
    const unhandled = captureUnhandled()
    const job = await stage(phase, lines)
    const act = (action) => {
      const done = job.manager[action](job.id)
      void settle().then(job.letThrough)
      return within(10_000, done, action)
    }
    const reached = after('running', first)
    if (order === 'then') {
      await act(first)
      await within(10_000, job.submitted, 'submitJob')
      if (reached !== 'running') {
        expect([job.running(), await job.state()]).toEqual([0, reached])
      }
      job.letThrough()
      await act(second)
    } else {
      await Promise.all([act(first), act(second), within(10_000, job.submitted, 'submitJob')])
    }

    const wanted = after(reached, second)
    if (wanted === 'running') {
      job.release()
      // Nothing but a stop ends the long delay.
      const delayed = phase === 'in the retry delay' && reached === 'running'
      if (delayed) await act('pauseJob').then(() => act('resumeJob'))
      await until(async () => (await job.state()) === 'completed', 'the job to complete')
      expect(job.running()).toBe(0)
    } else {
      const started = job.started()
      expect([job.running(), await job.state()]).toEqual([0, wanted])
      job.release()
      await job.another()
      expect([job.started(), job.running(), await job.state()]).toEqual([started, 0, wanted])
    }
    await job.another()
    expect(job.names()).toEqual(wanted === 'gone' ? [] : [`${job.id}.json`])
    // A merge that is stopped may say so.
    const errors = printed(lines, 'error').filter((line) => line !== 'Merge step failed: Job was aborted')
    expect([errors, unhandled]).toEqual([[], []])
    if (wanted === 'cancelled') {
      expect(printed(lines, 'log').filter((line) => line === `Job ${job.id} cancelled`)).toHaveLength(1)
    }
  })

  it('pause, resume, pause, resume and so on ends completed', async () => {
    const lines = captureConsole()
    const job = await stage(phase, lines)
    const calls = []
    for (let i = 0; i < 4; i += 1) calls.push(job.manager.pauseJob(job.id), job.manager.resumeJob(job.id))
    void settle().then(job.letThrough)
    await within(10_000, Promise.all(calls))
    job.release()
    await until(async () => (await job.state()) === 'completed', 'the job to complete')
    await job.another()
    expect([job.running(), await job.state()]).toEqual([0, 'completed'])
  })
})

describe('processes of our own adapter', () => {
  it.for(['cancelJob', 'pauseJob', 'deleteJob'])('are gone when %s resolves', async (action, context) => {
    captureConsole()
    const mark = processMark(context)
    const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor(new LocalWorkerAdapter()))
    const sleep = `env HELIOS_TEST_MARK=${mark.env.HELIOS_TEST_MARK} sh -c "sleep 60 & sleep 60"`
    const id = await manager.submitJob(spec([sleep, sleep, sleep]), { concurrency: 2 })
    await until(() => mark.living().length >= 6, 'two chunks')
    await within(10_000, manager[action](id))
    expect(mark.living()).toEqual([])
    const state = { cancelJob: 'cancelled', pauseJob: 'paused', deleteJob: undefined }[action]
    expect((await manager.getJob(id))?.state).toBe(state)
  })

  it('are gone when a merge is cancelled', async (context) => {
    captureConsole()
    const mark = processMark(context)
    const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor(new LocalWorkerAdapter()))
    const mergeCommand = `env HELIOS_TEST_MARK=${mark.env.HELIOS_TEST_MARK} sleep 60`
    const id = await manager.submitJob(spec(['true'], { mergeCommand }))
    await until(() => mark.living().length > 0, 'the merge')
    await within(10_000, manager.cancelJob(id))
    expect([mark.living(), (await manager.getJob(id)).state]).toEqual([[], 'cancelled'])
  })
})

describe('an executor that ignores its signal', () => {
  it.each(['cancelJob', 'pauseJob', 'deleteJob'])('cannot hold up %s for ever, nor write late', async (action) => {
    captureConsole()
    const unhandled = captureUnhandled()
    const repository = new FileJobRepository(tempFolder())
    const late = gate()
    let options
    const manager = new JobManager(
      repository,
      executorOf((_, given) => ((options = given), late.promise)),
    )
    const id = await manager.submitJob(spec(2), { killGraceMs: 100 })
    await until(() => options, 'the executor')
    await within(10_000, manager[action](id), action)
    const state = (await manager.getJob(id))?.state
    expect(state).toBe({ cancelJob: 'cancelled', pauseJob: 'paused', deleteJob: undefined }[action])
    expect(options.signal.aborted).toBe(true)
    const reports = [options.onProgress(1, 2), options.onChunkComplete(1, ok())]
    await Promise.allSettled(reports.map((report) => within(5000, report)))
    late.open()
    for (let i = 0; i < 20; i += 1) await new Promise(setImmediate)
    expect([(await manager.getJob(id))?.state, unhandled]).toEqual([state, []])
  })
})

describe('an executor that ends well after all', () => {
  it.each(['cancelJob', 'pauseJob'])('does not overwrite %s', async (action) => {
    captureConsole()
    const started = gate()
    const execute = async (_, { signal }) => {
      const stopped = new Promise((resolve) => signal.addEventListener('abort', resolve))
      started.open()
      await stopped
      await settle()
    }
    const manager = new JobManager(new FileJobRepository(tempFolder()), { execute })
    const id = await manager.submitJob(spec(2))
    await started.promise
    await manager[action](id)
    expect((await manager.getJob(id)).state).toBe(action === 'cancelJob' ? 'cancelled' : 'paused')
  })
})

describe('control of one job', () => {
  it('leaves the others alone', async () => {
    captureConsole()
    const hold = gate()
    const adapter = adapterOf(async (job) => {
      if (job.meta.tag !== 'held') return ok()
      await Promise.race([hold.promise, new Promise((go) => job.signal.addEventListener('abort', go))])
      return ok()
    })
    const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor(adapter))
    const held = await Promise.all([1, 2, 3].map(() => manager.submitJob(spec(2), { meta: { tag: 'held' } })))
    await manager.cancelJob(held[0])
    await manager.pauseJob(held[1])
    const free = await manager.submitJob(spec(2))
    hold.open()
    const state = async (id) => (await manager.getJob(id)).state
    await until(async () => (await state(free)) === 'completed' && (await state(held[2])) === 'completed', 'the others')
    expect([await state(held[0]), await state(held[1])]).toEqual(['cancelled', 'paused'])
  })
})
