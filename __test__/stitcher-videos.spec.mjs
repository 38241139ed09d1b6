// FfmpegStitcher on this machine: what it makes of real chunks, compared frame by frame and sample by sample.
import { readdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { FfmpegStitcher } from '../index.js'
import { tempFolder } from './support/files.mjs'
import { canEncode, clip, clips, distance, frameHashes, run, samples, shown, toolsets, use } from './support/video.mjs'

afterEach(() => vi.unstubAllEnvs())

const PCM = ['-c:a', 'pcm_s16le']
const AAC = ['-c:a', 'aac', '-b:a', '192k']
const B_FRAMES = ['-c:v', 'libx264', '-preset', 'medium', '-bf', '2', '-g', '5', '-pix_fmt', 'yuv420p']
const HEVC = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', 'log-level=none']
const VP9 = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8']
const AV1 = ['-c:v', 'libaom-av1', '-strict', '-2', '-cpu-used', '8']
/** One AAC frame, in samples. */
const AAC_FRAME = 1024
/** How far sound may be from what it was before it was encoded, of 0.28. */
const NEAR = 0.03

// With and without ffprobe; the third toolset is a mixture of these, and has its turn with the refusals.
const TOOLSETS = toolsets().filter(({ name }) => name !== 'ffmpeg 4.1 with ffprobe')

describe.each(TOOLSETS)('$name', (tools) => {
  const { ffmpeg } = tools

  /** Stitches; gives the plan. All frames must be those of the inputs, and nothing else be left. */
  async function stitched(inputs, output, options) {
    vi.stubEnv('TMPDIR', tempFolder())
    const before = readdirSync(dirname(output))
    const settings = { ...use(tools), ...options }
    const plan = await new FfmpegStitcher(undefined, { ...settings, dryRun: true }).stitch(inputs, output)
    expect(await new FfmpegStitcher(undefined, settings).stitch(inputs, output)).toBeUndefined()
    vi.unstubAllEnvs()
    const made = readdirSync(dirname(output)).filter((name) => !before.includes(name))
    expect(made).toEqual([basename(output)])
    expect(frameHashes(ffmpeg, output)).toEqual(frameHashes(ffmpeg, ...inputs))
    return plan
  }

  it.for([
    ['h264', 'libx264', 'mp4', undefined],
    ['h264 with B-frames', 'libx264', 'mp4', B_FRAMES],
    ['h264 with B-frames', 'libx264', 'mov', B_FRAMES],
    ['h264 with B-frames', 'libx264', 'mkv', B_FRAMES],
    ['hevc', 'libx265', 'mp4', HEVC],
    ['hevc', 'libx265', 'mkv', HEVC],
    ['vp9', 'libvpx-vp9', 'webm', VP9],
    ['vp9', 'libvpx-vp9', 'mp4', VP9],
    ['av1', 'libaom-av1', 'mp4', AV1],
    ['av1', 'libaom-av1', 'mkv', AV1],
    ['prores', 'prores', 'mov', ['-c:v', 'prores']],
    ['prores', 'prores', 'mkv', ['-c:v', 'prores']],
  ])('%s (%s) in %s', { timeout: 60_000 }, async ([, encoder, extension, video], context) => {
    if (!canEncode(ffmpeg, encoder)) context.skip(`this ffmpeg has no ${encoder}`)
    const dir = tempFolder()
    const rate = '30000/1001'
    const inputs = clips(ffmpeg, dir, 2, { extension, frames: 7, rate, ...(video && { video }) })
    const output = join(dir, `film.${extension}`)
    await new FfmpegStitcher(undefined, { ...use(tools), expectedFrames: 14, fps: 29.97 }).stitch(inputs, output)
    vi.unstubAllEnvs()
    const { hashes, times } = shown(ffmpeg, output)
    expect(hashes).toEqual(frameHashes(ffmpeg, ...inputs))
    for (const [i, time] of times.entries()) expect(time - times[0]).toBeCloseTo((i * 1001) / 30_000, 2)
  })

  it('one chunk, with all it has', async () => {
    const dir = tempFolder()
    const input = clip(ffmpeg, join(dir, 'one.mp4'), { audio: AAC, seconds: 1.4 })
    const plan = await stitched([input], join(dir, 'film.mp4'))
    expect([plan.kind, plan.frames, plan.notes]).toEqual(['copy', 10, []])
    expect(samples(ffmpeg, join(dir, 'film.mp4')).length).toBeGreaterThan(1.35 * 48_000)
  })

  it('chunks of 1 frame', async () => {
    const dir = tempFolder()
    const inputs = clips(ffmpeg, dir, 3, { frames: 1, rate: 30 })
    expect((await stitched(inputs, join(dir, 'film.mp4'))).duration).toBe(0.1)
  })

  it('chunks with different time bases', async () => {
    const dir = tempFolder()
    const scales = [15_360, 90_000, 600]
    const each = (i) => ({ output: ['-video_track_timescale', String(scales[i])] })
    const inputs = clips(ffmpeg, dir, 3, { rate: 30, audio: PCM, extension: 'mov' }, each)
    const output = join(dir, 'film.mov')
    const plan = await stitched(inputs, output)
    expect([plan.kind, plan.inputs.map(({ remux }) => remux)]).toEqual(['remux', [false, true, true]])
    for (const [i, time] of shown(ffmpeg, output).times.entries()) expect(time).toBeCloseTo(i / 30, 4)
    expect(distance(samples(ffmpeg, output), 0, 48_000)).toBeLessThan(0.001)
  })

  it('chunks in other containers than the first', async () => {
    const dir = tempFolder()
    const inputs = ['mp4', 'mkv', 'mov'].map((extension, i) =>
      clip(ffmpeg, join(dir, `${i}.${extension}`), { start: i * 10 }),
    )
    expect((await stitched(inputs, join(dir, 'film.mp4'))).kind).toBe('remux')
  })

  it('mov with PCM, as the Helios renderer writes it: every sample is kept', async () => {
    const dir = tempFolder()
    const inputs = clips(ffmpeg, dir, 4, { extension: 'mov', rate: '30000/1001', frames: 10, audio: PCM })
    const output = join(dir, 'film.mov')
    expect((await stitched(inputs, output)).kind).toBe('copy')
    const bytes = (file) => run(ffmpeg, ['-i', file, '-map', '0:a', '-f', 's16le', '-'], { encoding: 'buffer' })
    expect(bytes(output).equals(Buffer.concat(inputs.map(bytes)))).toBe(true)
  })

  it.each([
    ['PCM in mov', 'mov', 'mp4', PCM, 'aac'],
    ['AAC in mp4', 'mp4', 'mp4', AAC, 'aac'],
    ['AAC in mp4', 'mp4', 'mov', AAC, 'aac'],
  ])('%s (%s) becomes %s: sound that has no seams', async (_, from, to, audio, codec) => {
    const dir = tempFolder()
    // Parts that are not of whole AAC frames.
    const inputs = clips(ffmpeg, dir, 4, { extension: from, frames: 7, rate: 30, audio })
    const output = join(dir, `film.${to}`)
    const plan = await stitched(inputs, output)
    expect([plan.kind, plan.streams[1].codec, plan.notes]).toEqual(['encode-audio', codec, []])
    const heard = samples(ffmpeg, output)
    const length = (28 / 30) * 48_000
    expect(Math.abs(heard.length - length)).toBeLessThanOrEqual(AAC_FRAME)
    for (const seam of [7, 14, 21].map((frame) => frame * 1600)) {
      expect(distance(heard, seam - AAC_FRAME, 2 * AAC_FRAME)).toBeLessThan(NEAR)
    }
  })

  it('Opus in webm', async (context) => {
    if (!canEncode(ffmpeg, 'libopus', 'libvpx-vp9')) context.skip('this ffmpeg has no libopus, or no libvpx-vp9')
    const dir = tempFolder()
    const inputs = clips(ffmpeg, dir, 3, { extension: 'webm', video: VP9, audio: ['-c:a', 'libopus'] })
    const plan = await stitched(inputs, join(dir, 'film.webm'))
    expect([plan.kind, plan.streams[1].codec]).toEqual(['encode-audio', 'opus'])
    const heard = samples(ffmpeg, join(dir, 'film.webm'))
    expect(Math.abs(heard.length - 3 * 48_000)).toBeLessThanOrEqual(AAC_FRAME)
  })

  it.each([
    ['longer', 1.25, 'what is longer is cut off'],
    ['shorter', 0.75, 'the rest is filled with silence'],
  ])('audio that is %s than the video', async (_, seconds, what) => {
    const dir = tempFolder()
    const inputs = clips(ffmpeg, dir, 3, { extension: 'mov', audio: PCM, seconds })
    const output = join(dir, 'film.mov')
    const plan = await stitched(inputs, output)
    expect([plan.kind, plan.streams[1].codec]).toEqual(['encode-audio', 'pcm_s16le'])
    const note = (file) => `${file}: its audio lasts ${seconds.toFixed(3)} s, its video 1.000 s: ${what}`
    expect(plan.notes).toEqual(inputs.map(note))
    const heard = samples(ffmpeg, output)
    expect(heard.length).toBe(3 * 48_000)
    const each = Math.min(seconds, 1) * 48_000
    for (const at of [0, 1, 2]) expect(distance(heard, at * 48_000, each)).toBeLessThan(0.001)
  })

  it('names with everything in them, of chunks and of the output', async () => {
    const dir = tempFolder()
    const name = `it's "ü" \\ %d #; $(x) \n -i .mov`
    const inputs = [join(dir, name), join(dir, `-${name}`)]
    for (const [i, input] of inputs.entries()) clip(ffmpeg, input, { start: i * 10, audio: AAC })
    expect((await stitched(inputs, join(tempFolder(), name))).kind).toBe('encode-audio')
  })

  it('hears how far it has come', async () => {
    const dir = tempFolder()
    const inputs = clips(ffmpeg, dir, 2)
    const heard = []
    await stitched(inputs, join(dir, 'film.mp4'), { onProgress: (progress) => heard.push(progress) })
    const ends = ['probe', 'join', 'verify'].map((phase) => heard.filter((one) => one.phase === phase).at(-1))
    expect(ends).toEqual([
      { phase: 'probe', done: 2, total: 2 },
      { phase: 'join', done: 20, total: 20 },
      { phase: 'verify', done: 1, total: 1 },
    ])
  })
})

it('2,000 chunks, with few open files', { timeout: 120_000 }, async (context) => {
  const tools = toolsets()[0]
  if (!tools) context.skip('there is no ffmpeg')
  const dir = tempFolder()
  const ffmpeg = join(dir, 'ffmpeg')
  writeFileSync(ffmpeg, `#!/bin/sh\nulimit -n 64\nexec "${tools.ffmpeg}" "$@"\n`, { mode: 0o755 })
  const parts = clips(tools.ffmpeg, dir, 4, { frames: 3, rate: 30, extension: 'mov', audio: PCM })
  const inputs = Array.from({ length: 2000 }, (_, i) => parts[i % 4])
  for (const extension of ['mov', 'mp4']) {
    const output = join(dir, `film.${extension}`)
    await new FfmpegStitcher(undefined, { ...use({ ...tools, ffmpeg }), ffprobePath: undefined }).stitch(inputs, output)
    vi.unstubAllEnvs()
    const hashes = frameHashes(tools.ffmpeg, ...parts)
    expect(frameHashes(tools.ffmpeg, output)).toEqual(
      inputs.flatMap((_, i) => hashes.slice((i % 4) * 3, (i % 4) * 3 + 3)),
    )
    const heard = samples(tools.ffmpeg, output)
    expect(Math.abs(heard.length - 2000 * 4800)).toBeLessThanOrEqual(extension === 'mov' ? 0 : AAC_FRAME)
  }
})
