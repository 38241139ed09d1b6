// LocalWorkerAdapter: what it runs, with which arguments, environment and folder, what it gives back and how it refuses.
import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { LocalWorkerAdapter } from '../index.js'
import { tempFolder } from './support/files.mjs'
import { nodeAdapter } from './support/node-adapter.mjs'
import { rejection } from './support/wait.mjs'
import { workerAdapterContract } from './support/worker-adapter-contract.mjs'

class Subclass extends LocalWorkerAdapter {
  execute(job) {
    return super.execute(job)
  }
}

workerAdapterContract('LocalWorkerAdapter', () => new LocalWorkerAdapter())
workerAdapterContract('a subclass of LocalWorkerAdapter', () => new Subclass())
workerAdapterContract('a plain object', nodeAdapter)

const run = (job) => new LocalWorkerAdapter().execute(job)
const shell = (script, job) => run({ command: 'sh', args: ['-c', script], ...job })

/** The error Node's own spawn gives for the same command. */
const nodeError = (command, args, options) =>
  new Promise((resolve) => {
    try {
      spawn(command, args, { stdio: 'ignore', ...options }).on('error', resolve)
    } catch (error) {
      resolve(error)
    }
  })

const fields = ({ name, message, code, errno, syscall, path, spawnargs }) => ({
  name,
  message,
  code,
  errno,
  syscall,
  path,
  spawnargs,
})

afterEach(() => vi.unstubAllEnvs())

describe('the result', () => {
  it('has exit code, both outputs and the duration', async () => {
    const result = await shell('echo out; echo err >&2; sleep 0.2')
    expect(result).toEqual({ exitCode: 0, stdout: 'out\n', stderr: 'err\n', durationMs: expect.any(Number) })
    expect(result.durationMs).toBeGreaterThanOrEqual(195)
    expect(result.durationMs).toBeLessThan(5000)
  })

  it.each([0, 1, 2, 42, 127, 128, 255])('has exit code %i of the process', async (code) => {
    expect(await shell(`exit ${code}`)).toMatchObject({ exitCode: code, stdout: '', stderr: '' })
  })

  it.each(['SIGKILL', 'SIGTERM', 'SIGSEGV'])('has exit code -1 after %s', async (signal) => {
    const result = await shell(`echo before; kill -s ${signal.slice(3)} $$`)
    expect(result).toMatchObject({ exitCode: -1, stdout: 'before\n' })
    expect([undefined, signal]).toContain(result.signal)
  })

  it('is there for a command without arguments', async () => {
    expect(await run({ command: 'true' })).toMatchObject({ exitCode: 0, stdout: '', stderr: '' })
  })

  it('is right for each of many at once', async () => {
    const codes = Array.from({ length: 100 }, (_, i) => i)
    const results = await Promise.all(codes.map((code) => shell(`echo ${code}; exit ${code}`)))
    expect(results.map(({ exitCode, stdout }) => [exitCode, stdout])).toEqual(codes.map((c) => [c, `${c}\n`]))
  })
})

describe('the command', () => {
  it('gets its arguments as they are, without a shell', async () => {
    const args = ['$HOME', '; echo x', '*', '"quoted"', "it's", 'two words', '', '\\', 'ünï 😀', '`id`', '\n']
    const { stdout } = await run({ command: 'printf', args: ['%s|', ...args] })
    expect(stdout).toBe(args.map((arg) => `${arg}|`).join(''))
  })

  it('sees the end of its standard input at once', async () => {
    expect(await run({ command: 'cat' })).toMatchObject({ exitCode: 0, stdout: '' })
  })

  it('is looked up on the PATH of the job', async () => {
    const bin = tempFolder()
    writeFileSync(join(bin, 'only-here'), '#!/bin/sh\necho found\n', { mode: 0o755 })
    expect(await run({ command: 'only-here', env: { PATH: `${bin}:${process.env.PATH}` } })).toMatchObject({
      stdout: 'found\n',
    })
    expect(await rejection(() => run({ command: 'only-here' }))).toMatchObject({ code: 'ENOENT' })
  })

  it('may be a path, relative to the folder of the job', async () => {
    const cwd = tempFolder()
    writeFileSync(join(cwd, 'tool'), '#!/bin/sh\necho "$0 $1"\n', { mode: 0o755 })
    expect((await run({ command: './tool', args: ['a'], cwd })).stdout).toBe('./tool a\n')
  })

  it('may be a script without an interpreter line, as with Node', async () => {
    const file = join(tempFolder(), 'tool')
    writeFileSync(file, 'echo plain $1\n', { mode: 0o755 })
    expect(await run({ command: file, args: ['a'] })).toMatchObject({ exitCode: 0, stdout: 'plain a\n' })
  })
})

describe('the folder', () => {
  it('is that of the job', async () => {
    const cwd = tempFolder()
    expect((await run({ command: 'pwd', cwd })).stdout).toBe(`${cwd}\n`)
  })

  it('is that of this process by default', async () => {
    expect((await run({ command: 'pwd' })).stdout).toBe(`${process.cwd()}\n`)
  })
})

describe('the environment', () => {
  const show = async (env) => (await shell('echo "${A-unset},${B-unset},${C-unset}"', { env })).stdout.trim()

  it('is that of this process, as it is when the command starts', async () => {
    expect(await show()).toBe('unset,unset,unset')
    vi.stubEnv('A', '1')
    expect(await show()).toBe('1,unset,unset')
    vi.stubEnv('A', 'changed')
    expect(await show({})).toBe('changed,unset,unset')
    vi.stubEnv('A', undefined)
    expect(await show()).toBe('unset,unset,unset')
  })

  it.each([
    ['adds', { B: 'b' }, 'a,b,unset'],
    ['replaces', { A: 'mine' }, 'mine,unset,unset'],
    ['unsets what is undefined', { A: undefined, B: 'b' }, 'unset,b,unset'],
    ['turns numbers into text', { B: 1, C: 1.5 }, 'a,1,1.5'],
    ['keeps empty values', { A: '' }, ',unset,unset'],
    ['keeps any character', { A: 'x=y "ü"\n😀' }, 'x=y "ü"\n😀,unset,unset'],
  ])('of the job %s', async (_, env, expected) => {
    vi.stubEnv('A', 'a')
    expect(await show(env)).toBe(expected)
  })

  it('may be process.env itself', async () => {
    vi.stubEnv('A', 'a')
    expect(await show(process.env)).toBe('a,unset,unset')
  })
})

describe('a command that cannot start', () => {
  const folder = () => {
    const dir = tempFolder()
    writeFileSync(join(dir, 'not-executable'), 'x')
    chmodSync(join(dir, 'not-executable'), 0o644)
    mkdirSync(join(dir, 'a-folder'))
    return dir
  }

  it.each([
    ['is not on the PATH', () => ['no-such-command', ['a', 'b c']], 'ENOENT'],
    ['is not at its path', (dir) => [join(dir, 'missing'), []], 'ENOENT'],
    ['may not be executed', (dir) => [join(dir, 'not-executable'), ['x']], 'EACCES'],
    ['is a folder', (dir) => [join(dir, 'a-folder'), []], 'EACCES'],
    ['has no folder to run in', (dir) => ['sh', ['-c', 'true'], { cwd: join(dir, 'missing') }], 'ENOENT'],
  ])('rejects as Node does when it %s', async (_, make, code) => {
    const [command, args, options] = make(folder())
    const error = await rejection(() => run({ command, args, ...options }))
    expect(error).toBeInstanceOf(Error)
    expect(fields(error)).toEqual(fields(await nodeError(command, args, options)))
    expect(error).toMatchObject({ code, message: `spawn ${command} ${code}` })
  })

  it.each([
    ['is below a file', (dir) => [join(dir, 'not-executable', 'x'), []], 'ENOTDIR'],
    ['has an argument that is too long', () => ['true', ['x'.repeat(3_000_000)]], 'E2BIG'],
  ])('rejects with the code of Node when it %s', async (_, make, code) => {
    const [command, args] = make(folder())
    expect((await nodeError(command, args)).code).toBe(code)
    expect(await rejection(() => run({ command, args }))).toMatchObject({ name: 'Error', code })
  })

  it('rejects as Node does when it is empty', async () => {
    const [ours, nodes] = [await rejection(() => run({ command: '' })), await nodeError('', [])]
    expect(nodes.code).toBe('ERR_INVALID_ARG_VALUE')
    expect(fields(ours)).toEqual(fields(nodes))
    expect(ours).toBeInstanceOf(TypeError)
  })

  it.each([
    ['the command', { command: 'a\0b' }],
    ['an argument', { command: 'true', args: ['a\0b'] }],
  ])('rejects as Node does when %s contains NUL', async (_, job) => {
    const error = await rejection(() => run(job))
    expect((await nodeError(job.command, job.args)).code).toBe('ERR_INVALID_ARG_VALUE')
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' })
    expect(error).toBeInstanceOf(TypeError)
  })
})

describe('a job of the wrong shape rejects with a TypeError that names the field:', () => {
  it.each([
    ['job', undefined],
    ['job', null],
    ['job', 'true'],
    ['command', {}],
    ['command', { command: 5 }],
    ['command', { command: ['true'] }],
    ['args', { command: 'true', args: 'a b' }],
    ['args', { command: 'true', args: 5 }],
    ['env', { command: 'true', env: 'A=1' }],
    ['cwd', { command: 'true', cwd: 5 }],
    ['timeout', { command: 'true', timeout: 'soon' }],
    ['signal', { command: 'true', signal: 5 }],
    ['onStdout', { command: 'true', onStdout: 'x' }],
    ['onStderr', { command: 'true', onStderr: {} }],
  ])('%s in %j', async (field, job) => {
    const error = await rejection(() => run(job))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.name).toBe('TypeError')
    expect(error.message).toMatch(new RegExp(`\\b${field}\\b`, 'i'))
  })

  it('rejects with what a getter of the job throws', async () => {
    const mine = new Error('mine')
    const job = {
      get command() {
        throw mine
      },
    }
    expect(await rejection(() => run(job))).toBe(mine)
  })

  it('leaves the adapter as good as before', async () => {
    const adapter = new LocalWorkerAdapter()
    await rejection(() => adapter.execute({ command: 5 }))
    expect(await adapter.execute({ command: 'true' })).toMatchObject({ exitCode: 0 })
  })

  it('does not change a frozen job', async () => {
    const job = Object.freeze({ command: 'echo', args: Object.freeze(['a']), env: Object.freeze({ A: '1' }) })
    expect(await run(job)).toMatchObject({ exitCode: 0, stdout: 'a\n' })
  })
})
