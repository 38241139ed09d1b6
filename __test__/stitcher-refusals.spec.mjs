// FfmpegStitcher on this machine: what does not make one whole video is refused, by name, and leaves nothing.
import { copyFileSync, readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { FfmpegStitcher } from '../index.js'
import { makeFolder, removeFolder, tempFolder } from './support/files.mjs'
import { clip, toolsets, use } from './support/video.mjs'
import { rejection } from './support/wait.mjs'

afterEach(() => vi.unstubAllEnvs())

const PCM = ['-c:a', 'pcm_s16le']

describe.each(toolsets())('$name', (tools) => {
  const { ffmpeg } = tools
  let dir
  let first
  const at = (name) => join(dir, name)

  beforeAll(() => {
    dir = makeFolder()
    first = clip(ffmpeg, at('first.mov'), { audio: PCM })
  })
  afterAll(() => removeFolder(dir))

  /** Stitches the first clip and another one; gives the error after the name of the other. */
  async function refused(other, options, inputs = [first, other]) {
    const out = tempFolder()
    vi.stubEnv('TMPDIR', tempFolder())
    const { message } = await rejection(() =>
      new FfmpegStitcher(undefined, { ...use(tools), ...options }).stitch(inputs, join(out, 'film.mov')),
    )
    expect([readdirSync(out), readdirSync(process.env.TMPDIR)]).toEqual([[], []])
    const head = `cannot stitch '${other}': `
    expect(message.slice(0, head.length)).toBe(head)
    return message.slice(head.length)
  }

  it('a chunk that is missing', async () => {
    expect(await refused(at('none.mov'))).toBe(`ENOENT: no such file or directory, stat '${at('none.mov')}'`)
  })

  it('a chunk that is empty', async () => {
    writeFileSync(at('empty.mov'), '')
    expect(await refused(at('empty.mov'))).toBe('it is empty')
  })

  it('a chunk that is no file', async () => {
    expect(await refused(dir)).toBe('it is not a file')
  })

  it('a chunk that is no video', async () => {
    writeFileSync(at('text.mov'), 'hello, this is text')
    expect(await refused(at('text.mov'))).toMatch(/^it cannot be read as a video: .*Invalid data found/)
  })

  const other = (name, more, says, parameter) => [
    name,
    more,
    `${parameter} is ${says[0]}, that of the first is ${says[1]}`,
  ]
  it.each([
    other('another size', { size: '32x32' }, ['32x32', '64x64'], 'frame size'),
    other('another codec', { video: ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p'] }, ['mjpeg', 'h264'], 'codec'),
    other('another frame rate', { rate: 25 }, ['25', '10'], 'frame rate'),
    other('a broadcast frame rate', { rate: '30000/1001' }, ['30000/1001', '10'], 'frame rate'),
    other(
      'another pixel format',
      { video: ['-c:v', 'libx264', '-qp', '0', '-preset', 'ultrafast', '-pix_fmt', 'yuv444p'] },
      ['yuv444p', 'yuv420p'],
      'pixel format',
    ),
    other(
      'another profile',
      { video: ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'] },
      ['Constrained Baseline', 'High 4:4:4 Predictive'],
      'profile',
    ),
    other('another sample rate', { sampleRate: 44_100 }, ['44100', '48000'], 'sample rate'),
    other('another audio codec', { audio: ['-c:a', 'pcm_s24le'] }, ['pcm_s24le', 'pcm_s16le'], 'audio codec'),
    other('other channels', { audio: [...PCM, '-ac', '2'] }, ['2', '1'], 'number of audio channels'),
    other('no audio', { audio: undefined }, ['0', '1'], 'number of audio streams'),
  ])('a chunk with %s', async (name, more, message) => {
    const file = clip(ffmpeg, at(`${name}.mov`), { audio: PCM, ...more })
    expect(await refused(file)).toBe(message)
  })

  it('a chunk without its index', async () => {
    copyFileSync(first, at('headless.mov'))
    truncateSync(at('headless.mov'), Math.floor(readFileSync(first).length / 2))
    expect(await refused(at('headless.mov'))).toMatch(/^it cannot be read as a video: moov atom not found/)
  })

  it.each([
    ['in the middle', (size) => Math.floor(size / 2)],
    ['in its last frame', (size) => size - 5],
  ])('a chunk that is cut short %s, although its index is whole', async (_, length) => {
    const output = ['-movflags', '+faststart']
    const file = clip(ffmpeg, at('cut.mov'), { output })
    truncateSync(file, length(readFileSync(file).length))
    const silent = clip(ffmpeg, at('silent.mov'))
    expect(await refused(file, {}, [silent, file])).toMatch(
      /^it is cut short: \d of 10 frames$|^it is cut short: \d+ frames, then: /,
    )
  })

  it('a Matroska chunk that is cut short', async () => {
    const file = clip(ffmpeg, at('cut.mkv'))
    truncateSync(file, Math.floor(readFileSync(file).length / 2))
    const whole = clip(ffmpeg, at('whole.mkv'))
    expect(await refused(file, {}, [whole, file])).toMatch(/^it is cut short: /)
  })

  it('chunks without the frames that were asked for', async () => {
    const stitcher = new FfmpegStitcher(undefined, { ...use(tools), expectedFrames: 30 })
    const out = tempFolder()
    const { message } = await rejection(() => stitcher.stitch([first, first], join(out, 'film.mov')))
    expect([message, readdirSync(out)]).toEqual(['the inputs have 20 frames together, not 30', []])
  })

  it('chunks of another rate than was asked for', async () => {
    expect(await refused(first, { fps: 30 })).toBe('frame rate is 10, not 30')
  })

  it('leaves an older output as it was', async () => {
    const out = join(tempFolder(), 'film.mov')
    writeFileSync(out, 'old')
    await rejection(() => new FfmpegStitcher(undefined, use(tools)).stitch([first, at('none.mov')], out))
    expect(readFileSync(out, 'utf8')).toBe('old')
  })

  it('a plan can be had before', async () => {
    const out = tempFolder()
    vi.stubEnv('TMPDIR', tempFolder())
    const stitcher = new FfmpegStitcher(undefined, { ...use(tools), dryRun: true, expectedFrames: 20, fps: 10 })
    const plan = await stitcher.stitch([first, first], join(out, 'film.mov'))
    const input = { file: first, frames: 10, duration: 1, remux: false }
    expect(plan).toEqual({
      kind: 'copy',
      outputFile: join(out, 'film.mov'),
      frames: 20,
      duration: 2,
      streams: [
        { type: 'video', codec: 'h264', width: 64, height: 64, pixelFormat: 'yuv420p', frameRate: 10 },
        { type: 'audio', codec: 'pcm_s16le', sampleRate: 48_000, channels: 1 },
      ],
      inputs: [input, input],
      notes: [],
    })
    expect([readdirSync(out), readdirSync(process.env.TMPDIR)]).toEqual([[], []])
  })
})

describe('options', () => {
  it.each([
    ['ffmpegPath', 5, 'a string'],
    ['ffprobePath', 5, 'a string'],
    ['expectedFrames', '5', 'a number'],
    ['expectedFrames', 1.5, 'a whole number that is not negative'],
    ['fps', -1, 'a number above 0'],
    ['onProgress', 'x', 'a function'],
    ['signal', 5, 'an AbortSignal'],
  ])('%s: %j is a TypeError', (name, value, what) => {
    const error = (() => {
      try {
        return new FfmpegStitcher(undefined, { [name]: value })
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toBe(`options.${name} must be ${what}`)
  })
})
