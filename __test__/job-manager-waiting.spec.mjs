// JobManager: waiting for jobs, closing, and how many chunks run at once over all jobs.
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { FileJobRepository, InMemoryJobRepository, JobExecutor, JobManager } from '../index.js'
import { captureConsole, captureWarnings } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, exit, gatedAdapter, ok, spec } from './support/jobs.mjs'
import { startScript } from './support/scripts.mjs'
import { rejection, until, within } from './support/wait.mjs'

const managed = (adapter, options, repository = new InMemoryJobRepository()) =>
  new JobManager(repository, new JobExecutor(adapter), undefined, options)

describe('waitForJob', () => {
  it.each([
    ['completed', () => ok()],
    ['failed', () => exit(1)],
  ])('gives the record of a job once it is %s', async (state, run) => {
    captureConsole()
    const manager = managed(adapterOf(run))
    const id = await manager.submitJob(spec(2))
    const done = await within(5000, manager.waitForJob(id))
    expect(done).toMatchObject({ id, state, finishedAt: expect.any(Number), startedAt: expect.any(Number) })
    expect(done.finishedAt).toBeGreaterThanOrEqual(done.startedAt)
    expect(await within(5000, manager.waitForJob(id))).toEqual(done)
  })

  it('waits through a pause', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const manager = managed(gated)
    const id = await manager.submitJob(spec(2))
    const waited = manager.waitForJob(id)
    await until(() => gated.active === 1, 'the chunk')
    await manager.pauseJob(id)
    gated.release()
    await manager.resumeJob(id)
    expect(await within(5000, waited)).toMatchObject({ state: 'completed', attempts: { 1: 1, 2: 1 } })
  })

  it('rejects when its signal aborts, without a trace of that', async () => {
    captureConsole()
    const warnings = captureWarnings()
    const gated = gatedAdapter()
    const manager = managed(gated)
    const id = await manager.submitJob(spec(1))
    expect(await rejection(() => manager.waitForJob(id, { signal: AbortSignal.abort() }))).toMatchObject({
      name: 'AbortError',
      message: 'Job aborted',
    })
    const controller = new AbortController()
    const waits = Array.from({ length: 50 }, () =>
      rejection(() => manager.waitForJob(id, { signal: controller.signal })),
    )
    controller.abort()
    expect((await within(5000, Promise.all(waits))).every(({ name }) => name === 'AbortError')).toBe(true)
    expect(warnings).toEqual([])
    gated.release()
    await manager.waitForJob(id)
  })

  it('gives undefined for a job that is not there, or is deleted', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const manager = managed(gated)
    expect(await manager.waitForJob('none')).toBeUndefined()
    const id = await manager.submitJob(spec(1))
    const waited = manager.waitForJob(id)
    await manager.deleteJob(id)
    expect(await within(5000, waited)).toBeUndefined()
  })

  it('refuses what is no id, no options, no signal', async () => {
    const manager = managed(adapterOf())
    expect((await rejection(() => manager.waitForJob(7))).message).toBe('id must be a string')
    expect((await rejection(() => manager.waitForJob('a', 7))).message).toBe('options must be an object')
    expect((await rejection(() => manager.waitForJob('a', { signal: 7 }))).message).toBe(
      'options.signal must be an AbortSignal',
    )
  })
})

describe('close', () => {
  it('pauses what runs, takes no more, and lets who waits go', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const files = new FileJobRepository(tempFolder())
    const manager = managed(gated, {}, files)
    const ids = await Promise.all([1, 2, 3].map(() => manager.submitJob(spec(2))))
    await until(() => gated.active === 3, 'the chunks')
    const waited = manager.waitForJob(ids[0])
    await within(5000, manager.close(), 'close')
    expect(gated.active).toBe(0)
    expect((await files.list()).map(({ state, manager: name }) => [state, name])).toEqual(
      ids.map(() => ['paused', undefined]),
    )
    expect(await within(5000, waited)).toMatchObject({ state: 'paused' })
    for (const call of [() => manager.submitJob(spec(1)), () => manager.resumeJob(ids[0]), () => manager.recover()]) {
      expect((await rejection(call)).message).toBe('JobManager is closed')
    }
    await manager.close()
    // Looking and stopping go on.
    await manager.cancelJob(ids[0])
    expect((await manager.getJob(ids[0])).state).toBe('cancelled')
    const next = managed(adapterOf(), {}, files)
    await next.resumeJob(ids[1])
    expect(await next.waitForJob(ids[1])).toMatchObject({ state: 'completed' })
  })

  it.each([1, 20_000])('waits for a job that is just being submitted (%i chunks)', async (chunks) => {
    captureConsole()
    const gated = gatedAdapter()
    const manager = managed(gated, {}, new FileJobRepository(tempFolder()))
    const submitted = manager.submitJob(spec(chunks))
    await manager.close()
    expect((await manager.getJob(await submitted)).state).toBe('paused')
    expect(gated.active).toBe(0)
  })

  it('is what a handler of SIGTERM calls', async () => {
    const dir = tempFolder()
    const body = `
      const [dir] = process.argv.slice(-1)
      const manager = new lib.JobManager(new lib.FileJobRepository(dir), new lib.JobExecutor(new lib.LocalWorkerAdapter()))
      process.once('SIGTERM', () => manager.close())
      await manager.submitJob({ chunks: [{ id: 1, command: 'sleep 600' }] })
      process.stdout.write('ready')
    `
    const { child, out, ended } = startScript(body, { args: [dir] })
    await until(() => out.stdout.includes('ready'), 'the job')
    child.kill('SIGTERM')
    expect(await within(10_000, ended)).toMatchObject({ code: 0 })
    expect((await new FileJobRepository(dir).list()).map(({ state }) => state)).toEqual(['paused'])
  })
})

describe('maxConcurrency', () => {
  it('bounds the chunks of all jobs together, and lets each have its share', async () => {
    captureConsole()
    let [active, most] = [0, 0]
    const order = []
    const adapter = adapterOf(async ({ meta }) => {
      most = Math.max(most, ++active)
      order.push(meta.job)
      await pause(2)
      active -= 1
      return ok()
    })
    const manager = managed(adapter, { maxConcurrency: 4 })
    const large = await manager.submitJob(spec(100), { concurrency: 50, meta: { job: 'large' } })
    const small = await manager.submitJob(spec(8), { concurrency: 8, meta: { job: 'small' } })
    await within(20_000, Promise.all([manager.waitForJob(large), manager.waitForJob(small)]))
    expect(most).toBe(4)
    // All of the small one ran while the large one could have kept it waiting: by turns, two of each.
    const last = order.lastIndexOf('small')
    expect(order.slice(0, last).filter((job) => job === 'large').length).toBeLessThan(24)
    expect(order).toHaveLength(108)
  })

  it('leaves a job that waits for its turn stoppable', async () => {
    captureConsole()
    const gated = gatedAdapter()
    const manager = managed(gated, { maxConcurrency: 1 })
    const first = await manager.submitJob(spec(1))
    const second = await manager.submitJob(spec(1))
    await until(() => gated.active === 1, 'the first')
    await within(5000, manager.cancelJob(second), 'cancelJob')
    gated.release()
    expect((await manager.waitForJob(first)).state).toBe('completed')
    expect(gated.started).toEqual([1])
  })

  it('gives the place of a chunk that waits for its next attempt to others', async () => {
    captureConsole()
    const adapter = adapterOf(({ meta }) => (meta.job === 'flaky' ? exit(1) : ok()))
    const manager = managed(adapter, { maxConcurrency: 1 })
    const flaky = await manager.submitJob(spec(1), { retries: 1, retryDelay: 60_000, meta: { job: 'flaky' } })
    const other = await manager.submitJob(spec(3), { meta: { job: 'other' } })
    expect((await within(5000, manager.waitForJob(other))).state).toBe('completed')
    expect(await manager.getJob(flaky)).toMatchObject({ state: 'running' })
    await manager.cancelJob(flaky)
  })

  it('must be a number', () => {
    expect(() => managed(adapterOf(), { maxConcurrency: {} })).toThrow('options.maxConcurrency must be a number')
    expect(() => managed(adapterOf(), 7)).toThrow('options must be an object')
  })
})

describe('records', () => {
  it('tell of phases and attempts', async () => {
    captureConsole()
    const files = new FileJobRepository(tempFolder())
    const gated = gatedAdapter()
    const adapter = adapterOf(({ meta }, call) => (meta?.chunkId === 1 && call < 3 ? exit(1) : ok()))
    const storage = { uploadAssetBundle: async () => 'a', uploadJobSpec: async () => 'b' }
    const manager = new JobManager(files, new JobExecutor(adapter), storage)
    const options = { jobDir: '.', retries: 2, retryDelay: 0, mergeAdapter: gated }
    const id = await manager.submitJob(spec(2, { mergeCommand: 'merge' }), options)
    await until(async () => (await manager.getJob(id)).phase === 'merging', 'the merge')
    gated.release()
    const done = await manager.waitForJob(id)
    expect(done.attempts).toEqual({ 1: 3, 2: 1 })
    expect(done).not.toHaveProperty('phase')
  })

  it('are those of the original where the repository is the user’s', async () => {
    captureConsole()
    const saved = []
    const repository = { save: async (job) => void saved.push(structuredClone(job)), get: async () => saved.at(-1) }
    const manager = managed(adapterOf(), {}, repository)
    await manager.waitForJob(await manager.submitJob(spec(2), { retries: 3 }))
    const fields = 'id spec state progress totalChunks completedChunks createdAt updatedAt metrics logs'
    expect(Object.keys(saved[0])).toEqual(fields.split(' '))
    for (const job of saved) expect(job).not.toHaveProperty('options')
    const told = saved.map(({ state, completedChunks }) => `${state} ${completedChunks}`)
    expect(told).toEqual(['pending 0', 'running 0', 'running 1', 'running 2', 'completed 2'])
  })
})
