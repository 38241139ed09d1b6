// Renders from end to end: the workers have nothing but the service and the storage, and the video is here in the end.
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole, printed } from '../__test__/support/console.mjs'
import { makeFolder, removeFolder, tempFolder } from '../__test__/support/files.mjs'
import { processesWith } from '../__test__/support/processes.mjs'
import { someSeed } from '../__test__/support/random.mjs'
import { until } from '../__test__/support/wait.mjs'
import { startRoad } from './roads.mjs'
import { CHUNKS, FRAMES, film, frameHashes, prepare, submission, tools } from './scene.mjs'

const ROADS = [
  { name: 'Lambda and S3', workers: 'lambda', storage: 's3' },
  { name: 'Cloud Run and GCS', workers: 'cloudRun', storage: 'gcs' },
  { name: 'Lambda and R2', workers: 'lambda', storage: 'r2' },
]

let expected
beforeAll(async () => {
  if (!tools) throw new Error('There is no ffmpeg to render with.')
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  const folder = makeFolder()
  try {
    prepare(folder)
    await new JobExecutor(new LocalWorkerAdapter()).execute(film(), { ...submission(folder), concurrency: 2 })
    expected = frameHashes(folder)
    expect(new Set(expected).size).toBe(FRAMES)
  } finally {
    log.mockRestore()
    removeFolder(folder)
  }
})

/** Waits until a job is over; gives its record. */
async function over(manager, id) {
  const record = await manager.waitForJob(id)
  if (record.state === 'failed') throw new Error(record.error)
  return record
}

describe.each(ROADS)('$name', (road) => {
  let started, folder, jobDir, manager, lines
  const start = async (more) => {
    started = await startRoad({ ...road, folder, ...more })
    const { storage } = started
    manager = new JobManager(
      new FileJobRepository(tempFolder()),
      new JobExecutor(started.adapter({ storage })),
      storage,
    )
  }
  beforeEach(() => {
    lines = captureConsole()
    folder = makeFolder()
    jobDir = prepare(tempFolder())
  })
  afterEach(async () => {
    await manager?.close()
    await started?.stop()
    removeFolder(folder)
    vi.unstubAllEnvs()
  })

  it('renders a video that is proven, frame for frame that of a local render', { timeout: 120_000 }, async () => {
    await start()
    const id = await manager.submitJob(film(), { ...submission(jobDir), concurrency: 4 })
    const record = await over(manager, id)
    expect(record).toMatchObject({ state: 'completed', completedChunks: CHUNKS, result: { frames: FRAMES } })
    expect(frameHashes(jobDir)).toEqual(expected)
    expect(readdirSync(started.workspaceDir)).toEqual([])
    await manager.deleteJob(id)
    expect(started.stored()).toEqual([])
  })

  it('renders it although a fifth of all answers is spoilt', { timeout: 400_000 }, async () => {
    const seed = someSeed()
    await start({ seed })
    const completed = []
    const id = await manager.submitJob(film(), {
      ...submission(jobDir),
      concurrency: 4,
      retries: 10,
      retryDelay: 50,
      onChunkComplete: (chunk) => void completed.push(chunk),
    })
    const record = await over(manager, id)
    expect(record, `seed ${seed}`).toMatchObject({ completedChunks: CHUNKS, result: { frames: FRAMES } })
    expect(frameHashes(jobDir), `seed ${seed}`).toEqual(expected)
    expect(completed.toSorted((a, b) => a - b)).toEqual(film().chunks.map((chunk) => chunk.id))
    // Every answer that was spoilt, but for those that only came late, is one more call.
    const { requests, count } = started.faults
    const spoilt = count.tooMany + count.unavailable + count.reset + count.truncated
    const warned = printed(lines, 'warn')
    expect(requests, `seed ${seed}: ${JSON.stringify(count)}\n${warned.join('\n')}`).toBe(CHUNKS + spoilt)
    expect(warned.filter((line) => /was put off/.test(line)).length).toBeGreaterThanOrEqual(count.tooMany)
    started.faults.on = started.storageFaults.on = false
    await manager.deleteJob(id)
    expect(started.stored()).toEqual([])
  })

  it('ends everywhere within 2 s of a cancel, and leaves nothing', { timeout: 120_000 }, async () => {
    await start()
    const mark = `HELIOS_TEST_MARK=${randomUUID()}`
    const job = film()
    for (const chunk of job.chunks.slice(2)) chunk.command = `env ${mark} sleep 60`
    const id = await manager.submitJob(job, { ...submission(jobDir), concurrency: 4 })
    await until(() => processesWith(mark).length === 4, 'four workers to render', 60_000)
    const cancelled = Date.now()
    await manager.cancelJob(id)
    await until(() => processesWith(mark).length === 0, 'the workers to end')
    expect(Date.now() - cancelled).toBeLessThan(2000)
    await until(() => readdirSync(started.workspaceDir).length === 0, 'the workspaces to be removed')
    await manager.deleteJob(id)
    expect(started.stored()).toEqual([])
    expect(existsSync(`${jobDir}/film.mov`)).toBe(false)
  })
})
