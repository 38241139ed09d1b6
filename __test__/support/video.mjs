// Real videos: who makes them, small clips of all kinds, and what is in a file.
import { spawnSync } from 'node:child_process'
import { accessSync, chmodSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { vi } from 'vitest'

const works = (program) => spawnSync(program, ['-version'], { stdio: 'ignore' }).status === 0

function installed(name) {
  try {
    const { path } = createRequire(import.meta.url)(name)
    // npm does not run the script that makes the file executable unless asked to.
    try {
      accessSync(path, constants.X_OK)
    } catch {
      chmodSync(path, 0o755)
    }
    return works(path) ? path : undefined
  } catch {
    return undefined
  }
}

/** The programs to test with: ffmpeg 4.1 with an ffprobe and alone, as in the Helios toolchain, and those of the system. */
export function toolsets() {
  const [ffmpeg, ffprobe] = ['@ffmpeg-installer/ffmpeg', '@ffprobe-installer/ffprobe'].map(installed)
  const sets = []
  if (ffmpeg) sets.push({ name: 'ffmpeg 4.1 alone', ffmpeg, alone: true })
  if (ffmpeg && ffprobe) sets.push({ name: 'ffmpeg 4.1 with ffprobe', ffmpeg, ffprobe })
  if (works('ffmpeg')) {
    const which = spawnSync('which', ['ffmpeg'], { encoding: 'utf8' }).stdout.trim()
    sets.push({ name: 'ffmpeg of the system', ffmpeg: which, ffprobe: works('ffprobe') ? 'ffprobe' : undefined })
  }
  return sets
}

/** Options of a stitcher that uses these programs. Where there is to be no ffprobe, none is found on the PATH. */
export function use({ ffmpeg, ffprobe, alone }) {
  vi.stubEnv('FFPROBE_PATH', '')
  if (alone) vi.stubEnv('PATH', '/nowhere')
  return { ffmpegPath: ffmpeg, ...(ffprobe && { ffprobePath: ffprobe }) }
}

/** Runs ffmpeg, which must succeed; gives its standard output. */
export function run(ffmpeg, args, { encoding = 'utf8' } = {}) {
  const done = spawnSync(ffmpeg, ['-v', 'error', '-nostdin', ...args], { encoding, maxBuffer: 1e9 })
  if (done.status !== 0) throw new Error(`ffmpeg ${args.join(' ')}: ${done.error ?? done.stderr}`)
  return done.stdout
}

/** Whether an ffmpeg can encode with all of these. */
export function canEncode(ffmpeg, ...encoders) {
  const list = spawnSync(ffmpeg, ['-hide_banner', '-encoders'], { encoding: 'utf8' }).stdout
  return encoders.every((encoder) => new RegExp(`^ \\S+ ${encoder} `, 'm').test(list))
}

const LOSSLESS = ['-c:v', 'libx264', '-preset', 'ultrafast', '-qp', '0', '-pix_fmt', 'yuv420p']

/**
 * Makes a clip: `frames` frames from `start` on of a picture that never repeats, and a tone that goes on through all clips.
 * `video` and `audio` are arguments of ffmpeg, `audio` of none means silence, `seconds` of sound where it is not as long.
 */
export function clip(ffmpeg, file, { frames = 10, start = 0, rate = 10, size = '64x64', ...more } = {}) {
  const { video = LOSSLESS, audio, sampleRate = 48_000, seconds = frames / evaluate(rate), output = [] } = more
  const from = start / evaluate(rate)
  const inputs = ['-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate}`]
  const tone = `aevalsrc=exprs=0.4*sin(2*PI*440*(t+${from})):s=${sampleRate}:d=${seconds}`
  if (audio) inputs.push('-f', 'lavfi', '-i', tone)
  const cut = `trim=start_frame=${start}:end_frame=${start + frames},setpts=PTS-STARTPTS`
  run(ffmpeg, [...inputs, '-vf', cut, ...video, ...(audio ?? []), ...output, '-y', `file:${file}`])
  return file
}

const evaluate = (rate) =>
  String(rate)
    .split('/')
    .map(Number)
    .reduce((a, b) => a / b)

/** `count` clips, one after the other, called `0.mp4` and so on; `each(index)` gives what is different in each. */
export const clips = (ffmpeg, dir, count, { extension = 'mp4', frames = 10, ...more } = {}, each = () => ({})) =>
  Array.from({ length: count }, (_, i) =>
    clip(ffmpeg, join(dir, `${i}.${extension}`), { frames, start: i * frames, ...more, ...each(i) }),
  )

/** The hashes of the frames of some videos, one after the other. */
export function frameHashes(ffmpeg, ...files) {
  const lines = rows(framesOf(ffmpeg, ...files)).map((line) => line.split(','))
  return files.flatMap((_, i) => lines.filter(([index]) => Number(index) === i).map((line) => line.at(-1).trim()))
}

/** The hashes of the frames of a video, and when they are shown, in seconds. */
export function shown(ffmpeg, file) {
  const text = framesOf(ffmpeg, file)
  const [, num, den] = /#tb 0: (\d+)\/(\d+)/.exec(text)
  return { hashes: columns(text, -1), times: columns(text, 2).map((pts) => (Number(pts) * num) / den) }
}

function framesOf(ffmpeg, ...files) {
  const [inputs, maps] = [files.flatMap((file) => ['-i', `file:${file}`]), files.flatMap((_, i) => ['-map', `${i}:v`])]
  return run(ffmpeg, [...inputs, ...maps, '-vsync', 'passthrough', '-f', 'framemd5', '-'])
}

const rows = (text) => text.split('\n').filter((line) => line && !line.startsWith('#'))

const columns = (text, index) => rows(text).map((line) => line.split(',').at(index).trim())

/** The samples of a file's sound as it is heard, from the moment on when the first frame is shown. */
export function samples(ffmpeg, file, sampleRate = 48_000) {
  const from = ['-copyts', '-i', `file:${file}`]
  const table = run(ffmpeg, [...from, '-map', '0:v', '-c', 'copy', '-f', 'framecrc', '-'])
  const [, num, den] = /#tb 0: (\d+)\/(\d+)/.exec(table)
  const first = Math.min(...columns(table, 2).map(Number)) * (num / den)
  const sound = `aresample=async=1:first_pts=${Math.round(first * sampleRate)}`
  const bytes = run(ffmpeg, [...from, '-map', '0:a', '-ac', '1', '-af', sound, '-f', 'f32le', '-'], {
    encoding: 'buffer',
  })
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
}

/** How far `heard` is from the tone of the clips, from sample `from` on: the root of the mean square. */
export function distance(heard, from, count, sampleRate = 48_000) {
  let sum = 0
  for (let i = from; i < from + count; i++)
    sum += (heard[i] - 0.4 * Math.sin((2 * Math.PI * 440 * i) / sampleRate)) ** 2
  return Math.sqrt(sum / count)
}
