// RenderExecutor: one chunk of a spec, run here.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { RenderExecutor } from '../index.js'
import { tempFolder } from './support/files.mjs'
import { chunk, deepFreeze, spec } from './support/jobs.mjs'
import { rejection } from './support/wait.mjs'

afterEach(() => vi.unstubAllEnvs())

const run = (commands, id, dir = tempFolder()) => new RenderExecutor(dir).executeChunk(spec(commands), id)

describe('executeChunk', () => {
  it('runs the command of that chunk and gives its result', async () => {
    expect(await run(['echo one', `sh -c 'echo "two words"; echo err >&2'`], 2)).toEqual({
      exitCode: 0,
      stdout: 'two words\n',
      stderr: 'err\n',
      durationMs: expect.any(Number),
    })
  })

  it('runs it in the workspace, with the environment of this process', async () => {
    const dir = tempFolder()
    writeFileSync(join(dir, 'tool'), '#!/bin/sh\npwd; echo $HELIOS_TEST_VALUE\n', { mode: 0o755 })
    vi.stubEnv('HELIOS_TEST_VALUE', 'inherited')
    expect((await run(['./tool'], 1, dir)).stdout).toBe(`${dir}\ninherited\n`)
  })

  it.each([
    ['sh -c "echo no >&2; exit 3"', 3, 'no\n'],
    ['sh -c "kill -9 $$"', -1, ''],
  ])('resolves when the command fails: %s', async (command, exitCode, stderr) => {
    expect(await run([command], 1)).toMatchObject({ exitCode, stderr, stdout: '' })
  })

  it('finds chunk 0, and needs no more of a spec than that chunk', async () => {
    const job = deepFreeze({ chunks: [chunk(5, { command: 'false' }), { id: 0, command: 'echo zero' }] })
    expect((await new RenderExecutor(tempFolder()).executeChunk(job, 0)).stdout).toBe('zero\n')
  })

  it.each([9, -1])('rejects for an unknown chunk: %j', async (id) => {
    const error = await rejection(() => run(['true'], id))
    expect(error).toMatchObject({ name: 'Error', message: `Chunk with ID ${id} not found in job spec` })
  })

  it.each(['', '  '])('rejects for a blank command: %j', async (command) => {
    expect((await rejection(() => run([command], 1))).message).toBe('Command string cannot be empty')
  })

  it('rejects for a command that is not there, as Node does', async () => {
    const error = await rejection(() => run(['no-such-command a "b c"'], 1))
    expect(error).toMatchObject({
      message: 'spawn no-such-command ENOENT',
      code: 'ENOENT',
      syscall: 'spawn no-such-command',
      path: 'no-such-command',
      spawnargs: ['a', 'b c'],
    })
  })

  it('rejects for a workspace that is not there, as Node does', async () => {
    const error = await rejection(() => run(['true'], 1, join(tempFolder(), 'missing')))
    expect(error).toMatchObject({ message: 'spawn true ENOENT', code: 'ENOENT' })
  })

  it('runs many at once', async () => {
    const executor = new RenderExecutor(tempFolder())
    const job = spec(Array.from({ length: 20 }, (_, i) => `echo ${i}`))
    const results = await Promise.all(job.chunks.map(({ id }) => executor.executeChunk(job, id)))
    expect(results.map(({ stdout }) => stdout)).toEqual(job.chunks.map((_, i) => `${i}\n`))
  })
})

describe('wrong types reject with a TypeError that names the field:', () => {
  it.each([
    ['spec', undefined],
    ['spec', 'x'],
    ['chunks', {}],
    ['chunks', { chunks: 'x' }],
    ['command', { chunks: [{ id: 1, command: 5 }] }],
  ])('%s in %j', async (field, job) => {
    const error = await rejection(() => new RenderExecutor('/tmp').executeChunk(job, 1))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(new RegExp(field, 'i'))
  })

  it('workspaceDir', async () => {
    const error = await rejection(async () => new RenderExecutor(5).executeChunk(spec(['true']), 1))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(/workspaceDir/)
  })
})
