// FfmpegStitcher on this machine: what goes wrong while it works leaves the output as it was, and nothing else.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { FfmpegStitcher } from '../index.js'
import { need } from './support/abilities.mjs'
import { makeFolder, removeFolder, tempFolder } from './support/files.mjs'
import { processMark } from './support/processes.mjs'
import { scriptResult, startScript } from './support/scripts.mjs'
import { clip, frameHashes, toolsets, use } from './support/video.mjs'
import { rejection, until } from './support/wait.mjs'

afterEach(() => vi.unstubAllEnvs())

// What stands in for ffmpeg is a script, which needs a PATH to find its programs in.
describe.each(toolsets().filter(({ alone }) => !alone))('$name', (tools) => {
  const { ffmpeg } = tools
  let dir
  let inputs

  beforeAll(() => {
    dir = makeFolder()
    inputs = [0, 1].map((i) => clip(ffmpeg, join(dir, `${i}.mp4`), { start: i * 10 }))
  })
  afterAll(() => removeFolder(dir))

  /** An ffmpeg that does `instead` (a shell script with the output as $out) where it would join. */
  function disturbed(instead) {
    const file = join(tempFolder(), 'ffmpeg')
    const script = `case "$*" in *concat*) ;; *) exec "${ffmpeg}" "$@" ;; esac
for out; do case $out in file:*) target=\${out#file:} ;; esac; done; out=$target
${instead}`
    writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    return file
  }

  /** Stitches with a disturbed ffmpeg; gives the error. The older output must stay, and nothing be left. */
  async function failed(instead, options) {
    const out = join(tempFolder(), 'film.mp4')
    writeFileSync(out, 'old')
    const settings = { ...use(tools), ffmpegPath: disturbed(instead.replaceAll('FFMPEG', `"${ffmpeg}"`)), ...options }
    vi.stubEnv('TMPDIR', tempFolder())
    const error = await rejection(() => new FfmpegStitcher(undefined, settings).stitch(inputs, out))
    expect([readFileSync(out, 'utf8'), readdirSync(dirname(out)), readdirSync(process.env.TMPDIR)]).toEqual([
      'old',
      [basename(out)],
      [],
    ])
    return { error, out }
  }

  it('a join that loses a frame and says it went well', async () => {
    const { error, out } = await failed(
      'FFMPEG -v error "$@" -y && mv "$out" "$out.mp4" && FFMPEG -v error -i "$out.mp4" -c copy -frames:v 19 "$out" && rm "$out.mp4"',
    )
    expect(error.message).toBe(`the stitched '${out}' is not whole: it has 19 frames, not 20`)
  })

  it('a join that writes nothing and says it went well', async () => {
    const { error, out } = await failed('exit 0')
    expect(error.message).toContain(`the stitched '${out}' is not whole: ENOENT`)
  })

  it('a join that fails in the middle', async () => {
    const { error } = await failed('echo half > "$out"; echo "disk on fire" >&2; exit 7')
    expect(error.message).toBe('FFmpeg stitching failed with exit code 7: disk on fire\n')
  })

  it('a join that is killed in the middle', async () => {
    const { error } = await failed('echo half > "$out"; kill -9 $$')
    expect(error.message).toBe('FFmpeg stitching failed with exit code -1: ')
  })

  it('a signal that aborts in the middle, and before', async (context) => {
    const controller = new AbortController()
    const { env, living } = processMark(context)
    vi.stubEnv('HELIOS_TEST_MARK', env.HELIOS_TEST_MARK)
    const started = join(tempFolder(), 'started')
    const aborting = until(() => existsSync(started)).then(() => controller.abort())
    const { error } = await failed(`echo half > "$out"; touch '${started}'; sleep 60`, { signal: controller.signal })
    await aborting
    expect(error.message).toBe('Job was aborted')
    expect(living()).toEqual([])
    expect((await failed('exit 0', { signal: AbortSignal.abort() })).error.message).toBe('Job was aborted')
  })

  it('others that make the same file at once: one after the other, each of them whole', async () => {
    const [out, log] = [join(tempFolder(), 'film.mp4'), join(tempFolder(), 'log')]
    writeFileSync(log, '')
    const slow = disturbed(
      `echo begin >> '${log}'; sleep 0.3; "${ffmpeg}" "$@"; code=$?; echo end >> '${log}'; exit $code`,
    )
    const stitcher = () => new FfmpegStitcher(undefined, { ...use(tools), ffmpegPath: slow })
    const body = `await new lib.FfmpegStitcher(undefined, ${JSON.stringify({ ...use(tools), ffmpegPath: slow })}).stitch(${JSON.stringify(inputs)}, ${JSON.stringify(out)})`
    const elsewhere = scriptResult(`${body}\nconsole.log(true)`)
    await Promise.all([stitcher().stitch(inputs, out), stitcher().stitch(inputs, out), elsewhere])
    expect(readFileSync(log, 'utf8')).toBe('begin\nend\n'.repeat(3))
    expect(readdirSync(dirname(out))).toEqual([basename(out)])
    expect(frameHashes(ffmpeg, out)).toEqual(frameHashes(ffmpeg, ...inputs))
  })

  it('an abort of one that waits for another', async () => {
    const [out, go, abort] = [join(tempFolder(), 'film.mp4'), join(tempFolder(), 'go'), new AbortController()]
    const waiting = disturbed(`until [ -e '${go}' ]; do sleep 0.05; done; exec "${ffmpeg}" "$@"`)
    const first = new FfmpegStitcher(undefined, { ...use(tools), ffmpegPath: waiting }).stitch(inputs, out)
    await until(() => readdirSync(dirname(out)).includes('.film.partial.lock'), 'the first')
    // The second has seen its inputs, and finds that somebody works there.
    const onProgress = ({ phase, done, total }) => {
      if (phase === 'probe' && done === total) setTimeout(() => abort.abort(), 200)
    }
    const second = new FfmpegStitcher(undefined, { ...use(tools), onProgress, signal: abort.signal })
    expect((await rejection(() => second.stitch(inputs, out))).message).toBe('Job was aborted')
    writeFileSync(go, '')
    await first
    expect(readdirSync(dirname(out))).toEqual([basename(out)])
    expect(frameHashes(ffmpeg, out)).toEqual(frameHashes(ffmpeg, ...inputs))
  })

  it('a listener that throws', async () => {
    for (const phase of ['probe', 'join', 'verify']) {
      const mine = new Error('mine')
      const onProgress = (progress) => {
        if (progress.phase === phase) throw mine
      }
      expect((await failed('exec FFMPEG "$@"', { onProgress })).error).toBe(mine)
    }
  })

  it('a Node that is killed in the middle: the next stitch makes the video', async (context) => {
    const out = join(tempFolder(), 'film.mp4')
    const { env, living } = processMark(context)
    const options = { ffmpegPath: disturbed('echo half > "$out"; sleep 60'), ffprobePath: tools.ffprobe }
    const body = `await new lib.FfmpegStitcher(undefined, ${JSON.stringify(options)}).stitch(${JSON.stringify(inputs)}, ${JSON.stringify(out)})`
    const { child, ended } = startScript(body, { env: { ...process.env, ...env } })
    await until(() => readdirSync(dirname(out)).includes('.film.partial.mp4'), 'the partial output')
    child.kill('SIGKILL')
    await ended
    await until(() => living().length === 0, 'the end of what it had started', 20_000)
    expect(existsSync(out)).toBe(false)
    await new FfmpegStitcher(undefined, use(tools)).stitch(inputs, out)
    expect(readdirSync(dirname(out))).toEqual([basename(out)])
    expect(frameHashes(ffmpeg, out)).toEqual(frameHashes(ffmpeg, ...inputs))
  })
})

describe.each(toolsets())('$name, on a disk that', (tools) => {
  const { ffmpeg } = tools

  it('is full', async (context) => {
    need(context, 'mount')
    const [dir, out] = [tempFolder(), tempFolder()]
    const big = [0, 1].map((i) =>
      clip(ffmpeg, join(dir, `big-${i}.mp4`), { size: '640x360', frames: 20, start: i * 20 }),
    )
    const body = `
      import { readdirSync } from 'node:fs'
      import { execFileSync } from 'node:child_process'
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', ${JSON.stringify(out)}])
      ${tools.alone ? `process.env.PATH = '/nowhere'` : ''}
      const options = ${JSON.stringify({ ffmpegPath: ffmpeg, ffprobePath: tools.ffprobe })}
      const message = await new lib.FfmpegStitcher(undefined, options)
        .stitch(${JSON.stringify(big)}, ${JSON.stringify(join(out, 'film.mp4'))})
        .then(() => 'no error', (error) => error.message)
      console.log(JSON.stringify({ message, left: readdirSync(${JSON.stringify(out)}) }))`
    const { message, left } = await scriptResult(body, { wrap: ['unshare', '-rm'] })
    expect(message).toMatch(/No space left on device|is not whole: /)
    expect(left).toEqual([])
  })
})
