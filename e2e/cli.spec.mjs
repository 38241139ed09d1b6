// Renders by the published command-line program, whose jobs this package runs: `helios render --emit-job`, `helios job run`.
import { cpSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FfmpegStitcher } from '../index.js'
import { makeFolder, removeFolder, tempFolder } from '../__test__/support/files.mjs'
import { until } from '../__test__/support/wait.mjs'
import { CHUNKS, FRAMES, emit, home, missing, prepare, prove, start, succeed } from './cli/helios.mjs'
import { tools } from './scene.mjs'

const reason = missing()
if (reason) process.stderr.write(`skipped: the command-line program: ${reason}\n`)

/** The lines of ours in what the program has printed. */
const told = (stdout) =>
  stdout.split('\n').filter((line) => /^(\[Worker|Starting job|All chunks|Merge|Skipping)/.test(line))
const nameOf = (pid) => {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return 'gone'
  }
}
const videos = (folder) => readdirSync(folder).filter((name) => name.endsWith('.mov'))

describe.skipIf(reason)('the command-line program', { timeout: 180_000 }, () => {
  let template, folder, job, files
  beforeAll(() => emit((template = prepare(makeFolder()))), 60_000)
  afterAll(() => template && removeFolder(template))
  beforeEach(() => {
    cpSync(template, (folder = tempFolder()), { recursive: true })
    job = JSON.parse(readFileSync(join(folder, 'job.json'), 'utf8'))
    files = job.chunks.map(({ outputFile }) => join(folder, outputFile))
  })
  const change = (id, command) => {
    job.chunks[id].command = command
    writeFileSync(join(folder, 'job.json'), JSON.stringify(job))
  }

  it('runs on this package', () => {
    const ours = readFileSync(join(home, '../../index.js'), 'utf8')
    expect(readFileSync(join(home, 'node_modules/@helios-project/infrastructure/index.js'), 'utf8')).toBe(ours)
    const [installed, original] = [join(home, 'node_modules/@helios-project'), 'cli/node_modules/@helios-project']
    expect(existsSync(join(installed, original))).toBe(false)
  })

  it('renders a video in chunks', async (context) => {
    const { stdout, stderr } = await succeed(context, folder, ['job', 'run', 'job.json', '--concurrency', '2'])
    const lines = told(stdout)
    expect(lines.slice(0, 3)).toEqual([
      'Starting job execution with concurrency 2...',
      '[Worker 1] Starting chunk 0 (Attempt 1/1)...',
      '[Worker 2] Starting chunk 1 (Attempt 1/1)...',
    ])
    expect(lines.filter((line) => / completed \(\d\/4\)$/.test(line)).length).toBe(CHUNKS)
    expect(lines.slice(-2)).toEqual([
      'All chunks completed. Starting merge step via mergeCommand...',
      'Merge completed successfully.',
    ])
    // What the commands of the chunks have printed is handed on.
    for (const file of files) expect(stdout).toContain(`Render complete! Output saved to: ${file}\n`)
    expect(stderr).toContain('ffmpeg: ')
    prove(join(folder, 'film.mov'))
  })

  it('renders a chunk alone', async (context) => {
    const { stdout } = await succeed(context, folder, ['job', 'run', 'job.json', '--chunk', '2'])
    expect(told(stdout)).toEqual([
      'Starting job execution with concurrency 1...',
      '[Worker 1] Starting chunk 2 (Attempt 1/1)...',
      '[Worker 1] Chunk 2 completed (4/4)',
      'Skipping merge step (disabled in options).',
    ])
    expect(videos(folder)).toEqual([job.chunks[2].outputFile])
    prove(files[2], job.chunks[2].startFrame, job.chunks[2].frameCount)
  })

  it('leaves the chunks apart, and a stitcher joins them', async (context) => {
    const args = ['job', 'run', 'job.json', '--concurrency', '2', '--no-merge']
    const { stdout } = await succeed(context, folder, args)
    expect(told(stdout).at(-1)).toBe('Skipping merge step (disabled in options).')
    expect(videos(folder)).toEqual(job.chunks.map(({ outputFile }) => outputFile).toSorted())
    job.chunks.forEach(({ startFrame, frameCount }, id) => prove(files[id], startFrame, frameCount))
    const film = join(folder, 'film.mov')
    const options = { ffmpegPath: tools.ffmpeg, ffprobePath: tools.ffprobe, expectedFrames: FRAMES, fps: 25 }
    await new FfmpegStitcher(undefined, options).stitch(files, film)
    prove(film)
  })

  it('says which chunk failed, and ends the others', async (context) => {
    change(1, 'helios render nowhere.html -o nowhere.mov --start-frame 13 --frame-count 13')
    const { ended, living } = start(context, folder, ['job', 'run', 'job.json', '--concurrency', '2'])
    const { code, stdout, stderr } = await ended
    expect(code).toBe(1)
    const failure = 'Chunk 1 failed after 1 attempts: Chunk 1 failed with exit code 1: '
    expect(stderr).toContain(`\nJob execution failed: ${failure}`)
    expect(stderr).toMatch(/Render failed: .*ERR_FILE_NOT_FOUND/)
    expect(told(stdout).some((line) => /merge|Starting chunk [23]/i.test(line))).toBe(false)
    expect(existsSync(join(folder, 'film.mov'))).toBe(false)
    await until(() => living().length === 0, 'the end of all that was started')
  })

  it.for(['SIGINT', 'SIGKILL'])('leaves nothing running after %s', async (signal, context) => {
    const { child, ended, living } = start(context, folder, ['job', 'run', 'job.json', '--concurrency', '2'])
    const programs = await until(
      () => {
        const names = living().map(nameOf)
        // That of Google is called `chrome`.
        return names.includes('ffmpeg') && names.some((name) => name.startsWith('chrom')) && names
      },
      'a browser that is filmed',
      120_000,
    )
    child.kill(signal)
    expect(await ended).toMatchObject({ code: null, signal })
    const left = () => living().map(nameOf)
    await until(() => left().length === 0, `the end of ${programs}`, 15_000).catch((error) => {
      throw new Error(`left: ${left()}`, { cause: error })
    })
    expect(existsSync(join(folder, 'film.mov'))).toBe(false)
  })
})
