// The job that the end-to-end tests render: a pattern that moves, with a picture over it that workers only have from the
// bundle. Every frame is different, and the same wherever it is rendered.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { FfmpegStitcher } from '../index.js'
import { run, toolsets } from '../__test__/support/video.mjs'

export const tools = toolsets().find(({ ffprobe }) => ffprobe) ?? toolsets()[0]
export const CHUNKS = 12
export const FRAMES_PER_CHUNK = 10
export const FRAMES = CHUNKS * FRAMES_PER_CHUNK
const FPS = 30

const quote = (word) => (/^[\w./=:-]+$/.test(word) ? word : `"${word.replace(/[\\"]/g, '\\$&')}"`)

/** The definition of the job. */
export function film() {
  const chunks = Array.from({ length: CHUNKS }, (_, id) => {
    const [startFrame, outputFile] = [id * FRAMES_PER_CHUNK, `chunks/${String(id).padStart(2, '0')}.mov`]
    const end = startFrame + FRAMES_PER_CHUNK
    const filter = `[0:v]trim=start_frame=${startFrame}:end_frame=${end},setpts=PTS-STARTPTS[v];[v][1:v]overlay=8:8`
    const input = ['-f', 'lavfi', '-i', `testsrc2=size=320x180:rate=${FPS}`, '-i', 'assets/logo.png']
    const encoding = ['-frames:v', FRAMES_PER_CHUNK, '-c:v', 'libx264', '-preset', 'ultrafast', '-threads', 1]
    const words = [tools.ffmpeg, '-v', 'error', '-nostdin', '-y', ...input, '-filter_complex', filter, ...encoding]
    const command = [...words, '-pix_fmt', 'yuv420p', outputFile].map((word) => quote(String(word))).join(' ')
    return {
      id,
      startFrame,
      frameCount: FRAMES_PER_CHUNK,
      outputFile,
      command: `sh -c ${quote(`mkdir -p chunks && ${command}`)}`,
    }
  })
  const metadata = { totalFrames: FRAMES, fps: FPS, width: 320, height: 180, duration: FRAMES / FPS }
  return { id: 'film', metadata, chunks, mergeCommand: '' }
}

/** Puts the assets of the job into `jobDir`. */
export function prepare(jobDir) {
  mkdirSync(join(jobDir, 'assets'), { recursive: true })
  run(tools.ffmpeg, [
    '-y',
    '-f',
    'lavfi',
    '-i',
    'testsrc=size=48x48',
    '-frames:v',
    '1',
    join(jobDir, 'assets/logo.png'),
  ])
  return jobDir
}

/** What the job is submitted with. */
export const submission = (jobDir) => ({
  jobDir,
  stitcher: new FfmpegStitcher(undefined, {
    ffmpegPath: tools.ffmpeg,
    ...(tools.ffprobe && { ffprobePath: tools.ffprobe }),
  }),
  outputFile: 'film.mov',
})

/** The hash of every frame of the video in `jobDir`. */
export const frameHashes = (jobDir) =>
  run(tools.ffmpeg, ['-i', join(jobDir, 'film.mov'), '-f', 'framemd5', '-'])
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => line.split(',').at(-1).trim())
