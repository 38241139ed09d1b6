// Renders a video of 12 seconds in 12 chunks, as many at once as the machine has cores, and stitches them into one
// file, of which it is proven that it is whole. Then it renders the chunks again one at a time to tell what parallelism
// was worth.
//
// Start reading at `main`; `makeSpec` and `renderJob` are all the use there is of the package.

import { Console } from 'node:console'
import { createWriteStream } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  FfmpegStitcher,
  FileJobRepository,
  JobExecutor,
  JobManager,
  LocalWorkerAdapter,
} from '@helios-project/infrastructure'
import { startProgress } from '../cli/lib/progress.mjs'
import { readOptions } from './lib/options.mjs'
import { ffmpegArguments, video } from './lib/scene.mjs'
import { findTools } from './lib/toolchain.mjs'
import { writeContactSheet } from './lib/verify.mjs'

const FRAMES_PER_CHUNK = 30
const CHUNKS = video.totalFrames / FRAMES_PER_CHUNK

async function main() {
  const options = readOptions()
  const { ffmpegPath, ffprobePath } = await findTools()
  const folder = resolve(options.out)
  // QuickTime, because it is the one container that takes H.264 and uncompressed sound in exact time units (Matroska
  // rounds to milliseconds) and that the usual players and editors open. An .mp4 would want AAC, whose seams a copy
  // cannot join (see lib/scene.mjs).
  const outputFile = join(folder, 'helios-demo.mov')
  const spec = makeSpec(ffmpegPath)
  const manager = new JobManager(new FileJobRepository(join(folder, 'jobs')), new JobExecutor(new LocalWorkerAdapter()))
  const atOnce = options.concurrency === 1 ? 'one at a time' : `${options.concurrency} at a time`
  console.log(`${video.totalFrames} frames of ${video.width}x${video.height} in ${CHUNKS} chunks, ${atOnce}`)
  console.log(`ffmpeg: ${ffmpegPath}\n`)

  const rendered = await renderJob(manager, spec, {
    label: 'Rendering',
    jobDir: join(folder, 'chunks'),
    concurrency: options.concurrency,
    // It looks into every chunk, and into the video before that is put in its place.
    stitcher: new FfmpegStitcher(undefined, {
      ffmpegPath,
      ffprobePath,
      expectedFrames: video.totalFrames,
      fps: video.fps,
    }),
    outputFile,
  })
  report('Render', rendered.renderMs, `${CHUNKS} chunks, ${atOnce}`)
  report('Stitch', rendered.mergeMs, 'copied, not encoded again')
  const { frames, duration, streams } = rendered.proof
  const codecs = streams.map(({ codec }) => codec).join(' + ')
  report('Verified', undefined, `${frames} frames, ${duration.toFixed(3)} s, ${codecs}`)
  const megabytes = (await stat(outputFile)).size / 1e6
  report('Video', undefined, `${display(outputFile)} (${megabytes.toFixed(1)} MB)`)
  if (options.frames) {
    const image = join(folder, 'contact-sheet.png')
    await writeContactSheet(ffmpegPath, outputFile, image, { framesPerChunk: FRAMES_PER_CHUNK, columns: 4, rows: 3 })
    report('Frames', undefined, `${display(image)} (first and last frame of each chunk)`)
  }

  if (options.concurrency === 1 || !options.compare) return
  const serial = await renderJob(manager, spec, {
    label: 'One at a time',
    jobDir: join(folder, 'chunks-serial'),
    concurrency: 1,
    merge: false,
  })
  report('Serial', serial.renderMs, 'the same chunks, one at a time')
  report('Speed-up', undefined, `${(serial.renderMs / rendered.renderMs).toFixed(2)}x`)
}

/** The job: every chunk is a command that renders some frames into a file. */
function makeSpec(ffmpegPath) {
  const chunks = Array.from({ length: CHUNKS }, (_, id) => {
    const range = { startFrame: id * FRAMES_PER_CHUNK, frameCount: FRAMES_PER_CHUNK }
    const outputFile = `chunk-${String(id).padStart(2, '0')}.mov`
    const command = [ffmpegPath, ...ffmpegArguments({ ...range, outputFile })].map(quote).join(' ')
    return { id, ...range, outputFile, command }
  })
  const { width, height, fps, totalFrames, duration } = video
  return { id: 'demo', metadata: { width, height, fps, totalFrames, duration }, chunks, mergeCommand: '' }
}

/** An argument as it has to be written in a chunk's command, which is split into words but never seen by a shell. */
function quote(argument) {
  return `"${argument.replace(/[\\"]/g, '\\$&')}"`
}

/** Submits a job, shows its progress and waits for its end. */
async function renderJob(manager, spec, { label, ...options }) {
  if (interrupted) throw interrupted
  await mkdir(options.jobDir, { recursive: true })
  const progress = startProgress({ label, total: video.totalFrames, chunks: CHUNKS })
  // JobExecutor tells every step on the console, which would tear the bar apart: while the job runs, it goes to a file.
  const restoreConsole = logConsoleTo(`${options.jobDir}.log`)
  const frames = new Map()
  let done = 0
  const update = () => progress.update({ frames: [...frames.values()].reduce((a, b) => a + b, 0), chunks: done })
  let renderedAt
  let id
  cancelRunningJob = async () => id && manager.cancelJob(id)

  try {
    id = await manager.submitJob(spec, {
      ...options,
      onChunkStdout(chunkId, text) {
        const counts = [...text.matchAll(/^frame= *(\d+)$/gm)]
        if (counts.length > 0) frames.set(chunkId, Number(counts.at(-1)[1]))
        update()
      },
      onProgress(completedChunks, totalChunks) {
        done = completedChunks
        if (completedChunks === totalChunks) renderedAt = Date.now()
        update()
      },
    })
    if (interrupted) await cancelRunningJob()
    const status = await ended(manager, id)
    if (interrupted) throw interrupted
    if (status.state !== 'completed') {
      throw new Error(`The job ended as ${status.state}: ${status.error ?? 'no reason given'}`)
    }
    return { renderMs: renderedAt - status.createdAt, mergeMs: status.updatedAt - renderedAt, proof: status.result }
  } finally {
    cancelRunningJob = undefined
    restoreConsole()
    progress.stop()
  }
}

async function ended(manager, id) {
  for (;;) {
    const status = await manager.getJob(id)
    if (!['pending', 'running'].includes(status.state)) return status
    await sleep(50)
  }
}

function logConsoleTo(file) {
  const stream = createWriteStream(file)
  const { log, warn, error } = console
  const logger = new Console(stream)
  Object.assign(console, { log: logger.log, warn: logger.warn, error: logger.error })
  return () => {
    Object.assign(console, { log, warn, error })
    stream.end()
  }
}

function report(name, ms, text) {
  const seconds = ms === undefined ? '' : `${(ms / 1000).toFixed(1)} s`
  console.log(`${name.padEnd(9)}${seconds.padStart(8)}   ${text}`)
}

/** The shorter form of a path: seen from here, unless it is somewhere else. */
function display(file) {
  const fromHere = relative('', file)
  return fromHere.startsWith('..') ? file : fromHere
}

// Ctrl-C cancels the job, which ends its processes and is written down in the job's record; a second one leaves at
// once.
let interrupted
let cancelRunningJob
for (const [signal, exitCode] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.on(signal, () => {
    if (interrupted || !cancelRunningJob) process.exit(exitCode)
    interrupted = Object.assign(new Error('Cancelled.'), { exitCode })
    cancelRunningJob().catch(() => process.exit(exitCode))
  })
}

try {
  await main()
} catch (error) {
  console.error(error.message)
  process.exitCode = error.exitCode ?? 1
}
