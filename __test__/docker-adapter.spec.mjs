// DockerAdapter, with a Docker of the tests' own: what it is called with, what comes of it, and that nothing is left.
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { DockerAdapter, FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { fakeDocker } from './support/fake-docker.mjs'
import { tempFolder } from './support/files.mjs'
import { spec } from './support/jobs.mjs'
import { moduleOf, startScript } from './support/scripts.mjs'
import { gate, rejection, until, within } from './support/wait.mjs'
import { workerAdapterContract } from './support/worker-adapter-contract.mjs'

let docker
beforeEach(async () => void (docker = await fakeDocker()))

const adapter = (options) => new DockerAdapter({ image: 'film', ...options })
const run = (job, options) => adapter(options).execute({ command: 'true', ...job })
const shell = (script, job, options) => run({ command: 'sh', args: ['-c', script], ...job }, options)
const running = (count = 1) =>
  until(
    () =>
      [...docker.containers.values()].filter(({ child }) => child).length === count && [...docker.containers.values()],
    'the container',
  )

class Subclass extends DockerAdapter {
  execute(job) {
    return super.execute(job)
  }
}

const differs = {
  killed: 'Chunk 1 failed with exit code 137: ',
  missing: expect.stringContaining('exit code 127: docker: Error response from daemon: exec: "no-such-command-here": '),
  inherits: false,
}
workerAdapterContract('DockerAdapter', () => adapter(), differs)
workerAdapterContract('a subclass of DockerAdapter', () => new Subclass({ image: 'film' }), differs)

describe('the constructor', () => {
  it.each([
    ['no options', undefined, 'options must be an object'],
    ['no image', {}, 'DockerAdapter requires an image option'],
    [
      'a flag in the place of the image',
      { image: '--privileged' },
      "image must be the name of an image, not '--privileged'",
    ],
    ['arguments that are no array', { image: 'film', dockerArgs: '--rm' }, 'dockerArgs must be an array of strings'],
    [
      'a name that all containers would have',
      { image: 'film', dockerArgs: ['--name', 'a'] },
      "dockerArgs must not have '--name'",
    ],
    ['containers that nobody hears', { image: 'film', dockerArgs: ['-d'] }, "dockerArgs must not have '-d'"],
    ['an argument that is no string', { image: 'film', dockerArgs: [5] }, 'dockerArgs must be an array of strings'],
    [
      'names that are no array',
      { image: 'film', forwardEnv: 'HOME' },
      'forwardEnv must be an array of strings, or true',
    ],
  ])('refuses %s', (_, options, message) => {
    expect(() => new DockerAdapter(options)).toThrow(new TypeError(message))
  })

  it('asks nothing of docker', () => {
    adapter()
    expect(docker.calls).toEqual([])
  })
})

describe('the command line', () => {
  it('is that of docker run, with what the user adds behind what we say', async () => {
    await run({ command: 'echo', args: ['a b', '', '$HOME'], cwd: '/tmp' }, { dockerArgs: ['--cpus', '2'] })
    const name = expect.stringMatching(/^helios-worker-\w+$/)
    const labels = [
      ['--label', expect.stringMatching(/^helios\.owner=[0-9a-f]{16}$/)],
      ['--label', expect.stringMatching(/^helios\.job=helios-worker-\w+$/)],
      ['--label', 'helios.chunk='],
    ]
    const [{ args }] = docker.calls
    const own = ['run', '--name', name, '--rm', '--init', ...labels.flat(), '-v', '/tmp:/tmp', '-w', '/tmp']
    expect(args).toEqual([...own, '--cpus', '2', 'film', 'echo', 'a b', '', '$HOME'])
    expect(docker.calls.length).toBe(1)
  })

  it('has no folder where the job has none', async () => {
    await run()
    expect(docker.runs()[0]).toMatchObject({ mounts: [] })
    expect(docker.runs()[0]).not.toHaveProperty('cwd')
  })

  it('has an absolute folder', async () => {
    await run({ cwd: 'docs' })
    const folder = join(process.cwd(), 'docs')
    expect(docker.runs()[0]).toMatchObject({ mounts: [`${folder}:${folder}`], cwd: folder })
  })

  it('has what it is that is rendered, where a job says it', async () => {
    captureConsole()
    const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor(adapter()))
    const id = await manager.submitJob(spec(['true', 'true'], { mergeCommand: 'true' }), { jobDir: tempFolder() })
    expect(await manager.waitForJob(id)).toMatchObject({ state: 'completed' })
    const labels = docker.runs().map(({ labels }) => [labels['helios.job'], labels['helios.chunk']])
    expect(labels).toEqual([
      [id, '1'],
      [id, '2'],
      [id, ''],
    ])
    await new JobExecutor(adapter()).execute(spec(['true', 'true']))
    const alone = docker.runs().slice(3)
    expect(alone[0].labels['helios.job']).toMatch(/^[0-9a-f-]{36}$/)
    expect(alone[1].labels['helios.job']).toBe(alone[0].labels['helios.job'])
    expect(new Set(docker.runs().map(({ labels }) => labels['helios.owner'])).size).toBe(1)
  })

  it('has the chunk of a command that a caller hands over', async () => {
    await run({ meta: { chunkId: 7 } })
    expect(docker.runs()[0].labels['helios.chunk']).toBe('7')
  })

  it('has another name each time', async () => {
    await Promise.all(Array.from({ length: 16 }, () => run()))
    expect(new Set(docker.runs().map(({ name }) => name)).size).toBe(16)
  })
})

describe('variables', () => {
  const show = 'echo "${A-unset},${B-unset},${TOKEN-unset}"'
  const secret = 'a-secret-of-the-user'
  beforeEach(() => {
    vi.stubEnv('A', 'here')
    vi.stubEnv('TOKEN', secret)
  })
  const arguments_ = () => JSON.stringify(docker.calls.map(({ args }) => args))

  it.each([
    ['nothing by itself', undefined, undefined, 'unset,unset,unset'],
    ['not what the job only repeats', () => ({ ...process.env }), undefined, 'unset,unset,unset'],
    ['what the job sets', () => ({ A: 'mine', B: 'x=y "ü"\n😀', C: undefined }), undefined, 'mine,x=y "ü"\n😀,unset'],
    ['what is forwarded', undefined, ['TOKEN', 'NONE'], `unset,unset,${secret}`],
    ['not what is forwarded and unset', () => ({ TOKEN: undefined }), ['TOKEN'], 'unset,unset,unset'],
    ['all', () => ({ B: 'b' }), true, `here,b,${secret}`],
  ])('%s: by name, so that no value shows', async (_, env, forwardEnv, expected) => {
    const { stdout } = await shell(show, { env: env?.() }, { forwardEnv })
    expect(stdout).toBe(`${expected}\n`)
    expect(arguments_()).not.toContain(secret)
    const [{ names, env: clients }] = docker.runs()
    if (forwardEnv !== true) expect(names).not.toContain('PATH')
    for (const name of names) expect([name, clients[name]]).toEqual([name, expect.any(String)])
  })

  it('that docker itself goes by do not change where it looks, and go by a file of our own', async () => {
    let mode
    docker.before.start = ({ files }) => void (mode = statSync(files[0]).mode & 0o777)
    const env = { DOCKER_HOST: 'tcp://elsewhere', PATH: '/bin:/nowhere', HTTPS_PROXY: `http://${secret}@proxy` }
    const { stdout } = await shell('echo $DOCKER_HOST $PATH $HTTPS_PROXY', { env })
    expect(stdout).toBe(`tcp://elsewhere /bin:/nowhere http://${secret}@proxy\n`)
    expect(arguments_()).not.toContain(secret)
    expect(mode).toBe(0o600)
    expect(readdirSync(tmpdir()).filter((name) => docker.runs()[0].files[0].endsWith(name))).toEqual([])
  })

  it('that cannot be given are refused by name', async () => {
    const error = await rejection(() => run({ env: { PATH: 'a\nb' } }))
    expect(error).toEqual(new TypeError("job.env['PATH'] must be one line, as docker itself goes by it"))
    expect(docker.calls).toEqual([])
  })

  it('do not show in what an error tells', async () => {
    const error = await rejection(() => shell('sleep 60', { env: { B: secret }, timeout: 300 }))
    expect(JSON.stringify([error, error.message, error.command, error.stdout, error.stderr])).not.toContain(secret)
  })
})

describe('the result', () => {
  it.each([0, 1, 42, 255])('has exit code %i of the command', async (code) => {
    const result = await shell(`echo out; echo err >&2; exit ${code}`)
    expect(result).toEqual({ exitCode: code, stdout: 'out\n', stderr: 'err\n', durationMs: expect.any(Number) })
  })

  it('is heard while it is written', async () => {
    const heard = gate()
    const onStdout = vi.fn(() => heard.open())
    const onStderr = vi.fn()
    const job = shell('echo one; sleep 60', { onStdout, onStderr, signal: AbortSignal.timeout(20_000) })
    await within(10_000, heard.promise, 'the output')
    expect(onStdout.mock.calls).toEqual([['one\n']])
    await docker.containers.forEach(({ name }) => process.kill(-docker.containers.get(name).child.pid))
    expect(await job).toMatchObject({ exitCode: 143, stdout: 'one\n' })
  })

  it.each([
    ['transient', 125, 'docker: Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?'],
    ['throttled', 125, 'docker: Error response from daemon: toomanyrequests: You have reached your pull rate limit.'],
    ['fatal', 125, 'docker: Error response from daemon: pull access denied for film.'],
    ['fatal', 125, "unknown flag: --nope\nSee 'docker run --help'."],
    [undefined, 125, 'the command says so'],
    [undefined, 3, 'docker: Error response from daemon: toomanyrequests'],
  ])('says that it is %s, of %i and %s', async (kind, code, stderr) => {
    docker.answer.run = () => ({ code, stderr: `Unable to find image 'film:latest' locally\n${stderr}\n` })
    const result = await run()
    expect([result.exitCode, result.retry]).toEqual([code, kind && { kind }])
  })

  it('tells a daemon that is not there from a command that fails', async () => {
    const lines = captureConsole()
    vi.stubEnv('DOCKER_HOST', 'unix:///nowhere/docker.sock')
    const result = await run()
    expect(lines).toEqual([])
    expect(result).toMatchObject({ exitCode: 125, retry: { kind: 'transient' } })
    expect(result.stderr).toMatch(/^docker: Cannot connect to the Docker daemon at unix:\/\/\/nowhere/)
  })

  it('is put off in a job until the registry lets it in', async () => {
    const lines = captureConsole()
    let left = 2
    const stderr = 'docker: toomanyrequests: You have reached your pull rate limit.\n'
    docker.answer.run = () => (left-- > 0 ? { code: 125, stderr } : undefined)
    await new JobExecutor(adapter()).execute(spec(['true']), {
      retryOn: [{ kind: 'throttled', afterMs: 10, text: 'toomany' }],
    })
    expect(printed(lines, 'warn').length).toBe(2)
  })

  it('is an error as that of spawn where there is no docker', async () => {
    vi.stubEnv('PATH', '/nowhere')
    const error = await rejection(() => run({ args: ['x'] }))
    expect(error).toMatchObject({
      message: 'spawn docker ENOENT',
      code: 'ENOENT',
      syscall: 'spawn docker',
      path: 'docker',
    })
    expect(error.spawnargs.slice(-2)).toEqual(['true', 'x'])
  })
})

describe('an abort', () => {
  it('before starts nothing', async () => {
    const result = await run({ signal: AbortSignal.abort() })
    expect(result).toEqual({ exitCode: 1, stdout: '', stderr: 'Job was aborted', durationMs: expect.any(Number) })
    expect(docker.calls).toEqual([])
  })

  it('kills the container, and gives its code and what was written', async () => {
    const control = new AbortController()
    const job = shell("trap '' TERM; echo out; echo err >&2; while :; do sleep 0.05; done", {
      signal: control.signal,
      onStdout: () => control.abort(),
    })
    expect(await within(10_000, job)).toMatchObject({ exitCode: 137, stdout: 'out\n' })
    expect(docker.containers.size).toBe(0)
    const [{ name }] = docker.runs()
    expect(docker.calls.slice(1).map(({ args }) => args)).toEqual([
      ['kill', name],
      ['rm', '-f', name],
    ])
  })

  it('ends a container whose client was killed', async () => {
    const job = shell('sleep 60')
    const [{ name }] = await running()
    process.kill(docker.calls[0].pid, 'SIGKILL')
    expect(await job).toMatchObject({ exitCode: -1, signal: 'SIGKILL' })
    expect([...docker.containers.keys(), docker.asked('rm', '-f', name)]).toEqual([1])
  })

  it('ends a container whose client has lost it, whatever that ends with', async () => {
    const job = shell('sleep 60')
    const [{ name, client }] = await running()
    client.end(`${JSON.stringify({ code: 1 })}\n`)
    expect(await job).toMatchObject({ exitCode: 1 })
    expect([...docker.containers.keys(), docker.asked('rm', '-f', name)]).toEqual([1])
  })

  it('leaves a container that has ended where the user wants to look at it', async () => {
    expect((await shell('exit 3', {}, { dockerArgs: ['--rm=false'] })).exitCode).toBe(3)
    expect(docker.asked('rm')).toBe(0)
  })

  it('does not wait long for a container that may still be made, but removes it then', async () => {
    const lines = captureConsole()
    const control = new AbortController()
    const made = gate()
    docker.before.run = () => (control.abort(), made.promise)
    const result = await run({ command: 'sleep', args: ['60'], signal: control.signal, killGraceMs: 300 })
    expect(result).toMatchObject({ exitCode: 1 })
    expect(printed(lines, 'warn')).toEqual([])
    made.open()
    await until(() => docker.asked('rm') > 2 && docker.containers.size === 0, 'the end of the container', 10_000)
  })

  it('leaves no container that was only being made', async () => {
    const control = new AbortController()
    const made = gate()
    // The daemon goes on when its client is gone, as a real one may.
    docker.before.run = async () => {
      control.abort()
      await until(() => docker.asked('rm') > 0, 'the first look')
      made.open()
    }
    const result = await run({ command: 'sleep', args: ['60'], signal: control.signal })
    expect(made.settled).toBe(true)
    expect(result).toMatchObject({ exitCode: 1 })
    expect([...docker.containers.keys()]).toEqual([])
    // What was made late was seen, and removed.
    expect(docker.asked('rm')).toBeGreaterThan(1)
  })

  it('removes a container that is made, and not started yet', async () => {
    const control = new AbortController()
    docker.before.start = async () => {
      control.abort()
      await until(() => docker.containers.size === 0, 'the container to be removed')
    }
    const result = await run({ command: 'sleep', args: ['60'], signal: control.signal })
    expect(result.exitCode).toBe(125)
    expect(docker.asked('rm')).toBeGreaterThan(0)
  })

  it('ends a job, with all its containers', async () => {
    captureConsole()
    const control = new AbortController()
    const chunks = Array.from({ length: 6 }, () => 'sleep 60')
    const job = rejection(() =>
      new JobExecutor(adapter()).execute(spec(chunks), { concurrency: 4, signal: control.signal }),
    )
    await running(4)
    control.abort()
    expect(await job).toMatchObject({ name: 'AbortError', message: 'Job aborted' })
    expect([docker.containers.size, docker.asked('run')]).toEqual([0, 4])
  })
})

describe('a thread that ends', () => {
  it('takes its containers with it', async () => {
    const source = moduleOf("void new lib.DockerAdapter({ image: 'film' }).execute({ command: 'sleep', args: ['60'] })")
    const script = `
      import { Worker } from 'node:worker_threads'
      const worker = new Worker(new URL(${JSON.stringify(`data:text/javascript,${encodeURIComponent(source)}`)}))
      process.stdin.once('data', () => void worker.terminate())
    `
    const { child, ended } = startScript(script)
    const [{ name }] = await running()
    child.stdin.write('stop')
    await until(() => docker.containers.size === 0, 'the end of the container')
    await until(() => docker.asked('rm', '-f', name) === 1, 'the last look')
    child.stdin.end()
    expect(await ended).toMatchObject({ code: 0, signal: null, stderr: '' })
  })
})

describe('a docker that does not answer', () => {
  const never = () => new Promise(() => {})

  it('is not waited for longer than killGraceMs, and that is said', async () => {
    const lines = captureConsole()
    Object.assign(docker.before, { kill: never, rm: never })
    const control = new AbortController()
    const job = rejection(() =>
      new JobExecutor(adapter()).execute(spec(['sleep 60']), { signal: control.signal, killGraceMs: 300 }),
    )
    const [{ name }] = await running()
    control.abort()
    const aborted = performance.now()
    expect((await job).name).toBe('AbortError')
    expect(performance.now() - aborted).toBeLessThan(5000)
    expect(printed(lines, 'warn')).toEqual([
      `Warning: container ${name} could not be removed: it is still there after 300ms`,
    ])
  })

  it('has its container removed when only the kill hangs', async () => {
    const lines = captureConsole()
    docker.before.kill = never
    const control = new AbortController()
    const job = rejection(() =>
      new JobExecutor(adapter()).execute(spec(['sleep 60']), { signal: control.signal, killGraceMs: 2000 }),
    )
    await running()
    control.abort()
    await job
    expect([docker.containers.size, printed(lines, 'warn')]).toEqual([0, []])
  })
})

describe('a limit of time', () => {
  it('ends the container', async () => {
    const error = await rejection(() => shell('echo out; sleep 60', { timeout: 1000 }))
    expect(error.message).toBe('Worker job timed out after 1000ms')
    expect(error).toMatchObject({ timedOut: true, command: 'sh -c echo out; sleep 60', stdout: 'out\n', exitCode: 137 })
    expect(error).not.toHaveProperty('pid')
    expect(docker.containers.size).toBe(0)
  })

  it('is that of a job, too', async () => {
    captureConsole()
    const error = await rejection(() => new JobExecutor(adapter()).execute(spec(['sleep 60']), { chunkTimeout: 800 }))
    expect(error.message).toMatch(
      /^Chunk 1 failed after 1 attempts: Worker job timed out after 800ms \(chunkTimeout\): 'sleep 60' /,
    )
    expect(docker.containers.size).toBe(0)
  })

  it('ends a container that does nothing, and not one that computes', async () => {
    captureConsole()
    let seconds = 0
    docker.time = () => `00:00:${String((seconds += 1) % 60).padStart(2, '0')}`
    await new JobExecutor(adapter()).execute(spec(['sleep 3']), { stallTimeout: 800 })
    expect(seconds).toBeGreaterThan(1)
    docker.time = () => '00:00:07'
    const error = await rejection(() => new JobExecutor(adapter()).execute(spec(['sleep 60']), { stallTimeout: 800 }))
    expect(error.message).toContain('Worker job stalled')
    expect(docker.containers.size).toBe(0)
  })
})

describe('files', () => {
  const writes = 'sh -c "printf done > out/1.txt"'
  const job = () => ({ ...spec([{ id: 1, command: writes, outputFile: 'out/1.txt' }]), mergeCommand: '' })

  it('of a mounted folder are looked at here', async () => {
    captureConsole()
    const results = []
    const jobDir = tempFolder()
    const empty = { ...spec([{ id: 1, command: 'sh -c ": > 1.txt"', outputFile: '1.txt' }]) }
    const error = await rejection(() => new JobExecutor(adapter()).execute(empty, { jobDir, verifyChunks: 'auto' }))
    expect(error.message).toContain('1.txt')
    const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor(adapter()))
    const made = { ...job(), chunks: [{ id: 1, command: 'sh -c "printf done > 1.txt"', outputFile: '1.txt' }] }
    const id = await manager.submitJob(made, { jobDir, onChunkComplete: (_, result) => void results.push(result) })
    expect(await manager.waitForJob(id)).toMatchObject({ outputs: { 1: { size: 4 } } })
    expect(readFileSync(join(jobDir, '1.txt'), 'utf8')).toBe('done')
  })

  it('of a folder that is not mounted are not', async () => {
    captureConsole()
    const jobDir = tempFolder()
    const manager = new JobManager(
      new FileJobRepository(tempFolder()),
      new JobExecutor(adapter({ mountJobDir: false, dockerArgs: ['-v', `/elsewhere:${jobDir}`] })),
    )
    const made = { ...job(), chunks: [{ id: 1, command: 'sh -c "printf done > 1.txt"', outputFile: '1.txt' }] }
    const id = await manager.submitJob(made, { jobDir })
    expect((await manager.waitForJob(id)).outputs).toBeUndefined()
    expect(docker.runs()[0]).toMatchObject({ cwd: jobDir, mounts: [`/elsewhere:${jobDir}`] })
  })
})

describe('recover()', () => {
  const owner = (records, jobDir) =>
    startScript(
      `
      console.log = () => {}
      const [records, jobDir] = process.argv.slice(-2)
      const adapter = new lib.DockerAdapter({ image: 'film' })
      const manager = new lib.JobManager(new lib.FileJobRepository(records), new lib.JobExecutor(adapter))
      const chunk = (id) => ({ id, command: 'sh -c "trap : TERM; [ -e go ] || while :; do sleep 0.05; done"' })
      await manager.submitJob({ id: 'film', chunks: [chunk(1), chunk(2)], mergeCommand: '' }, { jobDir, concurrency: 2 })
      // One of no job, with variables that docker goes by itself.
      void adapter.execute({ command: 'sleep', args: ['60'], env: { ...process.env, TMPDIR: '/film' } })
      console.info('submitted')
      `,
      { args: [records, jobDir] },
    )

  it('removes what a process has left that was killed, and nothing else', async () => {
    captureConsole()
    const [records, jobDir] = [tempFolder(), tempFolder()]
    const { child } = owner(records, jobDir)
    await running(3)
    const left = [...docker.containers.keys()]
    // One that lives, on the same daemon.
    const others = shell('sleep 60', { signal: AbortSignal.timeout(25_000) })
    const [other] = (await running(4)).filter(({ name }) => !left.includes(name))
    const files = docker.runs().flatMap((told) => told.files)
    child.kill('SIGKILL')
    await until(() => child.signalCode, 'the end of the owner')
    const manager = new JobManager(new FileJobRepository(records), new JobExecutor(adapter()))
    writeFileSync(join(jobDir, 'go'), '')
    const ids = await manager.recover()
    expect(left.filter((name) => docker.containers.has(name))).toEqual([])
    expect(docker.containers.has(other.name)).toBe(true)
    expect([files.length, files.filter(existsSync)]).toEqual([1, []])
    expect(ids.length).toBe(1)
    expect(await manager.waitForJob(ids[0])).toMatchObject({ state: 'completed', completedChunks: 2 })
    process.kill(-other.child.pid, 'SIGKILL')
    await others
  })

  it('warns of a docker that does not let it', async () => {
    const lines = captureConsole()
    const [records, jobDir] = [tempFolder(), tempFolder()]
    const { child } = owner(records, jobDir)
    await running(3)
    child.kill('SIGKILL')
    await until(() => child.signalCode, 'the end of the owner')
    const host = process.env.DOCKER_HOST
    vi.stubEnv('DOCKER_HOST', 'unix:///nowhere')
    const manager = new JobManager(new FileJobRepository(records), new JobExecutor(new LocalWorkerAdapter()))
    const kept = adapter()
    writeFileSync(join(jobDir, 'go'), '')
    const [id] = await manager.recover()
    await manager.waitForJob(id)
    expect(kept).toBeInstanceOf(DockerAdapter)
    const warning =
      'Warning: the containers of a process that has died could not be removed: ' +
      'Cannot connect to the Docker daemon at unix:///nowhere. Is the docker daemon running?'
    expect(printed(lines, 'warn')).toEqual([warning])
    expect(docker.containers.size).toBeGreaterThan(0)
    // The next one finds them.
    vi.stubEnv('DOCKER_HOST', host)
    const after = adapter()
    expect(await new JobManager(new FileJobRepository(records), new JobExecutor(after)).recover()).toEqual([])
    expect([docker.containers.size, printed(lines, 'warn')]).toEqual([0, [warning]])
  })
})
