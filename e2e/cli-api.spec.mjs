// The job that the published command-line program has written, run by the exports of this package.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { FfmpegStitcher, FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole } from '../__test__/support/console.mjs'
import { tempFolder } from '../__test__/support/files.mjs'
import { CHUNKS, FRAMES, emit, environment, missing, prepare, prove } from './cli/helios.mjs'
import { tools } from './scene.mjs'

const reason = missing()
if (reason) process.stderr.write(`skipped: a job of the command-line program: ${reason}\n`)

describe.skipIf(reason)('a job of the command-line program', { timeout: 180_000 }, () => {
  let jobDir, job
  beforeEach(() => {
    captureConsole()
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
    emit((jobDir = prepare(tempFolder())))
    job = JSON.parse(readFileSync(join(jobDir, 'job.json'), 'utf8'))
    return () => vi.unstubAllEnvs()
  })

  it('is rendered, and joined by a stitcher, into a video that is proven', async () => {
    const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor(new LocalWorkerAdapter()))
    try {
      const stitcher = new FfmpegStitcher(undefined, { ffmpegPath: tools.ffmpeg, ffprobePath: tools.ffprobe })
      const id = await manager.submitJob(job, { jobDir, concurrency: 2, stitcher, outputFile: 'film.mov' })
      const record = await manager.waitForJob(id)
      expect(record.error).toBeUndefined()
      expect(record).toMatchObject({ state: 'completed', completedChunks: CHUNKS, result: { frames: FRAMES } })
      expect(Object.keys(record.outputs).length).toBe(CHUNKS)
      prove(join(jobDir, 'film.mov'))
    } finally {
      await manager.close()
    }
  })
})
