// The memory workloads: much work in one process, sampled after garbage collection at regular intervals. Afterwards
// nothing may be left that was not there before: no file descriptor, thread, handle or listener.
import { getEventListeners } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { assertEqual, InstantAdapter, makeSpec, pool } from './fixtures.mjs'
import { collectGarbage, MB, residentBytes, statusNumber } from './measure.mjs'

const SAMPLES = 30
const SETTLE_MS = 15_000
const CONCURRENCY = 8

/** Chunks of several jobs through one executor, under one signal, with all callbacks; one attempt in 100 fails. */
export function executedChunks({ JobExecutor }, { chunks }) {
  const adapter = new InstantAdapter({ stdout: 'x'.repeat(500), failEvery: 100 })
  const executor = new JobExecutor(adapter)
  const { signal } = new AbortController()
  const perJob = Math.ceil(chunks / SAMPLES)
  let completed = 0
  const options = {
    concurrency: CONCURRENCY,
    merge: false,
    retries: 2,
    retryDelay: 0,
    signal,
    onProgress: () => {},
    onChunkComplete: async () => void completed++,
    onChunkStdout: () => {},
    onChunkStderr: () => {},
  }
  const step = () => executor.execute(makeSpec(perJob), options)
  return sampled(step, {
    listeners: () => getEventListeners(signal, 'abort').length,
    check: () => assertEqual('chunks completed', completed, perJob * (SAMPLES + 1)),
  })
}

/** Jobs of 10 chunks through a manager. In memory a finished job is deleted, on disk it stays. */
export function finishedJobs(api, { jobs, repository }, { scratch }) {
  const inMemory = repository === 'memory'
  const store = inMemory ? new api.InMemoryJobRepository() : new api.FileJobRepository(join(scratch, 'jobs'))
  const adapter = new InstantAdapter({ stdout: 'x'.repeat(500) })
  const jobManager = new api.JobManager(store, new api.JobExecutor(adapter))
  const perStep = Math.ceil(jobs / SAMPLES)
  const runJob = async () => {
    const id = await jobManager.submitJob(makeSpec(10), { concurrency: 2, merge: false })
    let job
    do {
      await sleep(1)
      job = await jobManager.getJob(id)
    } while (job.state === 'pending' || job.state === 'running')
    assertEqual('final state', job.state, 'completed')
    if (inMemory) await jobManager.deleteJob(id)
  }
  return sampled(() => pool(perStep, CONCURRENCY, runJob))
}

/** Signals aborted before and during the work, through the local adapter with a real process and through the executor. */
export function abortedSignals({ JobExecutor, LocalWorkerAdapter }, { signals }) {
  const local = new LocalWorkerAdapter()
  const executor = new JobExecutor({ execute: waitForAbort })
  const spec = makeSpec(4)
  const ways = [
    { early: true, start: (signal) => local.execute({ command: 'sleep', args: ['30'], signal }) },
    { early: true, start: (signal) => executor.execute(spec, { signal, concurrency: 2 }) },
    { early: false, start: (signal) => local.execute({ command: 'sleep', args: ['30'], signal }) },
    { early: false, start: (signal) => executor.execute(spec, { signal, concurrency: 2 }) },
  ]
  let listenersLeft = 0
  const abortOne = async (index) => {
    const { early, start } = ways[index % ways.length]
    const controller = new AbortController()
    if (early) controller.abort()
    const outcome = start(controller.signal).then(
      () => 'no error',
      (error) => error.message,
    )
    await nextTurn()
    controller.abort()
    const message = await outcome
    if (message !== 'Job was aborted' && message !== 'Job aborted') throw new Error(`An aborted job gave: ${message}`)
    listenersLeft += getEventListeners(controller.signal, 'abort').length
  }
  const perStep = Math.ceil(signals / SAMPLES)
  return sampled(() => pool(perStep, CONCURRENCY, abortOne), { listeners: () => listenersLeft })
}

/** A JavaScript adapter that works until its signal is aborted. */
function waitForAbort({ signal }) {
  return new Promise((_, reject) => {
    const fail = () => reject(new Error('Job was aborted'))
    if (signal.aborted) fail()
    else signal.addEventListener('abort', fail, { once: true })
  })
}

/** Runs `step` once to warm up and then once per sample. */
function sampled(step, { listeners = () => 0, check } = {}) {
  let before
  return {
    warmUp: async () => {
      await step()
      await collectGarbage()
      before = inventory()
    },
    run: async () => {
      const heap = []
      const rss = []
      for (let i = 0; i < SAMPLES; i++) {
        await step()
        await collectGarbage()
        const { heapUsed, external } = process.memoryUsage()
        heap.push((heapUsed + external) / MB)
        rss.push(residentBytes() / MB)
      }
      return { heap, rss }
    },
    check: async (samples) => {
      check?.()
      const left = await leftovers(before)
      return { ...samples, left: { ...left, listeners: listeners() } }
    },
  }
}

/** File descriptors and threads (0 where there is no /proc), and what keeps the event loop alive. */
function inventory() {
  let fds = 0
  try {
    fds = readdirSync('/proc/self/fd').length
  } catch {
    // No /proc: not counted.
  }
  return { fds, threads: statusNumber('Threads'), handles: process.getActiveResourcesInfo().length }
}

/** What is still there beyond `before`, after a time in which idle threads may end. */
async function leftovers(before) {
  const deadline = Date.now() + SETTLE_MS
  for (;;) {
    await sleep(20)
    await collectGarbage()
    const now = inventory()
    const left = Object.fromEntries(Object.keys(now).map((key) => [key, Math.max(0, now[key] - before[key])]))
    if (Date.now() > deadline || Object.values(left).every((count) => count === 0)) return left
  }
}
