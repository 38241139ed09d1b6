// Looks at a finished video: is it whole, and what do the seams between its chunks look like?

import { run, words } from './toolchain.mjs'

/** Decodes the video from end to end and returns what it found; throws an error that names everything that is wrong. */
export async function verifyVideo(ffprobePath, file, expected) {
  const entries = '-show_entries stream=codec_type,codec_name,width,height,nb_read_frames:format=duration,size'
  const { stdout, stderr } = await run(ffprobePath, [...words(`-v error -count_frames ${entries} -of json`), file])
  const { streams, format } = JSON.parse(stdout)
  const [picture, ...otherPictures] = streams.filter((stream) => stream.codec_type === 'video')
  const [sound, ...otherSounds] = streams.filter((stream) => stream.codec_type === 'audio')
  const found = {
    codecs: streams.map((stream) => stream.codec_name).join(' + '),
    frames: Number(picture?.nb_read_frames ?? 0),
    duration: Number(format.duration),
    megabytes: Number(format.size) / 1e6,
  }

  const wrong = stderr ? [stderr.trim()] : []
  if (!picture || !sound || otherPictures.length > 0 || otherSounds.length > 0) {
    wrong.push(`streams: expected one of video and one of audio, found ${streams.map((s) => s.codec_type).join(', ')}`)
  }
  if (picture && (picture.width !== expected.width || picture.height !== expected.height)) {
    wrong.push(`size: expected ${expected.width}x${expected.height}, found ${picture.width}x${picture.height}`)
  }
  if (found.frames !== expected.totalFrames) {
    wrong.push(`frames: expected ${expected.totalFrames}, found ${found.frames}`)
  }
  if (!(Math.abs(found.duration - expected.duration) <= 1 / expected.fps)) {
    wrong.push(`duration: expected ${expected.duration} s, found ${found.duration} s`)
  }
  if (wrong.length > 0) throw new Error(`${file} is not what was asked for: ${wrong.join('; ')}`)
  return found
}

/**
 * Writes an image of all seams: a field for each chunk, its first frame above its last one. The number in the last
 * frame of a chunk and that in the first frame of the next one must follow each other.
 */
export async function writeContactSheet(ffmpegPath, video, image, { framesPerChunk, columns, rows }) {
  const filters = [
    `select='eq(mod(n,${framesPerChunk}),0)+eq(mod(n,${framesPerChunk}),${framesPerChunk - 1})'`,
    'scale=320:-2:flags=area,tile=1x2',
    `tile=${columns}x${rows}:margin=12:padding=12:color=0x202020`,
  ]
  const output = [...words('-frames:v 1 -update 1'), image]
  await run(ffmpegPath, [...words('-y -nostdin -v error -i'), video, '-vf', filters.join(','), ...output])
}
