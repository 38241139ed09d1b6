// HetznerCloudAdapter against a stand-in that follows the documents of the API, and whose servers really run their script.
import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { HetznerCloudAdapter, JobExecutor, LocalStorageAdapter, S3StorageAdapter } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { startHetzner, startResults } from './support/hetzner.mjs'
import { spec } from './support/jobs.mjs'
import { loopback, lostAnswers } from './support/loopback.mjs'
import { rejection, until } from './support/wait.mjs'

/** Nothing of ours may take longer to end than this. The promise is 100 ms; machines that run tests have other work. */
const AT_ONCE = 400
const hasShell = ['curl', 'sh'].every((program) => spawnSync(program, ['--version']).error === undefined)
let hetzner, results
const start = async (options) => {
  hetzner = await startHetzner(options)
  results = await startResults()
}
const make = (config) =>
  new HetznerCloudAdapter({
    apiToken: 'hetzner-token',
    serverType: 'cx22',
    image: 'debian-12',
    pollIntervalMs: 20,
    apiUrl: hetzner.url,
    resultUrl: results.url,
    ...config,
  })
const sh = (script, more) => ({ command: 'sh', args: ['-c', script], meta: { chunkId: 3 }, ...more })
const gone = () => expect([hetzner.servers.size, results.kept.size]).toEqual([0, 0])

describe.skipIf(!hasShell)('a server (needs curl and sh)', () => {
  it('runs the command, hands in what came of it, and is deleted', async () => {
    await start()
    const heard = []
    const onStdout = (text) => void heard.push(text)
    const result = await make({ sshKeyId: 7, location: 'fsn1' }).execute(
      sh('echo out; printf err >&2; exit 3', { onStdout }),
    )
    expect(result).toEqual({
      exitCode: 3,
      stdout: 'Execution completed.\nout\n',
      stderr: 'err',
      durationMs: expect.any(Number),
    })
    expect(heard.join('')).toBe(
      'Creating server...\nServer 41 created. Waiting for it to end...\nServer 41 is off.\nExecution completed.\nout\n',
    )
    const [{ name, labels, user_data, ...order }] = hetzner.orders
    expect(name).toMatch(/^helios-worker-3-[0-9a-f]{12}$/)
    expect(labels).toEqual({ helios: 'worker', 'helios-expires': expect.stringMatching(/^\d+$/) })
    expect(Number(labels['helios-expires']) - Date.now() / 1000).toBeGreaterThan(300)
    expect(user_data).toMatch(/^#!\/bin\/sh\n/)
    const rest = { server_type: 'cx22', image: 'debian-12', ssh_keys: [7], location: 'fsn1', start_after_create: true }
    expect(order).toEqual(rest)
    expect(hetzner.deleted).toEqual([41])
    gone()
  })

  it('gets every word and variable as it is', async () => {
    await start()
    const odd = `it's "$HOME" \`id\` \\ * ünï 😀\nnew line; exit 9`
    const args = ['-c', 'printf "%s|" "$@"; printf "%s" "$ODD"', 'sh', odd, '', '-n', '$(id)']
    const env = { ...process.env, ODD: odd }
    const { stdout, stderr, exitCode } = await make().execute({ command: 'sh', args, env })
    expect([exitCode, stderr, stdout]).toEqual([0, '', `Execution completed.\n${odd}||-n|$(id)|${odd}`])
    expect((await make().execute({ command: 'env', env: { 'od.d': '1' } })).stdout).toContain('\nod.d=1\n')
    gone()
  })

  it('gets no variables but those of the job', async () => {
    await start()
    process.env.HELIOS_TEST_SECRET = 'hush-hush'
    try {
      const { stdout } = await make().execute(sh('env', { env: process.env }))
      expect(stdout).not.toContain('hush-hush')
      expect(hetzner.orders[0].user_data).not.toContain('hush-hush')
      const forwardEnv = ['HELIOS_TEST_SECRET']
      expect((await make({ forwardEnv }).execute(sh('env'))).stdout).toContain('HELIOS_TEST_SECRET=hush-hush\n')
    } finally {
      delete process.env.HELIOS_TEST_SECRET
    }
  })

  it.each([
    ['a command that is not there', { command: 'no-such-command' }, 127],
    ['a command that kills itself', sh('kill -9 $$'), 137],
  ])('tells of %s', async (_, job, exitCode) => {
    await start()
    expect((await make().execute(job)).exitCode).toBe(exitCode)
    gone()
  })

  it('hands in the end of long output', { timeout: 30_000 }, async () => {
    await start()
    const { stdout, exitCode } = await make().execute(sh('head -c 9000000 /dev/zero | tr "\\0" x; echo end'))
    expect([exitCode, stdout.length, stdout.slice(-5)]).toEqual([0, 8 * 1024 * 1024 + 21, 'xend\n'])
  })

  it('that turns itself off without a result is a failure', async () => {
    await start()
    hetzner.meddle = (request) => {
      if (request.method === 'GET' && /\/\d+$/.test(request.url)) results.kept.clear()
    }
    const { exitCode, stderr, retry } = await make().execute(sh('true'))
    expect([exitCode, stderr]).toEqual([1, 'Server 41 is off and has not handed in a result: HTTP 404'])
    expect(retry).toEqual({ kind: 'transient' })
    gone()
  })

  it('may have all the time there is', async () => {
    await start()
    expect((await make({ timeoutMs: Infinity }).execute(sh('true'))).exitCode).toBe(0)
    gone()
  })

  it('survives faults of the API', { timeout: 30_000 }, async () => {
    const faults = [
      (_, response) => response.writeHead(503).end(),
      (request) => request.socket.resetAndDestroy(),
      (_, response) => response.writeHead(429, { 'retry-after': '1' }).end(),
      (_, response) => response.end('<html>'),
    ]
    await start({
      meddle: (request, response) => {
        if (request.method !== 'GET' || !/\/\d+$/.test(request.url) || faults.length === 0) return false
        faults.shift()(request, response)
        return true
      },
    })
    expect((await make().execute(sh('true'))).exitCode).toBe(0)
    expect(faults).toEqual([])
    gone()
  })
})

describe('a result channel', () => {
  it('is needed', async () => {
    await start()
    const storage = new LocalStorageAdapter({ storageDir: tempFolder() })
    for (const config of [{ resultUrl: undefined }, { resultUrl: undefined, storage }]) {
      const result = await make(config).execute(sh('true'))
      expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
      expect(result.stderr).toMatch(
        /^HetznerCloudAdapter cannot tell what becomes of a command without config\.storage/,
      )
    }
    expect(hetzner.api.requests).toEqual([])
  })

  it('is signed for as long as clouds allow', async () => {
    await start({ boot: false })
    const credentials = { accessKeyId: 'key', secretAccessKey: 'hush' }
    const endpoint = 'http://127.0.0.1:1'
    const storage = new S3StorageAdapter({ bucket: 'own', region: 'us-east-1', endpoint, credentials })
    const seconds = async (timeoutMs) => {
      const stop = new AbortController()
      const orders = hetzner.orders.length
      const running = make({ storage, timeoutMs }).execute(sh('true', { signal: stop.signal }))
      await until(() => hetzner.orders.length > orders, 'the order')
      stop.abort()
      await running
      return /X-Amz-Expires=(\d+)/.exec(hetzner.orders.at(-1).user_data)[1]
    }
    expect([await seconds(60_000), await seconds(Infinity)]).toEqual(['660', '604800'])
  })

  it('must be a URL', async () => {
    await start()
    const result = await make({ resultUrl: 'somewhere' }).execute(sh('true'))
    expect(result).toMatchObject({ exitCode: 1, stderr: 'config.resultUrl is no URL' })
  })
})

it('does not wait for long for a result to be removed', { timeout: 30_000 }, async () => {
  const lines = captureConsole()
  await start({ boot: false })
  results = await startResults({ meddle: ({ method }) => method === 'DELETE' })
  const started = performance.now()
  const { stderr } = await make({ timeoutMs: 100 }).execute(sh('true'))
  expect(stderr).toBe('Execution timeout exceeded')
  await until(() => results.cut === 1, 'the end of the removal')
  expect(performance.now() - started).toBeLessThan(15_000)
  expect([hetzner.servers.size, printed(lines, 'warn')]).toEqual([0, []])
})

describe('what cannot be made', () => {
  // Others are about the list of servers, which the end of a test may have cut off.
  const left = (lines) => printed(lines, 'warn').filter((line) => line.includes('may be left'))

  it('is told when the token is wrong', async () => {
    captureConsole()
    await start()
    const result = await make({ apiToken: 'other' }).execute(sh('true'))
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
    expect(result.stderr).toMatch(/^Failed to create server: 401 - .*unauthorized/)
  })

  it.each([
    [429, 'throttled', []],
    // It may have been made all the same, and cannot be looked for here.
    [503, 'transient', ['Warning: a server at Hetzner may be left: 403 Forbidden']],
    [412, 'fatal', []],
  ])('is told with a hint after %i', async (status, kind, warnings) => {
    const lines = captureConsole()
    await start({
      meddle: ({ method, url }, response) => {
        if (method === 'POST') response.writeHead(status).end('no')
        else if (url.includes('?name=')) response.writeHead(403).end()
        return response.headersSent
      },
    })
    const result = await make().execute(sh('true'))
    expect(result).toMatchObject({ exitCode: 1, stderr: `Failed to create server: ${status} - no`, retry: { kind } })
    await until(() => left(lines).length === warnings.length, 'the warning')
    expect(left(lines)).toEqual(warnings)
  })

  it.each(Object.entries(lostAnswers))('may be there all the same after %s: it is deleted', async (_, lose) => {
    const lines = captureConsole()
    await start({
      boot: false,
      meddle: (request, response) => {
        if (request.method === 'POST') lose(request, response)
        return false
      },
    })
    const { exitCode, stderr } = await make().execute(sh('true'))
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/^Failed to create server: /)])
    await until(() => hetzner.deleted.length === 1, 'the server to be deleted')
    expect(left(lines)).toEqual([])
    gone()
  })

  it('is told where nobody listens', async () => {
    captureConsole()
    await start()
    const server = await loopback(() => {})
    await server.close()
    const result = await make({ apiUrl: server.url }).execute(sh('true'))
    expect(result.stderr).toMatch(/^Failed to create server: .*refused/)
    expect(result.retry).toEqual({ kind: 'transient' })
  })

  it('is a command that is too long', async () => {
    await start()
    const result = await make().execute({ command: 'echo', args: ['x'.repeat(40_000)] })
    expect(result.stderr).toMatch(/^The command is too long for Hetzner: \d+ bytes of user data, 32768 are allowed$/)
    expect(hetzner.api.requests).toEqual([])
  })
})

describe('an end before its time', () => {
  it('before anything is asked makes nothing', async () => {
    await start()
    const result = await make().execute(sh('true', { signal: AbortSignal.abort() }))
    expect(result).toMatchObject({ exitCode: 1, stderr: 'Job aborted before execution' })
    expect(hetzner.api.requests).toEqual([])
  })

  it('while the command runs deletes the server first', async () => {
    await start({ boot: false })
    const stop = new AbortController()
    const running = make().execute(sh('sleep 60', { signal: stop.signal }))
    await until(() => hetzner.servers.size === 1, 'the server')
    const started = performance.now()
    stop.abort()
    expect(await running).toMatchObject({ exitCode: 1, stderr: 'Job aborted during execution' })
    expect(performance.now() - started).toBeLessThan(AT_ONCE)
    gone()
  })

  it('while the server is being made deletes it afterwards', async () => {
    let open
    const held = new Promise((resolve) => (open = resolve))
    await start({ boot: false, meddle: async (request) => void (request.method === 'POST' && (await held)) })
    const stop = new AbortController()
    const running = make().execute(sh('sleep 60', { signal: stop.signal }))
    await until(() => hetzner.api.requests.some(({ method }) => method === 'POST'), 'the order')
    const started = performance.now()
    stop.abort()
    expect(await running).toMatchObject({ exitCode: 1, stderr: 'Job aborted during execution' })
    expect(performance.now() - started).toBeLessThan(AT_ONCE)
    open()
    await until(() => hetzner.deleted.length === 1, 'the server to be deleted')
    gone()
  })

  it.each([
    ['its own limit', { timeoutMs: 150 }, {}, 'Execution timeout exceeded'],
    ['that of the job', {}, { timeout: 150 }, 'Worker job timed out after 150ms'],
    ['the shorter one', { timeoutMs: 150 }, { timeout: 60_000 }, 'Execution timeout exceeded'],
  ])('by %s says so', async (_, config, job, stderr) => {
    await start({ boot: false })
    const result = await make(config).execute(sh('sleep 60', job))
    expect(result).toMatchObject({ exitCode: 1, stderr, timedOut: true })
    gone()
  })

  it('tells that a server could not be deleted', async () => {
    await start({
      boot: false,
      meddle: (request, response) => request.method === 'DELETE' && (response.writeHead(403).end('no'), true),
    })
    const { stderr } = await make({ timeoutMs: 100 }).execute(sh('true'))
    expect(stderr).toBe('Execution timeout exceeded\nFailed to clean up server: 403 Forbidden no')
  })
})

describe('servers that are left', () => {
  it('are deleted when their time is over, and no others', async () => {
    captureConsole()
    await start({ boot: false })
    const server = (id, labels) =>
      hetzner.servers.set(id, { id, name: `s${id}`, labels, status: 'running', end: () => {} })
    const seconds = Math.floor(Date.now() / 1000)
    server(1, { helios: 'worker', 'helios-expires': `${seconds - 10}` })
    server(2, { helios: 'worker', 'helios-expires': `${seconds + 100}` })
    server(3, { helios: 'worker' })
    server(4, { other: 'thing', 'helios-expires': '1' })
    const adapter = make({ timeoutMs: 50 })
    await adapter.execute(sh('true'))
    await until(() => hetzner.deleted.length === 2, 'the server that is left to be deleted')
    await adapter.execute(sh('true'))
    expect([hetzner.deleted.toSorted((a, b) => a - b), [...hetzner.servers.keys()]]).toEqual([
      [1, 41, 42],
      [2, 3, 4],
    ])
    const lists = hetzner.api.requests.filter(({ method, url }) => method === 'GET' && url.includes('label_selector'))
    expect(lists.length).toBe(1)
  })

  const leave = (count) => {
    for (let id = 1; id <= count; id += 1) {
      const labels = { helios: 'worker', 'helios-expires': '1' }
      hetzner.servers.set(id, { id, name: `s${id}`, labels, status: 'running', end: () => {} })
    }
    hetzner.next = 1000
  }

  it('are deleted all, however many there are', async () => {
    const lines = captureConsole()
    await start({ boot: false })
    leave(120)
    await make({ timeoutMs: 50 }).execute(sh('true'))
    await until(() => hetzner.servers.size === 0, 'all servers to be deleted')
    expect([hetzner.deleted.length, printed(lines, 'warn')]).toEqual([121, []])
  })

  it('that cannot be deleted do not keep the others, and are told once', async () => {
    const lines = captureConsole()
    await start({
      boot: false,
      meddle: (request, response) => {
        if (request.method !== 'DELETE' || !/\/[23]$/.test(request.url)) return false
        if (request.url.endsWith('/2')) response.writeHead(423).end('locked')
        else request.socket.resetAndDestroy()
        return true
      },
    })
    leave(4)
    await make({ timeoutMs: 50 }).execute(sh('true'))
    await until(() => printed(lines, 'warn').length > 0, 'the warning')
    expect(printed(lines, 'warn')).toEqual([
      'Warning: servers that are left could not be deleted (2, 3): 423 Locked locked',
    ])
    expect([...hetzner.servers.keys()]).toEqual([2, 3])
  })

  it('are deleted as far as they are known where a page is missing', async () => {
    const lines = captureConsole()
    await start({
      boot: false,
      meddle: ({ url }, response) => /[?&]page=2/.test(url) && (response.writeHead(500).end(), true),
    })
    leave(60)
    await make({ timeoutMs: 50 }).execute(sh('true'))
    await until(() => hetzner.servers.size === 10, 'the first page to be deleted')
    await until(() => printed(lines, 'warn').length > 0, 'the warning')
    expect(printed(lines, 'warn')).toEqual([
      'Warning: servers that are left could not be looked for: 500 Internal Server Error',
    ])
  })

  it('are warned of where they cannot be looked for', async () => {
    const lines = captureConsole()
    await start({
      boot: false,
      meddle: (request, response) => request.url.includes('label_selector') && (response.writeHead(403).end(), true),
    })
    await make({ timeoutMs: 50 }).execute(sh('true'))
    await until(() => printed(lines, 'warn').length > 0, 'the warning')
    expect(printed(lines, 'warn')).toEqual(['Warning: servers that are left could not be looked for: 403 Forbidden'])
  })
})

it.skipIf(!hasShell)('renders a job of several chunks (needs curl and sh)', async () => {
  captureConsole()
  await start()
  const job = spec(4, { mergeCommand: 'echo merged' })
  for (const chunk of job.chunks) chunk.command = `echo chunk ${chunk.id}`
  const outputs = []
  await new JobExecutor(make()).execute(job, {
    concurrency: 4,
    onChunkComplete: (id, { stdout }) => void outputs.push([id, stdout]),
  })
  expect(outputs.sort()).toEqual([1, 2, 3, 4].map((id) => [id, `Execution completed.\nchunk ${id}\n`]))
  expect(hetzner.deleted.length).toBe(5)
  gone()
})

it('never shows its secrets', async () => {
  await start({ boot: false, meddle: (request) => void (request.method === 'GET' && request.socket.resetAndDestroy()) })
  captureConsole()
  const result = await make({ timeoutMs: 200 }).execute(sh('true'))
  for (const secret of ['hetzner-token', 'result-secret']) expect(JSON.stringify(result)).not.toContain(secret)
  const error = await rejection(async () => new HetznerCloudAdapter())
  expect(error).toBeInstanceOf(TypeError)
})
