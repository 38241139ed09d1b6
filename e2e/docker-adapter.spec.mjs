// DockerAdapter with a real daemon: what comes of commands, that nothing is left, and a video rendered in containers.
import { randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { DockerAdapter, FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole, printed } from '../__test__/support/console.mjs'
import { tempFolder } from '../__test__/support/files.mjs'
import { spec } from '../__test__/support/jobs.mjs'
import { startScript } from '../__test__/support/scripts.mjs'
import { gate, rejection, until, within } from '../__test__/support/wait.mjs'
import { workerAdapterContract } from '../__test__/support/worker-adapter-contract.mjs'
import { CHUNKS, FRAMES, film, frameHashes, prepare, submission, tools } from './scene.mjs'
import { makeImage, startDocker } from './services/docker.mjs'

const IMAGE = 'helios-e2e'
const PROGRAMS = ['sh', 'cat', 'env', 'mkdir', 'printf', 'pwd', 'sleep', 'true', 'yes', 'head', 'id']
let daemon

beforeAll(async () => {
  daemon = await startDocker()
  if (daemon.reason) process.stderr.write(`skipped: DockerAdapter with a real daemon: ${daemon.reason}\n`)
  else makeImage(daemon, IMAGE, PROGRAMS)
}, 120_000)
afterAll(() => daemon?.stop?.(), 60_000)
beforeEach((context) => {
  if (daemon.reason) context.skip(daemon.reason)
  vi.stubEnv('DOCKER_HOST', daemon.host)
})
afterEach(() => void vi.unstubAllEnvs())

const adapter = (options) => new DockerAdapter({ image: IMAGE, ...options })
const run = (job, options) => adapter(options).execute({ command: 'true', ...job })
const shell = (script, job, options) => run({ command: 'sh', args: ['-c', script], ...job }, options)
const lines = (text) => text.split('\n').filter(Boolean)
/** The names of the containers that are there, in whatever state. */
const containers = (...filters) =>
  lines(daemon.docker('ps', '-a', '--format', '{{.Names}}', ...filters.flatMap((filter) => ['--filter', filter])))
const running = (count) => until(() => containers('status=running').length === count, `${count} containers`, 20_000)

describe('DockerAdapter with a real daemon', { timeout: 60_000 }, () => {
  afterEach(() => daemon.reason ?? expect(containers()).toEqual([]))

  workerAdapterContract('DockerAdapter', () => adapter(), {
    // The first process of a container cannot kill itself.
    killed: undefined,
    missing: expect.stringContaining('exit code 127: [FATAL tini ('),
    inherits: false,
  })

  it.each([0, 1, 3, 125, 255])('gives exit code %i of a command', async (code) => {
    const result = await shell(`echo out; echo err >&2; exit ${code}`)
    expect(result).toEqual({ exitCode: code, stdout: 'out\n', stderr: 'err\n', durationMs: expect.any(Number) })
  })

  it('lets output be heard while the command runs', async () => {
    const heard = gate()
    const folder = tempFolder()
    const script = 'echo one; while [ ! -e go ]; do sleep 0.05; done; echo two'
    const pieces = []
    const job = shell(script, { cwd: folder, onStdout: (text) => (pieces.push(text), heard.open()) })
    await within(20_000, heard.promise, 'the output')
    expect(pieces).toEqual(['one\n'])
    writeFileSync(join(folder, 'go'), '')
    expect(await job).toMatchObject({ exitCode: 0, stdout: 'one\ntwo\n' })
  })

  it('keeps much output of both streams', async () => {
    const { stdout, stderr } = await shell('yes out | head -c 2000000; yes err | head -c 2000000 >&2')
    expect([stdout.length, stderr.length]).toEqual([2_000_000, 2_000_000])
  })

  it.each(['plain', 'with blanks', 'a:b', 'a,b "c"'])('has the folder of the job: %s', async (name) => {
    const folder = join(tempFolder(), name)
    mkdirSync(folder)
    writeFileSync(join(folder, 'in'), 'from here')
    const result = await shell('pwd; cat in > out', { cwd: folder })
    expect(result).toMatchObject({ exitCode: 0, stdout: `${folder}\n` })
    expect(readFileSync(join(folder, 'out'), 'utf8')).toBe('from here')
  })

  it('lets arguments of the user win', async () => {
    const [folder, other] = [tempFolder(), tempFolder()]
    const dockerArgs = ['-v', `${other}:${folder}:ro`, '-w', '/', '--user', '65534']
    const result = await shell(`pwd; id -u; echo x > ${folder}/out`, { cwd: folder }, { dockerArgs })
    expect(result).toMatchObject({ exitCode: 2, stdout: '/\n65534\n' })
  })

  it('gives variables by name', async () => {
    const secret = randomUUID()
    vi.stubEnv('HELIOS_TOKEN', secret)
    const env = { ...process.env, HELIOS_A: 'x=y "ü"\n😀', PATH: '/bin:/usr/bin' }
    const script = 'printf "%s|" "$HELIOS_A" "${HELIOS_TOKEN-unset}" "$PATH"; cat go'
    const folder = tempFolder()
    const told = shell(
      `while [ ! -e go ]; do sleep 0.05; done; ${script}`,
      { env, cwd: folder },
      { forwardEnv: ['HELIOS_TOKEN'] },
    )
    await running(1)
    const seen = readdirSync('/proc').filter((name) => {
      try {
        return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(secret)
      } catch {
        return false
      }
    })
    writeFileSync(join(folder, 'go'), '')
    expect((await told).stdout).toBe(`x=y "ü"\n😀|${secret}|/bin:/usr/bin|`)
    expect(seen).toEqual([])
    expect((await shell('printf "${HELIOS_TOKEN-unset}"')).stdout).toBe('unset')
  })

  it.each(['sleep 60', "trap '' TERM INT; while :; do sleep 1; done"])('ends with an abort: %s', async (script) => {
    const control = new AbortController()
    const job = shell(`echo ready; ${script}`, { signal: control.signal, onStdout: () => control.abort() })
    const result = await job
    expect(result).toMatchObject({ exitCode: 137, stdout: 'ready\n' })
    expect(containers()).toEqual([])
  })

  it('ends with an abort at any moment', { timeout: 120_000 }, async () => {
    const moments = Array.from({ length: 16 }, (_, i) => i * 40)
    const results = await Promise.all(
      moments.map((after) => run({ command: 'sleep', args: ['60'], signal: AbortSignal.timeout(after) })),
    )
    for (const { exitCode } of results) expect(exitCode).not.toBe(0)
    expect(containers()).toEqual([])
  })

  it('ends after its time', async () => {
    const error = await rejection(() => shell('echo out; sleep 60', { timeout: 2000 }))
    expect(error).toMatchObject({ message: 'Worker job timed out after 2000ms', exitCode: 137, stdout: 'out\n' })
    expect(containers()).toEqual([])
  })

  it('ends when it stalls, not while it computes', async () => {
    captureConsole()
    const executor = new JobExecutor(adapter())
    const computes = 'sh -c "i=0; while [ $i -lt 3000000 ]; do i=$((i+1)); done"'
    await executor.execute(spec([computes]), { stallTimeout: 2500 })
    const error = await rejection(() => executor.execute(spec(['sleep 60']), { stallTimeout: 2500 }))
    expect(error.message).toContain('Worker job stalled')
  })

  it('ends with a client that is killed', async () => {
    const job = shell('sleep 60')
    await running(1)
    const [name] = containers()
    const client = readdirSync('/proc').find((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
        return words[1] === 'run' && words.includes(name)
      } catch {
        return false
      }
    })
    process.kill(Number(client), 'SIGKILL')
    expect(await job).toMatchObject({ exitCode: -1, signal: 'SIGKILL' })
    expect(containers()).toEqual([])
  })

  it('tells what is wrong with an image', async () => {
    const never = await run({}, { image: 'helios-no-such-image', dockerArgs: ['--pull', 'never'] })
    expect(never).toMatchObject({ exitCode: 125, retry: { kind: 'fatal' } })
    const pulled = await run({}, { image: '127.0.0.1:1/helios-no-such-image' })
    expect(pulled).toMatchObject({ exitCode: 125, retry: { kind: 'transient' } })
  })

  it.each([
    ['arguments', {}, { dockerArgs: ['--no-such-flag'] }, 125],
    ['a name of an image', {}, { image: 'UPPER CASE' }, 125],
    ['a mount', {}, { dockerArgs: ['-v', 'a:b:c:d'] }, 125],
    ['a command that is not there', { command: 'no-such-command' }, {}, 127],
    ['a command that cannot be run', { command: '/etc' }, {}, 126],
  ])('tells that it is no use to repeat %s', async (_, job, options, exitCode) => {
    const result = await run(job, options)
    expect([result.exitCode, result.retry, result.stderr]).toEqual([exitCode, { kind: 'fatal' }, expect.any(String)])
  })

  it('tells that there is no daemon, and no docker', async () => {
    vi.stubEnv('DOCKER_HOST', 'unix:///nowhere/docker.sock')
    expect(await run()).toMatchObject({ exitCode: 125, retry: { kind: 'transient' } })
    vi.stubEnv('PATH', '/nowhere')
    expect(await rejection(() => run())).toMatchObject({ message: 'spawn docker ENOENT', code: 'ENOENT' })
  })

  it('runs 16 at once', { timeout: 120_000 }, async () => {
    captureConsole()
    const folder = tempFolder()
    const chunks = Array.from({ length: 32 }, (_, id) => `sh -c "echo ${id} > ${id}.txt"`)
    await new JobExecutor(adapter()).execute(spec(chunks), { jobDir: folder, concurrency: 16 })
    const written = chunks.map((_, id) => readFileSync(join(folder, `${id}.txt`), 'utf8'))
    expect(written).toEqual(chunks.map((_, id) => `${id}\n`))
  })

  it('leaves nothing that recover() does not remove when its process is killed', { timeout: 120_000 }, async () => {
    const said = captureConsole()
    const [records, jobDir] = [tempFolder(), tempFolder()]
    const body = `
      console.log = () => {}
      const executor = new lib.JobExecutor(new lib.DockerAdapter({ image: ${JSON.stringify(IMAGE)} }))
      const manager = new lib.JobManager(new lib.FileJobRepository(process.argv.at(-2)), executor)
      const command = 'sh -c "[ -e go ] && exit; while :; do sleep 0.1; done"'
      const chunks = [1, 2, 3].map((id) => ({ id, command }))
      await manager.submitJob({ id: 'film', chunks, mergeCommand: '' }, { jobDir: process.argv.at(-1), concurrency: 3 })
    `
    const { child } = startScript(body, { args: [records, jobDir] })
    await running(3)
    const control = new AbortController()
    const living = shell('sleep 60', { signal: control.signal })
    await running(4)
    child.kill('SIGKILL')
    await until(() => child.signalCode, 'the end of the owner')
    writeFileSync(join(jobDir, 'go'), '')
    const manager = new JobManager(new FileJobRepository(records), new JobExecutor(adapter()))
    const [id] = await manager.recover()
    expect(await manager.waitForJob(id)).toMatchObject({ state: 'completed', completedChunks: 3 })
    // Another's, which lives.
    expect(containers().length).toBe(1)
    expect(printed(said, 'warn')).toEqual([])
    control.abort()
    await living
  })
})

describe('a render in containers', { timeout: 300_000 }, () => {
  const VIDEO = 'helios-e2e-video'
  beforeAll(() => {
    if (daemon.reason) return
    if (!tools) throw new Error('There is no ffmpeg to render with.')
    makeImage(daemon, VIDEO, ['sh', 'mkdir', tools.ffmpeg])
  }, 120_000)

  it('ends in a video that is proven, frame for frame that of a local render', async () => {
    captureConsole()
    const local = prepare(tempFolder())
    await new JobExecutor(new LocalWorkerAdapter()).execute(film(), { ...submission(local), concurrency: 2 })
    const jobDir = prepare(tempFolder())
    const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor(adapter({ image: VIDEO })))
    const id = await manager.submitJob(film(), { ...submission(jobDir), concurrency: 4 })
    const record = await manager.waitForJob(id)
    expect(record.error).toBeUndefined()
    expect(record).toMatchObject({ state: 'completed', completedChunks: CHUNKS, result: { frames: FRAMES } })
    expect(Object.keys(record.outputs).length).toBe(CHUNKS)
    const expected = frameHashes(local)
    expect(new Set(expected).size).toBe(FRAMES)
    expect(frameHashes(jobDir)).toEqual(expected)
    expect(containers()).toEqual([])
  })
})
