// JobExecutor and JobManager: chunks whose files are not what they should be, and the proof of the video.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import {
  FfmpegStitcher,
  FileJobRepository,
  InMemoryJobRepository,
  JobExecutor,
  JobManager,
  LocalWorkerAdapter,
} from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, chunk, ok, spec } from './support/jobs.mjs'
import { clip, frameHashes, toolsets } from './support/video.mjs'
import { rejection, until } from './support/wait.mjs'

let jobDir
beforeEach(() => {
  jobDir = tempFolder()
})

const local = () => new LocalWorkerAdapter()
const execute = (job, options, adapter = local()) => new JobExecutor(adapter).execute(job, { jobDir, ...options })
const sh = (script) => `sh -c "${script}"`

describe('without a stitcher of ours', () => {
  function spied() {
    const adapter = local()
    vi.spyOn(adapter, 'execute').mockResolvedValue(ok())
    return adapter
  }

  const empty = spec([chunk(1, { command: sh(': > chunk-1.mp4') })])

  it('a file that is empty is a failed attempt', async () => {
    const lines = captureConsole()
    const error = await rejection(() => execute(empty, { retries: 1, retryDelay: 0 }))
    const why = `the command succeeded, but the file '${jobDir}/chunk-1.mp4' is not good: it is empty`
    expect(error.message).toBe(`Chunk 1 failed after 2 attempts: ${why}`)
    expect(error).toMatchObject({ command: sh(': > chunk-1.mp4'), exitCode: 0, stdout: '', stderr: '' })
    expect(printed(lines, 'warn')).toEqual([
      `[Worker 1] Chunk 1 failed (Attempt 1/2). Retrying in 0ms... Error: ${why}`,
    ])
  })

  it('a file that is not written is none, nor is one of text', async () => {
    captureConsole()
    await execute(spec([chunk(1, { command: 'echo' }), chunk(2, { command: sh('echo hello > chunk-2.mp4') })]))
  })

  it('nothing is looked at with verifyChunks: false', async () => {
    captureConsole()
    await execute(empty, { verifyChunks: false })
  })

  it.each([
    ['an adapter of the user', () => adapterOf()],
    ['a spied one of ours', spied],
  ])('nothing is looked at with %s, whatever is asked for', async (_, make) => {
    captureConsole()
    writeFileSync(join(jobDir, 'chunk-1.mp4'), '')
    await execute(spec(1), { verifyChunks: true }, make())
  })

  it('verifyChunks: true wants a video', async () => {
    captureConsole()
    const missing = await rejection(() => execute(spec(['true']), { verifyChunks: true }))
    expect(missing.message).toContain(`chunk-1.mp4' is not good: ENOENT`)
    const text = await rejection(() => execute(spec([sh('echo hello > chunk-1.mp4')]), { verifyChunks: true }))
    expect(text.message).toContain(`chunk-1.mp4' is not good: it cannot be read as a video`)
  })

  it.each([[5], ['yes'], [{}]])('verifyChunks: %j is a TypeError', async (verifyChunks) => {
    const error = await rejection(() => execute(spec(1), { verifyChunks }))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toBe(`options.verifyChunks must be 'auto', true or false`)
  })
})

describe('a merge command', () => {
  const merging = (mergeCommand) => spec(['true'], { mergeCommand })

  it('must leave the outputFile behind, where it is known', async () => {
    const lines = captureConsole()
    const options = { outputFile: 'film.mp4' }
    const missing = await rejection(() => execute(merging('echo'), options))
    const text = (flaw) => `Merge failed: the command succeeded, but the file '${jobDir}/film.mp4' is not good: ${flaw}`
    expect(missing.message).toBe(text('it does not exist'))
    expect(missing).toMatchObject({ command: 'echo', exitCode: 0, stdout: '\n' })
    expect(lines.at(-1)).toEqual(['error', 'Merge step failed:', missing.message])
    const empty = await rejection(() => execute(merging(sh(': > film.mp4')), options))
    expect(empty.message).toBe(text('it is empty'))
    await execute(merging(sh('echo > film.mp4')), options)
  })

  it.each([
    ['without an outputFile', {}],
    ['with verifyChunks: false', { outputFile: 'film.mp4', verifyChunks: false }],
    ['with a merge adapter of the user', { outputFile: 'film.mp4', mergeAdapter: adapterOf() }],
  ])('is trusted %s', async (_, options) => {
    captureConsole()
    await execute(merging('echo'), options)
  })
})

describe.skipIf(toolsets().length === 0)('with FfmpegStitcher', () => {
  const [{ ffmpeg } = {}] = toolsets()
  const stitcher = () => new FfmpegStitcher(undefined, { ffmpegPath: ffmpeg })
  const folder = (rate = 10) => {
    mkdirSync(join(jobDir, 'made'))
    for (const i of [1, 2, 3]) clip(ffmpeg, join(jobDir, 'made', `${i}.mp4`), { start: i * 10, rate })
    clip(ffmpeg, join(jobDir, 'made', 'short.mp4'), { frames: 7, rate })
  }
  const render = (id, from = id) => chunk(id, { command: `cp made/${from}.mp4 chunk-${id}.mp4` })
  const options = () => ({ jobDir, stitcher: stitcher(), outputFile: 'film.mp4', retryDelay: 0 })
  const why = (id, flaw) => `the command succeeded, but the file '${jobDir}/chunk-${id}.mp4' is not good: ${flaw}`

  it('a video of another frame rate than its job says is warned of', async () => {
    const lines = captureConsole()
    folder()
    await execute(spec([render(1), render(2)]), options())
    expect(printed(lines, 'warn')).toEqual([
      "Warning: the video has 10 frames per second, not the 30 of the job's metadata.",
    ])
  })

  it('a chunk that is short of frames is rendered again', async () => {
    const lines = captureConsole()
    folder(30)
    const command = sh('cp made/short.mp4 chunk-2.mp4; cp made/2.mp4 made/short.mp4')
    await execute(spec([render(1), chunk(2, { command })]), { ...options(), retries: 1 })
    expect(printed(lines, 'warn')).toEqual([
      `[Worker 1] Chunk 2 failed (Attempt 1/2). Retrying in 0ms... Error: ${why(2, 'it has 7 frames, not 10')}`,
    ])
    const made = [1, 2].map((i) => join(jobDir, `chunk-${i}.mp4`))
    expect(frameHashes(ffmpeg, join(jobDir, 'film.mp4'))).toEqual(frameHashes(ffmpeg, ...made))
  })

  it.each([
    ['missing', 'true', 'ENOENT'],
    ['no video', 'cp made/text chunk-1.mp4', 'it cannot be read as a video'],
  ])('a chunk that is %s fails the job, although its command succeeded', async (_, command, flaw) => {
    captureConsole()
    folder()
    writeFileSync(join(jobDir, 'made', 'text'), 'hello')
    const error = await rejection(() => execute(spec([chunk(1, { command })]), options()))
    expect(error.message).toContain(`Chunk 1 failed after 1 attempts: ${why(1, flaw)}`)
    expect(existsSync(join(jobDir, 'film.mp4'))).toBe(false)
  })

  it('chunks are not looked into where they will not be joined', async () => {
    captureConsole()
    for (const more of [{ merge: false }, { outputFile: undefined }, { verifyChunks: false, merge: false }]) {
      await execute(spec(['true']), { ...options(), ...more })
    }
  })

  it('a chunk that does not go with the others is named', async () => {
    captureConsole()
    folder()
    clip(ffmpeg, join(jobDir, 'made', 'fast.mp4'), { rate: 25 })
    const error = await rejection(() => execute(spec([render(1), render(7, 'fast')]), options()))
    const named = `cannot stitch chunk 7 ('${jobDir}/chunk-7.mp4')`
    expect(error.message).toBe(`${named}: frame rate is 25, that of the first is 10`)
  })

  it('a stitcher that only plans fails the job', async () => {
    captureConsole()
    folder()
    const dry = new FfmpegStitcher(undefined, { ffmpegPath: ffmpeg, dryRun: true })
    const error = await rejection(() => execute(spec([render(1)]), { ...options(), stitcher: dry }))
    expect(error.message).toBe('a stitcher with the option dryRun makes no video')
  })

  it.each([
    ['FileJobRepository', () => new FileJobRepository(join(jobDir, 'jobs'))],
    ['InMemoryJobRepository', () => new InMemoryJobRepository()],
  ])('the proof is in the record (%s)', async (name, make) => {
    captureConsole()
    folder()
    const manager = new JobManager(make(), new JobExecutor(local()))
    const id = await manager.submitJob(spec([render(3), render(1), render(2)]), options())
    const status = await until(async () => {
      const job = await manager.getJob(id)
      return ['pending', 'running'].includes(job.state) ? undefined : job
    })
    const result = {
      outputFile: join(jobDir, 'film.mp4'),
      frames: 30,
      duration: 3,
      streams: [{ type: 'video', codec: 'h264', width: 64, height: 64, pixelFormat: 'yuv420p', frameRate: 10 }],
      chunks: [1, 2, 3].map((chunkId) => ({ chunkId, frames: 10 })),
    }
    expect([status.state, status.result]).toEqual(['completed', result])
    if (name === 'FileJobRepository') {
      const text = readFileSync(join(jobDir, 'jobs', `${id}.json`), 'utf8')
      expect(text).toBe(JSON.stringify(JSON.parse(text), null, 2))
    }
  })

  it('a video that is not whole fails the job, and its record has no result', async () => {
    captureConsole()
    folder()
    const manager = new JobManager(new InMemoryJobRepository(), new JobExecutor(local()))
    const id = await manager.submitJob(spec([render(1, 'short')]), options())
    const status = await until(async () => {
      const job = await manager.getJob(id)
      return ['pending', 'running'].includes(job.state) ? undefined : job
    })
    expect([status.state, status.result]).toEqual(['failed', undefined])
    expect(status.error).toContain('it has 7 frames, not 10')
  })
})
