// The package by `require`, under jest: spies, errors and results are those of the sandbox.
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const lib = require('../../index.cjs')

const { FileJobRepository, InMemoryJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } = lib
const ok = (extra) => ({ exitCode: 0, stdout: '', stderr: '', durationMs: 1, ...extra })
const spec = (...commands) => ({ id: 'film', chunks: commands.map((command, i) => ({ id: i + 1, command })) })

let dir
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'helios-jest-'))))
afterEach(() => {
  jest.restoreAllMocks()
  rmSync(dir, { recursive: true, force: true })
})

const spies = () => ['log', 'warn', 'error'].map((level) => jest.spyOn(console, level).mockImplementation(() => {}))

async function inState(manager, id, state) {
  for (const end = Date.now() + 10_000; Date.now() < end;) {
    const job = await manager.getJob(id)
    if (job.state === state) return job
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`waited for state ${state}`)
}

test('require works', () => {
  expect(lib.INFRASTRUCTURE_VERSION).toBe(require('../../package.json').version)
  for (const name of ['LocalWorkerAdapter', 'JobExecutor', 'JobManager', 'FfmpegStitcher', 'RenderExecutor']) {
    expect([name, typeof lib[name]]).toEqual([name, 'function'])
  }
})

test('console spies see what is printed', async () => {
  const [log, warn, error] = spies()
  lib.initInfrastructure()
  expect(log.mock.calls).toEqual([['Infrastructure initialized']])
  const adapter = { execute: jest.fn().mockRejectedValue(new Error('no')) }
  const job = new JobExecutor(adapter).execute(spec('render'), { retries: 1, retryDelay: 0 })
  await expect(job).rejects.toThrow('Chunk 1 failed after 2 attempts: no')
  expect(warn).toHaveBeenCalledWith('[Worker 1] Chunk 1 failed (Attempt 1/2). Retrying in 0ms... Error: no')
  expect(error).toHaveBeenCalledWith('[Worker 1] Chunk 1 failed after 2 attempts:', 'no')
})

test('method spies are seen, on instances and on prototypes', async () => {
  spies()
  const stdout = async (adapter) => {
    const onChunkComplete = jest.fn()
    await new JobExecutor(adapter).execute(spec('echo native'), { onChunkComplete })
    return onChunkComplete.mock.calls[0][1].stdout
  }
  const adapter = new LocalWorkerAdapter()
  const instance = jest.spyOn(adapter, 'execute').mockResolvedValue(ok({ stdout: 'instance' }))
  expect(await stdout(adapter)).toBe('instance')
  instance.mockRestore()
  const prototype = jest.spyOn(LocalWorkerAdapter.prototype, 'execute').mockResolvedValue(ok({ stdout: 'prototype' }))
  expect(await stdout(adapter)).toBe('prototype')
  prototype.mockRestore()
  expect(await stdout(adapter)).toBe('native\n')
})

test('errors are instances of the classes of this realm', async () => {
  spies()
  const adapter = new LocalWorkerAdapter()
  writeFileSync(join(dir, 'a.json'), '{')
  const cases = [
    [() => adapter.execute({ command: 'no-such-command' }), Error, 'spawn no-such-command ENOENT'],
    [() => adapter.execute({ command: 'sleep', args: ['9'], timeout: 20 }), Error, 'Worker job timed out after 20ms'],
    [() => adapter.execute({ command: 'true', signal: AbortSignal.abort() }), Error, 'Job was aborted'],
    [() => adapter.execute({}), TypeError, /command/],
    [() => new JobExecutor(adapter).execute({}), TypeError, /chunks/],
    [() => new JobExecutor(adapter).execute(spec('true'), { signal: AbortSignal.abort() }), Error, 'Job aborted'],
    [() => new FileJobRepository(dir).get('a'), SyntaxError, /./],
  ]
  for (const [call, type, message] of cases) {
    const error = await call().then(
      () => expect('resolved').toBe('rejected'),
      (reason) => reason,
    )
    expect(error).toBeInstanceOf(type)
    expect(error).toBeInstanceOf(Error)
    expect(error.message).toMatch(message)
  }
})

test('results are plain objects of this realm', async () => {
  spies()
  const result = { exitCode: 0, stdout: 'a b\n', stderr: '', durationMs: expect.any(Number) }
  expect(await new LocalWorkerAdapter().execute({ command: 'echo', args: ['a b'] })).toStrictEqual(result)
  const adapter = { execute: jest.fn(async () => ok()) }
  await new JobExecutor(adapter).execute(spec('render "a b"'), { jobDir: '/jobs/1' })
  const [[job]] = adapter.execute.mock.calls
  expect(job.args).toStrictEqual(['a b'])
  expect(job.meta).toStrictEqual({ chunkId: 1, id: 1, command: 'render "a b"' })
})

test('a repository of mocks is enough for a manager', async () => {
  const [, , error] = spies()
  const repository = {
    save: jest.fn().mockResolvedValue(undefined),
    get: jest.fn().mockResolvedValue({ state: 'pending' }),
    list: jest.fn().mockResolvedValue([]),
    delete: jest.fn().mockResolvedValue(undefined),
  }
  const mine = new Error('mine')
  const id = await new JobManager(repository, { execute: jest.fn().mockRejectedValue(mine) }).submitJob(spec('render'))
  for (let i = 0; i < 1000 && repository.save.mock.lastCall[0].state !== 'failed'; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(repository.save).toHaveBeenLastCalledWith(expect.objectContaining({ state: 'failed', error: 'mine' }))
  expect(error.mock.calls).toEqual([[`Job ${id} failed:`, mine]])
})

test('a managed job of our own parts completes, on disk and in memory', async () => {
  spies()
  for (const repository of [new FileJobRepository(dir), new InMemoryJobRepository()]) {
    const manager = new JobManager(repository, new JobExecutor(new LocalWorkerAdapter()))
    const id = await manager.submitJob(spec('echo 1', 'echo 2'), { concurrency: 2 })
    const job = await inState(manager, id, 'completed')
    expect(job.logs.map(({ stdout }) => stdout).sort()).toStrictEqual(['1\n', '2\n'])
    expect(job.spec).toStrictEqual(spec('echo 1', 'echo 2'))
    if (repository instanceof FileJobRepository) {
      expect(readFileSync(join(dir, `${id}.json`), 'utf8')).toBe(JSON.stringify(job, null, 2))
    }
  }
})

test('subclasses of ours are used', async () => {
  spies()
  class Own extends LocalWorkerAdapter {
    async execute(job) {
      return { ...(await super.execute(job)), own: true }
    }
  }
  const onChunkComplete = jest.fn()
  await new JobExecutor(new Own()).execute(spec('echo up'), { onChunkComplete })
  expect(onChunkComplete).toHaveBeenCalledWith(1, expect.objectContaining({ stdout: 'up\n', own: true }))
})
