// FfmpegStitcher: the command it gives to an adapter, and real videos it makes by itself.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { FfmpegStitcher, JobExecutor, LocalWorkerAdapter } from '../index.js'
import { abilities, ffmpegPath, need } from './support/abilities.mjs'
import { captureConsole, printed } from './support/console.mjs'
import { makeFolder, removeFolder, tempFolder } from './support/files.mjs'
import { adapterOf, chunk, exit, ok, spec } from './support/jobs.mjs'
import { stitcherContract } from './support/stitcher-contract.mjs'
import { rejection } from './support/wait.mjs'

class Subclass extends FfmpegStitcher {
  stitch(inputs, output) {
    return super.stitch(inputs, output)
  }
}

stitcherContract('FfmpegStitcher', (adapter) => new FfmpegStitcher(adapter))
stitcherContract('a subclass of FfmpegStitcher', (adapter) => new Subclass(adapter))
stitcherContract('a plain object', (adapter) => ({
  async stitch(inputs, output) {
    if (inputs.length === 0) throw new Error('No input files provided for stitching')
    const { exitCode, stderr } = await adapter.execute({ command: 'join', args: [...inputs, output] })
    if (exitCode !== 0) throw new Error(`FFmpeg stitching failed with exit code ${exitCode}: ${stderr}`)
  },
}))

afterEach(() => vi.unstubAllEnvs())

/** Stitches with an adapter that notes the job and the content of its list file. */
async function noted(inputs, output, answer = () => ok()) {
  const seen = {}
  const adapter = adapterOf((job) => {
    const file = job.args[job.args.indexOf('-i') + 1]
    Object.assign(seen, { job, file, list: readFileSync(file, 'utf8') })
    return answer()
  })
  const settled = await new FfmpegStitcher(adapter).stitch(inputs, output).then(
    (value) => ({ value }),
    (error) => ({ error }),
  )
  return { ...seen, ...settled, calls: adapter.calls.length }
}

describe('with an adapter of the user', () => {
  it('the command is ffmpeg with these arguments in this order, and nothing else is set', async () => {
    const { job, file, value } = await noted(['/in/1.mp4', '/in/2.mp4'], 'out/film.mp4')
    expect(value).toBeUndefined()
    expect(job.command).toBe('ffmpeg')
    const wanted = ['-f', 'concat', '-safe', '0', '-i', file, '-c', 'copy', 'out/film.mp4', '-y']
    const start = job.args.findIndex((arg, i) => arg === '-f' && job.args[i + 1] === 'concat')
    const rest = job.args.slice(start)
    let at = -1
    for (const arg of wanted) {
      at = rest.indexOf(arg, at + 1)
      expect([arg, at >= 0]).toEqual([arg, true])
    }
    expect([job.cwd, job.env, job.signal]).toEqual([undefined, undefined, undefined])
  })

  it('the list has a line per input, absolute and in order, in the temporary folder of the system', async () => {
    vi.stubEnv('TMPDIR', tempFolder())
    const { file, list } = await noted(['/in/b.mp4', 'relative/a.mp4', '/in/b.mp4'], 'film.mp4')
    expect(basename(file)).toMatch(/^concat-.*txt$/)
    expect(dirname(file)).toBe(tmpdir())
    const lines = list.split('\n').filter((line) => line && !line.startsWith('ffconcat') && !line.startsWith('#'))
    expect(lines).toEqual(['/in/b.mp4', resolve('relative/a.mp4'), '/in/b.mp4'].map((path) => `file '${path}'`))
  })

  it('the list quotes names as ffmpeg wants them', async () => {
    const { list } = await noted(["/in/it's.mp4", '/in/two words.mp4', '/in/"ü".mp4'], 'film.mp4')
    const lines = ["file '/in/it'\\''s.mp4'", "file '/in/two words.mp4'", `file '/in/"ü".mp4'`]
    expect(list.split('\n').filter((line) => line.startsWith('file '))).toEqual(lines)
  })

  it.each([
    ['success', () => ok()],
    ['failure', () => exit(1, 'bad')],
    [
      'a throw',
      () => {
        throw new Error('mine')
      },
    ],
  ])('the list is gone after %s', async (_, answer) => {
    vi.stubEnv('TMPDIR', tempFolder())
    const { file } = await noted(['/in/1.mp4'], 'film.mp4', answer)
    expect([existsSync(file), readdirSync(tmpdir())]).toEqual([false, []])
  })

  it('the signal of the stitcher ends it, once the adapter has ended', async () => {
    vi.stubEnv('TMPDIR', tempFolder())
    const abort = new AbortController()
    const adapter = adapterOf(() => {
      abort.abort()
      return exit(255, 'ended')
    })
    const stitch = () => new FfmpegStitcher(adapter, { signal: abort.signal }).stitch(['/in/1.mp4'], 'film.mp4')
    expect((await rejection(stitch)).message).toBe('FFmpeg stitching failed with exit code 255: ended')
    expect((await rejection(stitch)).message).toBe('Job was aborted')
    expect([adapter.calls.length, readdirSync(tmpdir())]).toEqual([1, []])
  })

  it('an adapter that does not end when the signal says so is left behind', async () => {
    vi.stubEnv('TMPDIR', tempFolder())
    const lines = captureConsole()
    const abort = new AbortController()
    const adapter = adapterOf(() => (abort.abort(), new Promise(() => {})))
    const error = await rejection(() =>
      new FfmpegStitcher(adapter, { signal: abort.signal }).stitch(['/in/1.mp4'], 'film.mp4'),
    )
    expect(error.message).toBe('Job aborted')
    expect(printed(lines, 'warn')).toEqual([
      'Warning: the adapter did not end the command within 5000ms of the abort; its result will be ignored.',
    ])
  })

  it('a failure has exit code and stderr', async () => {
    const { error } = await noted(['/in/1.mp4'], 'film.mp4', () => exit(187, 'moov atom\nnot found'))
    expect(error).toMatchObject({
      name: 'Error',
      message: 'FFmpeg stitching failed with exit code 187: moov atom\nnot found',
    })
  })

  it('what it throws comes back as it is', async () => {
    for (const mine of [new Error('mine'), 'text', undefined]) {
      const fail = () => {
        throw mine
      }
      const settled = await noted(['/in/1.mp4'], 'film.mp4', fail)
      expect('error' in settled).toBe(true)
      expect(settled.error).toBe(mine)
    }
  })

  it.each([
    ['a spied method', () => new LocalWorkerAdapter()],
    ['a subclass', () => new (class extends LocalWorkerAdapter {})()],
  ])('of ours with %s, the files may live elsewhere, too', async (_, make) => {
    const adapter = make()
    const spy = vi.spyOn(adapter, 'execute').mockResolvedValue(ok())
    await new FfmpegStitcher(adapter).stitch(['/not/here.mp4'], '/not/there.mp4')
    expect(spy.mock.calls[0][0]).toMatchObject({ command: 'ffmpeg' })
    expect(spy.mock.contexts).toEqual([adapter])
  })
})

describe('wrong types reject with a TypeError that names the field:', () => {
  it.each([
    ['inputs', undefined, 'out.mp4'],
    ['inputs', 'in.mp4', 'out.mp4'],
    ['inputs', [5], 'out.mp4'],
    ['output', ['in.mp4'], undefined],
    ['output', ['in.mp4'], 5],
  ])('%s in %j, %j', async (field, inputs, output) => {
    const adapter = adapterOf()
    const error = await rejection(() => new FfmpegStitcher(adapter).stitch(inputs, output))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(new RegExp(field, 'i'))
    expect(adapter.calls).toEqual([])
  })
})

describe('with ffmpeg', () => {
  const names = [
    'a.mp4',
    "it's.mp4",
    'say "hi".mp4',
    'two words.mp4',
    'new\nline.mp4',
    'ünï-日本-😀.mp4',
    'back\\slash.mp4',
  ]
  const odd = ["'quoted'.mp4", ' lead and trail .mp4', '#hash;semi$dollar.mp4', '%d.mp4', '-dash.mp4', "''.mp4"]
  let dir

  const ffmpeg = (...args) => {
    const run = spawnSync(ffmpegPath(), ['-v', 'error', ...args], { encoding: 'utf8', maxBuffer: 1e8, cwd: dir })
    if (run.status !== 0) throw new Error(`ffmpeg ${args.join(' ')}: ${run.stderr}`)
    return run.stdout
  }
  /** The hashes of a video's frames, in order. */
  const frames = (file) =>
    ffmpeg('-i', `file:${file}`, '-map', '0:v', '-f', 'framemd5', '-')
      .split('\n')
      .filter((line) => line && !line.startsWith('#'))
      .map((line) => line.split(',').at(-1).trim())
  const at = (name) => join(dir, name)
  const stitcher = () => new FfmpegStitcher(undefined, { ffmpegPath: ffmpegPath() })

  beforeAll(() => {
    dir = makeFolder()
    if (abilities.ffmpeg()) return
    const video = (name, i) => {
      const filter = ['-vf', `hue=h=${i * 25}`, '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p']
      ffmpeg(
        '-f',
        'lavfi',
        '-i',
        `testsrc=size=64x64:rate=10:duration=0.${(i % 3) + 3}`,
        ...filter,
        '-y',
        `file:${at(name)}`,
      )
    }
    for (const [i, name] of [...names, ...odd].entries()) video(name, i)
  }, 60_000)
  afterAll(() => removeFolder(dir))

  const stitched = async (inputs, output) => {
    const before = readdirSync(dirname(output))
    const files = inputs.map(at)
    await stitcher().stitch(files, output)
    expect(frames(output)).toEqual(files.flatMap(frames))
    const made = readdirSync(dirname(output)).filter((name) => !before.includes(name))
    expect(made).toEqual([basename(output)])
  }

  it('joins all frames in order, and leaves no other file', { timeout: 60_000 }, async (context) => {
    need(context, 'ffmpeg')
    const folders = [tempFolder(), tempFolder(), tempFolder()]
    vi.stubEnv('TMPDIR', tempFolder())
    await stitched(names, join(folders[0], 'film.mp4'))
    await stitched(['a.mp4'], join(folders[1], 'one.mp4'))
    await stitched(['a.mp4', 'two words.mp4', 'a.mp4'], join(folders[2], 'twice.mp4'))
    expect(readdirSync(tmpdir())).toEqual([])
  })

  it.for([...names, ...odd])('takes an input and makes an output called %j', async (name, context) => {
    need(context, 'ffmpeg')
    await stitched([name, 'a.mp4'], join(tempFolder(), name))
  })

  it('replaces an output that is there', async (context) => {
    need(context, 'ffmpeg')
    const output = join(tempFolder(), 'film.mp4')
    writeFileSync(output, 'old')
    await stitcher().stitch([at('a.mp4'), at('two words.mp4')], output)
    expect(frames(output)).toEqual([at('a.mp4'), at('two words.mp4')].flatMap(frames))
  })

  it.for([
    ['missing', 'not-there.mp4', undefined],
    ['empty', 'nothing-in.mp4', ''],
    ['no video', 'no-video.mp4', 'hello, this is text'],
    ['a folder', '.', undefined],
  ])('an input that is %s is named by the error, and there is no output', async ([, name, content], context) => {
    need(context, 'ffmpeg')
    if (content !== undefined) writeFileSync(at(name), content)
    const out = tempFolder()
    const inputs = [at('a.mp4'), name === '.' ? dir : at(name), at("it's.mp4")]
    const error = await rejection(() => stitcher().stitch(inputs, join(out, 'film.mp4')))
    expect(error).toBeInstanceOf(Error)
    expect(error.message).toContain(inputs[1])
    expect(readdirSync(out)).toEqual([])
  })

  it('is found by FFMPEG_PATH', async (context) => {
    need(context, 'ffmpeg')
    const output = join(tempFolder(), 'film.mp4')
    const which =
      ffmpegPath() === 'ffmpeg' ? spawnSync('which', ['ffmpeg'], { encoding: 'utf8' }).stdout.trim() : ffmpegPath()
    vi.stubEnv('FFMPEG_PATH', which)
    await new FfmpegStitcher().stitch([at('a.mp4')], output)
    expect(frames(output)).toEqual(frames(at('a.mp4')))
  })

  it('that is not there is an error that names it', async (context) => {
    need(context, 'ffmpeg')
    const out = tempFolder()
    const none = new FfmpegStitcher(undefined, { ffmpegPath: '/not/here/ffmpeg' })
    const error = await rejection(() => none.stitch([at('a.mp4')], join(out, 'film.mp4')))
    expect(error.message).toContain('/not/here/ffmpeg')
    expect(readdirSync(out)).toEqual([])
  })

  it('merges a job that was rendered in chunks', { timeout: 60_000 }, async (context) => {
    need(context, 'ffmpeg')
    captureConsole()
    const jobDir = tempFolder()
    const render = (id) => {
      const source = `-f lavfi -i testsrc=size=64x64:rate=10:duration=0.5 -vf hue=h=${id * 30}`
      const command = `"${ffmpegPath()}" -v error ${source} -c:v libx264 -preset ultrafast -pix_fmt yuv420p "chunk ${id}.mp4"`
      return chunk(id, { command, outputFile: `chunk ${id}.mp4`, frameCount: 5 })
    }
    const options = { jobDir, concurrency: 2, stitcher: stitcher(), outputFile: "the film's end.mp4" }
    await new JobExecutor(new LocalWorkerAdapter()).execute(spec([3, 1, 2].map(render)), options)
    const parts = [1, 2, 3].flatMap((id) => frames(join(jobDir, `chunk ${id}.mp4`)))
    expect(frames(join(jobDir, options.outputFile))).toEqual(parts)
    expect(parts).toHaveLength(15)
  })
})
