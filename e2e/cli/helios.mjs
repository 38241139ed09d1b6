// The published command-line program of Helios on this package, a composition for it, and what must be in its video.
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { processMark } from '../../__test__/support/processes.mjs'
import { run } from '../../__test__/support/video.mjs'
import { tools } from '../scene.mjs'

export const home = fileURLToPath(new URL('.', import.meta.url))
const packages = join(home, 'node_modules')
const program = join(packages, '@helios-project/cli/bin/helios.js')
export const CHUNKS = 4
export const FRAMES = 50
const [FPS, WIDTH, HEIGHT, RATE] = [25, 256, 144, 48_000]
const tone = (sample) => 0.4 * Math.sin((2 * Math.PI * 440 * sample) / RATE)

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome']
const find = (name) => spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).stdout?.trim()
const browser = process.env.PUPPETEER_EXECUTABLE_PATH || BROWSERS.map(find).find(Boolean)

export const isInstalled = () => existsSync(program)

/** What is missing for tests that render; nothing, if they can run. */
export function missing() {
  if (process.platform !== 'linux') return 'what is left running is looked for in /proc, on Linux'
  if (!browser) return 'there is no chromium (Debian: chromium)'
  if (!isInstalled()) return 'the program is not installed (npm run test:cli)'
  return tools?.ffprobe ? '' : 'there is no ffmpeg with an ffprobe'
}

/** What the program needs of the environment: to be found by the commands of a job, and a browser that starts as root. */
export const environment = {
  PATH: [join(packages, '.bin'), process.env.PATH].join(delimiter),
  PUPPETEER_EXECUTABLE_PATH: browser,
  HELIOS_BROWSER_ARGS: '--no-sandbox --disable-dev-shm-usage',
  FORCE_COLOR: '0',
}

/** Puts the composition into a folder: with its sound, and the library that it is written with. */
export function prepare(folder) {
  cpSync(join(home, 'composition.html'), join(folder, 'composition.html'))
  cpSync(join(packages, '@helios-project/core/dist'), join(folder, 'core'), { recursive: true })
  const sound = `aevalsrc=exprs=${Array(2).fill('0.4*sin(2*PI*440*t)').join('|')}:s=${RATE}:d=${FRAMES / FPS}`
  run(tools.ffmpeg, ['-f', 'lavfi', '-i', sound, join(folder, 'tone.wav')])
  return folder
}

/** Starts the program. Whatever of it is left when the test ends is killed. */
export function start(context, cwd, args, more) {
  const { env, living } = processMark(context)
  const options = { cwd, env: { ...process.env, ...environment, ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] }
  const child = spawn(process.execPath, [program, ...args], options)
  onTestFinished(() => void (child.exitCode ?? child.signalCode ?? child.kill('SIGKILL')))
  const out = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'])
    child[stream].setEncoding('utf8').on('data', (text) => (out[stream] += text))
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => resolve({ code, signal, ...out }))
  })
  return { child, out, ended, living }
}

/** Runs the program, which must end well. */
export async function succeed(...call) {
  const result = await start(...call).ended
  expect(result.code, result.stdout + result.stderr).toBe(0)
  return result
}

/** Lets the program write the definition of a job, `job.json`, for the composition in a folder. */
export function emit(folder) {
  const size = ['--width', WIDTH, '--height', HEIGHT, '--fps', FPS, '--duration', FRAMES / FPS]
  const into = ['-o', 'film.mov', '--concurrency', CHUNKS, '--emit-job', 'job.json']
  const args = [program, 'render', 'composition.html', ...size, ...into].map(String)
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, ...environment },
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`no job was written: ${stderr}`)
}

/** The numbers that the frames of a video show. */
function numbers(file) {
  const raw = ['-vsync', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-']
  const pixels = run(tools.ffmpeg, ['-i', file, ...raw], { encoding: 'buffer' })
  const size = WIDTH * HEIGHT * 3
  return Array.from({ length: pixels.length / size }, (_, index) => {
    const at = (x, y) => pixels.subarray(index * size + (y * WIDTH + x) * 3)
    const bits = range(0, 8).map((bit) => (at(bit * 32 + 16, 16)[1] > 127 ? 1 << bit : 0))
    const number = bits.reduce((sum, bit) => sum + bit)
    const [red, , blue] = at(number * 4 + 8, 96)
    const [, , beside] = at((number * 4 + 40) % WIDTH, 96)
    return red > 200 && blue < 60 && beside > 60 ? number : `${number} without its bar`
  })
}

/** The samples of a video's left channel, where its timestamps have them. */
function samples(file) {
  const filter = 'aresample=async=1:first_pts=0,pan=mono|c0=c0'
  const bytes = run(tools.ffmpeg, ['-i', file, '-map', '0:a', '-af', filter, '-f', 'f32le', '-'], {
    encoding: 'buffer',
  })
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
}

/** `count` numbers from `first` on. */
const range = (first, count) => Array.from({ length: count }, (_, index) => first + index)

/** Proves that a file is the video of `count` frames of the composition from `first` on, with their sound. */
export function prove(file, first = 0, count = FRAMES) {
  const questions = ['-v', 'error', '-count_frames', '-show_streams', '-show_format', '-of', 'json', file]
  const { status, stdout, stderr } = spawnSync(tools.ffprobe, questions, { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  const { streams, format } = JSON.parse(stdout)
  const picture = {
    codec_name: 'h264',
    width: WIDTH,
    height: HEIGHT,
    nb_read_frames: String(count),
    r_frame_rate: '25/1',
  }
  expect(streams).toMatchObject([picture, { codec_name: 'pcm_s16le', sample_rate: '48000', channels: 2 }])
  for (const { duration } of [...streams, format]) expect(Number(duration)).toBeCloseTo(count / FPS, 5)
  expect(numbers(file)).toEqual(range(first, count))
  const [heard, from] = [samples(file), (first / FPS) * RATE]
  expect(heard.length).toBe((count / FPS) * RATE)
  const wrong = heard.findIndex((sample, index) => Math.abs(sample - tone(from + index)) > 0.001)
  expect(wrong, 'the first sample that is not that of the tone').toBe(-1)
}
