// How long it takes to join chunks into one video.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { assertEqual } from './fixtures.mjs'

const RATE = 30

/** Joins chunks of one second, with pictures and sound, by the ffmpeg and the ffprobe of the development dependencies. */
export function stitch({ FfmpegStitcher }, { chunks }, { scratch }) {
  const [ffmpegPath, ffprobePath] = ['@ffmpeg-installer/ffmpeg', '@ffprobe-installer/ffprobe'].map(program)
  const made = makeChunk(ffmpegPath, scratch)
  // Each is a file of its own, as what is known of a file is not asked twice.
  const inputs = Array.from({ length: chunks }, (_, i) => join(scratch, `chunk-${i}.mov`))
  for (const input of inputs) copyFileSync(made, input)
  const output = join(scratch, 'film.mov')
  const stitcher = new FfmpegStitcher(undefined, { ffmpegPath, ffprobePath })
  return {
    warmUp: () => stitcher.stitch(inputs.slice(0, 2), join(scratch, 'warm-up.mov')),
    run: () => stitcher.stitch(inputs, output),
    check: () => assertEqual('frames of the video', countFrames(ffprobePath, output), chunks * RATE),
  }
}

function program(name) {
  const { path } = createRequire(import.meta.url)(name)
  chmodSync(path, 0o755)
  return path
}

function makeChunk(ffmpeg, folder) {
  const file = join(folder, 'made.mov')
  const picture = ['-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=${RATE}:duration=1`]
  const sound = ['-f', 'lavfi', '-i', 'sine=frequency=220:sample_rate=48000:duration=1']
  const codecs = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'pcm_s16le']
  execFileSync(ffmpeg, ['-v', 'error', ...picture, ...sound, ...codecs, '-y', file])
  return file
}

function countFrames(ffprobe, file) {
  const entries = ['-select_streams', 'v', '-show_entries', 'stream=nb_frames', '-of', 'csv=p=0']
  return Number(execFileSync(ffprobe, ['-v', 'error', ...entries, file], { encoding: 'utf8' }))
}
