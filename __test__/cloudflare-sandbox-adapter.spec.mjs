// CloudflareSandboxAdapter against a stand-in whose sandboxes really run what they are told.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CloudflareSandboxAdapter, JobExecutor, LocalStorageAdapter } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { spec } from './support/jobs.mjs'
import { loopback, lostAnswers } from './support/loopback.mjs'
import { startSandboxes } from './support/sandbox.mjs'
import { rejection, until } from './support/wait.mjs'

/** Nothing of ours may take longer to end than this. The promise is 100 ms; machines that run tests have other work. */
const AT_ONCE = 400
const PREFIX = 'Cloudflare Sandbox execution failed: '
const hasShell = ['curl', 'setsid', 'pkill'].every((name) => spawnSync(name, ['--version']).error === undefined)
const meta = { chunkId: 3, jobDefUrl: 's3://bucket/job/job.json' }
const sh = (script, more) => ({ command: 'sh', args: ['-c', script], meta, ...more })
let api
const start = async (options) => (api = await startSandboxes(options))
const make = (config) =>
  new CloudflareSandboxAdapter({
    accountId: 'account',
    apiToken: 'cloudflare-token',
    namespace: 'films',
    pollIntervalMs: 10,
    apiUrl: api.url,
    ...config,
  })
const gone = () => expect([api.sandboxes.size, api.destroyed.length]).toEqual([0, api.made])

describe.skipIf(!hasShell)('a sandbox (needs curl, setsid, pkill)', () => {
  it('renders the chunk, gives its log, and is destroyed', async () => {
    await start()
    const result = await make().execute(sh('echo out; echo err >&2; echo $HELIOS_JOB_PATH $HELIOS_CHUNK_INDEX'))
    expect(result).toEqual({
      exitCode: 0,
      stdout: 'out\nerr\ns3://bucket/job/job.json 3\n',
      stderr: '',
      durationMs: expect.any(Number),
    })
    gone()
  })

  it('that fails has its log in stderr', async () => {
    await start()
    expect(await make().execute(sh('echo log; exit 5'))).toMatchObject({ exitCode: 5, stdout: '', stderr: 'log\n' })
    gone()
  })

  it('gets every word as it is, and gives no colours back', async () => {
    await start()
    const odd = `it's "$HOME" \`id\` \\ * ünï 😀\nnew line; exit 9`
    const args = ['-c', String.raw`printf "%s|" "$@"; printf "\033[1;31mred\033[0m"`, 'sh', odd, '', '$(id)']
    expect((await make().execute({ command: 'sh', args, meta })).stdout).toBe(`${odd}||$(id)|red`)
    gone()
  })

  it('has the definition of the job where it can be fetched', async () => {
    await start()
    const server = await loopback((_, response) => void response.end('{"id":"film"}'))
    const own = { chunkId: 0, jobDefUrl: `${server.url}/it's.json` }
    expect((await make().execute(sh('cat job.json', { meta: own }))).stdout).toBe('{"id":"film"}')
    await server.close()
    const { exitCode, stderr } = await make().execute(sh('cat job.json', { meta: own }))
    expect([exitCode, stderr.startsWith(`${PREFIX}the command cannot be started: curl`)]).toEqual([1, true])
    gone()
  })

  it('runs another command where one is set', async () => {
    await start()
    const render = { renderCommand: `sh -c "echo config"` }
    expect((await make(render).execute(sh('echo own'))).stdout).toBe('config\n')
    const own = { ...meta, renderCommand: 'echo "of the job"' }
    expect((await make(render).execute(sh('echo own', { meta: own }))).stdout).toBe('of the job\n')
    gone()
  })

  it('that is recycled is a failure that may pass', async () => {
    await start({
      meddle: (_, __, body) => {
        if (api.commands.length === 1 && body.includes('echo gone')) api.recycle('sandbox1')
      },
    })
    const result = await make().execute(sh('sleep 60'))
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'transient' } })
    expect(result.stderr).toBe(`${PREFIX}Sandbox sandbox1 was recycled while it rendered`)
    gone()
  })

  it('that does not end is given up after so many looks', async () => {
    await start()
    const { exitCode, stderr } = await make({ maxPollAttempts: 4 }).execute(sh('sleep 60'))
    expect([exitCode, stderr]).toEqual([1, `${PREFIX}Sandbox sandbox1 timed out after 4 poll attempts`])
    expect(api.commands.length).toBe(5)
    gone()
  })

  it('survives faults of the API', async () => {
    const faults = [
      (_, response) => response.writeHead(503).end(),
      (request) => request.socket.resetAndDestroy(),
      (_, response) => response.writeHead(429).end(),
    ]
    await start({
      meddle: (request, response, body) => {
        if (!body.includes('echo gone') || faults.length === 0) return false
        faults.shift()(request, response)
        return true
      },
    })
    expect((await make().execute(sh('true'))).exitCode).toBe(0)
    expect(faults).toEqual([])
    gone()
  })

  it('has its log kept', async () => {
    await start()
    const storageDir = tempFolder()
    const logStorage = new LocalStorageAdapter({ storageDir })
    await make({ logStorage }).execute(sh('echo fine'))
    await make({ logStorage }).execute(sh('echo wrong; exit 1'))
    const log = (id) => readFileSync(join(storageDir, 'logs', id, 'sandbox.log'), 'utf8')
    expect([log('sandbox1'), log('sandbox2')]).toEqual(['fine\n', 'wrong\n'])
  })

  it('is none the worse for a storage that fails', async () => {
    const lines = captureConsole()
    await start()
    const logStorage = { uploadAssetBundle: async () => Promise.reject(new Error('the bucket is gone')) }
    expect((await make({ logStorage }).execute(sh('true'))).exitCode).toBe(0)
    expect(printed(lines, 'warn')).toEqual([
      'Warning: the log of sandbox sandbox1 could not be kept: the bucket is gone',
    ])
  })

  it('renders each chunk of a job, and joins them here', async () => {
    captureConsole()
    await start()
    const [outputs, jobDir] = [[], tempFolder()]
    const job = spec(3, { mergeCommand: 'sh -c "echo merged > film.txt"' })
    for (const chunk of job.chunks) chunk.command = `echo chunk ${chunk.id}`
    await new JobExecutor(make()).execute(job, {
      jobDir,
      concurrency: 3,
      onChunkComplete: (id, { stdout }) => void outputs.push([id, stdout]),
    })
    expect(outputs.sort()).toEqual([1, 2, 3].map((id) => [id, `chunk ${id}\n`]))
    expect(readFileSync(join(jobDir, 'film.txt'), 'utf8')).toBe('merged\n')
    const options = {
      meta: { renderCommand: 'echo other' },
      merge: false,
      onChunkComplete: (_, { stdout }) => void outputs.push(stdout),
    }
    outputs.length = 0
    await new JobExecutor(make()).execute(job, options)
    expect(outputs).toEqual(Array(3).fill('other\n'))
    gone()
  })
})

describe('what cannot be done', () => {
  it.each([
    ['the token is wrong', { apiToken: 'other' }, 403, 'fatal'],
    ['the account is another', { accountId: 'other' }, 404, 'fatal'],
  ])('is told when %s', async (_, config, status, kind) => {
    await start()
    const result = await make(config).execute(sh('true'))
    expect(result).toMatchObject({ exitCode: 1, stdout: '', retry: { kind } })
    expect(result.stderr).toMatch(new RegExp(`^${PREFIX}Failed to create sandbox: HTTP ${status} - \\{`))
    expect(result.stderr).not.toContain('Bearer')
  })

  const LEFT = 'Warning: a Cloudflare sandbox may be left: nobody has said whether it was made'
  it.each([
    [429, 'throttled', []],
    [503, 'transient', [LEFT]],
  ])('is told with a hint after %i', async (status, kind, warnings) => {
    const lines = captureConsole()
    await start({ meddle: (_, response) => (response.writeHead(status).end('later'), true) })
    const stderr = `${PREFIX}Failed to create sandbox: HTTP ${status} - later`
    expect(await make().execute(sh('true'))).toMatchObject({ exitCode: 1, stderr, retry: { kind } })
    await until(() => printed(lines, 'warn').length === warnings.length, 'the warning')
    expect(printed(lines, 'warn')).toEqual(warnings)
  })

  it.each(Object.entries(lostAnswers))('is warned of after %s: the sandbox may be there', async (_, lose) => {
    const lines = captureConsole()
    await start({
      meddle: (request, response) => {
        if (request.method === 'POST') lose(request, response)
        return false
      },
    })
    const { exitCode, stderr } = await make().execute(sh('true'))
    expect([exitCode, stderr.startsWith(`${PREFIX}Failed to create sandbox: `)]).toEqual([1, true])
    await until(() => printed(lines, 'warn').length === 1, 'the warning')
    expect(printed(lines, 'warn')).toEqual([LEFT])
  })

  it('is told where a command is refused', async () => {
    await start({
      meddle: (request, response) => request.url.endsWith('/exec') && (response.writeHead(400).end('no'), true),
    })
    const result = await make().execute(sh('true'))
    expect(result).toMatchObject({ exitCode: 1, stderr: `${PREFIX}Sandbox exec failed: HTTP 400 - no` })
    gone()
  })

  it('rejects without a chunk', async () => {
    await start()
    const error = await rejection(() => make().execute(sh('true', { meta: {} })))
    expect(error.message).toBe('CloudflareSandboxAdapter requires job.meta.chunkId to be set')
    expect(api.server.requests).toEqual([])
  })
})

describe('an end before its time', () => {
  it('before anything is asked makes nothing', async () => {
    await start()
    const result = await make().execute(sh('true', { signal: AbortSignal.abort() }))
    expect(result).toMatchObject({ exitCode: 1, stderr: `${PREFIX}Job was cancelled` })
    expect(api.server.requests).toEqual([])
  })

  it.skipIf(!hasShell)('while it renders destroys the sandbox first (needs curl, setsid, pkill)', async () => {
    await start()
    const stop = new AbortController()
    const running = make().execute(sh('sleep 60', { signal: stop.signal }))
    await until(() => api.commands.length >= 2, 'a look')
    const started = performance.now()
    stop.abort()
    expect(await running).toMatchObject({ exitCode: 1, stderr: `${PREFIX}Job was cancelled` })
    expect(performance.now() - started).toBeLessThan(AT_ONCE)
    gone()
  })

  it.skipIf(!hasShell)('while nobody ever looks destroys the sandbox (needs curl, setsid, pkill)', async () => {
    await start()
    const stop = new AbortController()
    const running = make({ pollIntervalMs: Infinity }).execute(sh('sleep 60', { signal: stop.signal }))
    await until(() => api.commands.length === 1, 'the command')
    stop.abort()
    expect(await running).toMatchObject({ exitCode: 1, stderr: `${PREFIX}Job was cancelled` })
    gone()
  })

  it('while it is being made destroys it afterwards', async () => {
    let open
    const held = new Promise((resolve) => (open = resolve))
    await start({ meddle: async (request) => void (request.method === 'POST' && (await held)) })
    const stop = new AbortController()
    const running = make().execute(sh('true', { signal: stop.signal }))
    await until(() => api.server.requests.length === 1, 'the order')
    const started = performance.now()
    stop.abort()
    expect((await running).exitCode).toBe(1)
    expect(performance.now() - started).toBeLessThan(AT_ONCE)
    open()
    await until(() => api.destroyed.length === 1, 'the sandbox to be destroyed')
    gone()
  })

  it('by a timeout says so', async () => {
    await start({ meddle: (request) => new Promise((go) => (request.url.endsWith('/exec') ? undefined : go())) })
    const result = await make().execute(sh('true', { timeout: 120 }))
    expect(result).toMatchObject({ exitCode: 1, stderr: `${PREFIX}Worker job timed out after 120ms`, timedOut: true })
    gone()
  })
})
