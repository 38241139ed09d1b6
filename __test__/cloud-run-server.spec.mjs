// createCloudRunServer: a chunk per request.
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { Server, createServer, request } from 'node:http'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { LocalStorageAdapter, createCloudRunServer } from '../index.js'
import { tempFolder } from './support/files.mjs'
import { processMark } from './support/processes.mjs'
import { startScript } from './support/scripts.mjs'
import { gate, outcome, until, within } from './support/wait.mjs'
import { jobFile, jobOf, plainStorage, post, postJob, rawClient, shell, startServer } from './support/workers.mjs'

afterEach(() => void [vi.unstubAllEnvs(), vi.unstubAllGlobals()])

const answer = ({ status, body }) => [status, body]

describe('a request', () => {
  it.each([
    ['echo out; echo err >&2', 200, { exitCode: 0, stdout: 'out\n', stderr: 'err\n' }],
    ['echo no >&2; exit 3', 500, { exitCode: 3, stdout: '', stderr: 'no\n' }],
  ])('runs its chunk: %s', async (script, status, body) => {
    const { url } = await startServer({ workspaceDir: tempFolder() })
    const response = await postJob(url, jobFile(shell(script)))
    expect(answer(response)).toEqual([status, body])
    expect(response.headers.get('content-type')).toBe('application/json')
  })

  it.each([
    ['', 'Invalid JSON payload'],
    ['{', 'Invalid JSON payload'],
    ['undefined', 'Invalid JSON payload'],
    ['null', 'Missing jobPath or chunkIndex'],
    ['5', 'Missing jobPath or chunkIndex'],
    ['[]', 'Missing jobPath or chunkIndex'],
    ['"x"', 'Missing jobPath or chunkIndex'],
    ['{}', 'Missing jobPath or chunkIndex'],
    ['{"jobPath":"x"}', 'Missing jobPath or chunkIndex'],
    ['{"jobPath":"","chunkIndex":1}', 'Missing jobPath or chunkIndex'],
    ['{"jobPath":5,"chunkIndex":1}', 'Missing jobPath or chunkIndex'],
    ['{"jobPath":"x","chunkIndex":"1"}', 'Missing jobPath or chunkIndex'],
  ])('with %j is refused', async (payload, message) => {
    const { url } = await startServer()
    expect(answer(await post(url, payload))).toEqual([400, { message }])
  })

  it.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('by %s is refused', async (method) => {
    const { url } = await startServer()
    const response = await fetch(url, { method })
    expect([response.status, await response.json()]).toEqual([405, { message: 'Method Not Allowed' }])
    expect(response.headers.get('allow')).toBe('POST')
  })

  it('for its health is answered', async () => {
    const { url } = await startServer()
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    expect((await fetch(`${url}/healthz?from=probe`)).status).toBe(200)
    expect((await fetch(`${url}/healthz2`)).status).toBe(405)
  })

  it('for which something goes wrong gets a 500 that says what', async () => {
    const { url } = await startServer()
    const path = join(tempFolder(), 'missing')
    const message = `ENOENT: no such file or directory, open '${path}'`
    expect(answer(await postJob(url, path))).toEqual([500, { message }])
  })

  it('has its own folder when it needs assets, and gets the URL of what the chunk wrote', async () => {
    const [workspaceDir, dir] = [tempFolder(), tempFolder()]
    writeFileSync(join(dir, 'asset.txt'), 'asset')
    const storage = new LocalStorageAdapter({ storageDir: join(tempFolder(), 'storage') })
    const assetsUrl = await storage.uploadAssetBundle('4f1a', dir)
    const jobPath = await storage.uploadJobSpec('4f1a', jobOf(shell('pwd; cat asset.txt > 1.mp4'), { assetsUrl }))
    const { url } = await startServer({ workspaceDir, storage })
    const { status, body } = await postJob(url, jobPath)
    expect([status, body.outputUrl]).toEqual([200, jobPath.replace('job.json', '.helios-outputs/1.mp4')])
    expect(body.stdout.startsWith(join(workspaceDir, 'helios-run-'))).toBe(true)
    expect(readdirSync(workspaceDir)).toEqual([])
  })
})

describe('the server', () => {
  it('is one of node:http, and listen gives it', async () => {
    const { server, listen } = createCloudRunServer({ port: 0 })
    expect(server).toBeInstanceOf(Server)
    const listening = gate()
    expect(listen(listening.open)).toBe(server)
    await listening.promise
    expect(server.address().port).toBeGreaterThan(0)
    await new Promise((resolve) => server.close(resolve))
  })

  it('listens where PORT says, unless that is empty', async () => {
    vi.stubEnv('PORT', '0')
    const { server, listen } = createCloudRunServer()
    const spy = vi.spyOn(server, 'listen').mockReturnValue(server)
    listen()
    vi.stubEnv('PORT', '')
    listen()
    vi.stubEnv('PORT', '3')
    listen()
    expect(spy.mock.calls.map(([port]) => port)).toEqual([0, 8080, 3])
  })

  it('says by its error event that its port is taken', async () => {
    const other = createServer().listen(0)
    onTestFinished(() => void other.close())
    await new Promise((resolve) => other.once('listening', resolve))
    const before = process.listenerCount('SIGTERM')
    const { server, listen } = createCloudRunServer({ port: other.address().port })
    const failed = new Promise((resolve) => server.once('error', resolve))
    listen()
    expect(await failed).toMatchObject({ code: 'EADDRINUSE' })
    expect(process.listenerCount('SIGTERM')).toBe(before)
  })

  it.each([
    [5, 'config must be an object'],
    [{ port: '80' }, 'config.port must be a number'],
    [{ workspaceDir: 5 }, 'config.workspaceDir must be a string'],
    [{ storage: 's3' }, 'config.storage must be an ArtifactStorage'],
    [{ maxConcurrentChunks: '2' }, 'config.maxConcurrentChunks must be a number of at least 1'],
    [{ maxConcurrentChunks: 0 }, 'config.maxConcurrentChunks must be a number of at least 1'],
    [{ allowedJobPaths: 'x' }, 'config.allowedJobPaths must be an array'],
    [{ allowedJobPaths: ['/a', 5] }, 'config.allowedJobPaths[1] must be a URL or a path'],
    [{ allowedJobPaths: [''] }, 'config.allowedJobPaths[0] must be a URL or a path'],
  ])('is not made of %j', (config, message) => {
    expect(() => createCloudRunServer(config)).toThrow(new TypeError(message))
  })
})

describe('maxConcurrentChunks', () => {
  it.each([1, 1.9])('turns away what is more than %d, until there is room again', async (maxConcurrentChunks) => {
    const { url } = await startServer({ maxConcurrentChunks })
    const flag = join(tempFolder(), 'go')
    const first = postJob(url, jobFile(shell(`touch ${flag}.begun; while [ ! -e ${flag} ]; do sleep 0.02; done`)))
    await until(() => readdirSync(join(flag, '..')).includes('go.begun'), 'the first to start')
    const second = await postJob(url, jobFile('true'))
    expect(second.status).toBe(429)
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    writeFileSync(flag, '')
    expect((await first).status).toBe(200)
    expect((await postJob(url, jobFile('true'))).status).toBe(200)
  })
})

describe('allowedJobPaths', () => {
  it('lets in what is below them, and nothing that only looks like it', async () => {
    const dir = tempFolder()
    for (const name of ['jobs', 'jobs-of-others']) {
      mkdirSync(join(dir, name))
      writeFileSync(join(dir, name, 'job.json'), JSON.stringify(jobOf('true')))
    }
    const fetched = vi.fn(async () => ({ ok: true, json: async () => jobOf('true') }))
    const storage = plainStorage({ downloadJobSpec: async () => jobOf('true') })
    const allowedJobPaths = [
      join(dir, 'jobs'),
      'https://Host.example/jobs',
      'https://whole.example',
      's3://bucket/jobs/',
    ]
    const { url } = await startServer({ allowedJobPaths, storage })
    const ask = globalThis.fetch
    vi.stubGlobal('fetch', (target, init) =>
      String(target).startsWith(url) ? ask(target, init) : fetched(target, init),
    )
    const status = async (jobPath) => [jobPath, (await postJob(url, jobPath)).status]
    for (const jobPath of [
      join(dir, 'jobs', 'job.json'),
      join(dir, 'jobs-of-others', '..', 'jobs', 'job.json'),
      'https://host.example/jobs',
      'https://host.example/jobs/a/job.json?signature=a%2Fb',
      'HTTPS://HOST.EXAMPLE:443/jobs/a',
      'https://whole.example/anything',
      's3://bucket/jobs/a/job.json',
    ]) {
      expect(await status(jobPath)).toEqual([jobPath, 200])
    }
    expect(fetched.mock.calls[0]).toEqual([
      'https://host.example/jobs',
      { signal: expect.any(AbortSignal), redirect: 'error' },
    ])
    for (const jobPath of [
      join(dir, 'jobs-of-others', 'job.json'),
      `${dir}/jobs/../jobs-of-others/job.json`,
      dir,
      '/etc/passwd',
      'https://host.example/jobs-of-others/a',
      'https://host.example/jobs/../a',
      'https://host.example/jobs/%2e%2e/a',
      'https://host.example/jobs/.%2E/jobs/a',
      'https://host.example/jobs/..%2fa',
      'https://host.example/jobs/..%5Ca',
      'https://host.example/jobs\\..\\a',
      'https://host.example/jobs/\t../a',
      'https://host.example:8443/jobs/a',
      'http://host.example/jobs/a',
      'https://host.example.evil.example/jobs/a',
      'https://host.example@evil.example/jobs/a',
      'https://whole.example.evil.example/',
      'https:/host.example/jobs/a',
      ' https://host.example/jobs/a',
      's3://bucket/jobs/../secret/job.json',
      's3://bucket/jobs/%2e%2e/secret/job.json',
      's3://bucket/jobs/?/../../secret/job.json',
      's3://bucket/jobs/a#/../../secret/job.json',
      's3://bucket/jobs-of-others/job.json',
      's3://bucket.evil/jobs/a',
      'S3://bucket/jobs/a',
      'gcs://bucket/jobs/a',
      'file:///etc/passwd',
    ]) {
      expect(await status(jobPath)).toEqual([jobPath, 403])
    }
  })

  it('has a file read where it was looked for, not beside the target of a link', async () => {
    const dir = tempFolder()
    mkdirSync(join(dir, 'jobs'))
    mkdirSync(join(dir, 'secret', 'target'), { recursive: true })
    symlinkSync(join(dir, 'secret', 'target'), join(dir, 'jobs', 'link'))
    writeFileSync(join(dir, 'secret', 'job.json'), JSON.stringify(jobOf('echo secret')))
    const { url } = await startServer({ allowedJobPaths: [join(dir, 'jobs')] })
    const asked = `${dir}/jobs/link/../job.json`
    const read = join(dir, 'jobs', 'job.json')
    const message = `ENOENT: no such file or directory, open '${read}'`
    expect(answer(await postJob(url, asked))).toEqual([500, { message }])
    writeFileSync(read, JSON.stringify(jobOf('echo open')))
    expect((await postJob(url, asked)).body.stdout).toBe('open\n')
  })

  it('leads to no other job of a local storage by what would be a query elsewhere', async () => {
    const storageDir = tempFolder()
    mkdirSync(join(storageDir, 'jobs'))
    mkdirSync(join(storageDir, 'other'))
    writeFileSync(join(storageDir, 'other', 'job.json'), JSON.stringify(jobOf('echo secret')))
    const storage = new LocalStorageAdapter({ storageDir })
    const prefix = `local://${storageDir}/jobs/`
    const { url } = await startServer({ allowedJobPaths: [prefix], storage })
    for (const mark of ['?', '#']) {
      expect((await postJob(url, `${prefix}${mark}/../../other/job.json`)).status).toBe(403)
    }
  })

  it('lets in nothing when it is empty', async () => {
    const { url } = await startServer({ allowedJobPaths: [] })
    expect(answer(await postJob(url, jobFile('true')))).toEqual([403, { message: 'Job path is not allowed' }])
  })

  it.each(['https://host/a?b', 'https://host/#a', 'https://host/a/../b', 's3://bucket/%2e%2e/'])(
    'is not %s',
    (prefix) => {
      expect(() => createCloudRunServer({ allowedJobPaths: [prefix] })).toThrow(TypeError)
    },
  )
})

describe('a connection that is closed', () => {
  it.for([
    ['by a reset', (socket) => socket.resetAndDestroy()],
    ['in order', (socket) => socket.destroy()],
  ])('%s ends all that came of its chunk', async ([, close], context) => {
    const mark = processMark(context)
    vi.stubEnv('HELIOS_TEST_MARK', mark.env.HELIOS_TEST_MARK)
    const [workspaceDir, storage] = [tempFolder(), plainStorage()]
    const { url } = await startServer({ workspaceDir, storage })
    const client = request(url, { method: 'POST' })
    client.on('error', () => {})
    const script = shell('sleep 60 & (sleep 60 & wait) & wait')
    client.end(JSON.stringify({ jobPath: jobFile(script, { assetsUrl: 's3://b/a' }), chunkIndex: 1 }))
    await until(() => mark.living().length >= 4, 'the processes to start')
    close(client.socket)
    await until(() => mark.living().length === 0, 'the processes to end')
    await until(() => readdirSync(workspaceDir).length === 0, 'the folder to go')
  })

  it('ends the chunks of all requests that came on it', async (context) => {
    const mark = processMark(context)
    vi.stubEnv('HELIOS_TEST_MARK', mark.env.HELIOS_TEST_MARK)
    const { port } = await startServer({ workspaceDir: tempFolder() })
    const body = JSON.stringify({ jobPath: jobFile('sleep 60'), chunkIndex: 1 })
    const client = rawClient(port)
    client.socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`.repeat(20))
    await until(() => mark.living().length === 20, 'all to start')
    client.socket.destroy()
    await until(() => mark.living().length === 0, 'all to end')
  })

  it('while the definition is fetched ends that', async () => {
    const { url, port } = await startServer()
    const [ask, asked] = [globalThis.fetch, gate()]
    vi.stubGlobal('fetch', (target, { signal }) => {
      asked.open(signal)
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    })
    const client = rawClient(port)
    const body = JSON.stringify({ jobPath: 'https://host/job.json', chunkIndex: 1 })
    client.socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    const signal = await asked.promise
    client.socket.destroy()
    await until(() => signal.aborted, 'the fetch to be aborted')
    expect((await ask(`${url}/healthz`)).status).toBe(200)
  })
})

describe('SIGTERM', () => {
  const script = `
    const { server, listen } = lib.createCloudRunServer({ port: 0, workspaceDir: process.argv[1] })
    listen(() => console.log(server.address().port))
    server.on('close', () => console.log('closed', process.listenerCount('SIGTERM')))
  `
  const start = async (mark, more = '') => {
    const started = startScript(script + more, { args: [tempFolder()], env: { ...process.env, ...mark?.env } })
    const port = await until(() => Number(/^\d+\n/.exec(started.out.stdout)?.[0]), 'the server to listen')
    return { ...started, port, url: `http://127.0.0.1:${port}` }
  }

  it('ends chunks with a 503, closes the server, and lets the process end', async (context) => {
    const mark = processMark(context)
    const { child, ended, url, port } = await start(mark)
    const idle = rawClient(port)
    await until(() => idle.socket.readyState === 'open', 'the idle client to connect')
    const running = postJob(url, jobFile(shell('sleep 60 & sleep 60 & wait')))
    await until(() => mark.living().length >= 4, 'the chunk to start')
    child.kill('SIGTERM')
    const { status, body, headers } = await running
    expect([status, body]).toEqual([503, { message: 'The worker is shutting down' }])
    expect(headers.get('connection')).toBe('close')
    expect(await within(5000, ended)).toMatchObject({ code: 0, stdout: `${port}\nclosed 0\n`, stderr: '' })
    expect(mark.living()).toEqual([])
  })

  it('answers new requests with a 503 as long as a chunk ends', async (context) => {
    const mark = processMark(context)
    const { child, ended, url } = await start(mark)
    const stubborn =
      "trap 'touch $0.told; while [ ! -e $0 ]; do sleep 0.02; done; exit' TERM; touch $0.begun; sleep 60 & wait"
    const flag = join(tempFolder(), 'go')
    const names = () => readdirSync(join(flag, '..'))
    const tool = join(tempFolder(), 'tool')
    writeFileSync(tool, `#!/bin/sh\n${stubborn.replaceAll('$0', flag)}\n`, { mode: 0o755 })
    const running = postJob(url, jobFile(tool))
    await until(() => names().includes('go.begun'), 'the chunk to start')
    child.kill('SIGTERM')
    await until(() => names().includes('go.told'), 'the chunk to be told')
    expect((await postJob(url, jobFile('true'))).status).toBe(503)
    expect((await fetch(`${url}/healthz`)).status).toBe(503)
    writeFileSync(flag, '')
    expect((await running).status).toBe(503)
    expect((await within(5000, ended)).code).toBe(0)
  })

  it('is heard by other handlers, too, which decide when the process ends', async () => {
    const { child, ended, port } = await start(undefined, `process.on('SIGTERM', () => console.log('mine'))`)
    child.kill('SIGTERM')
    expect(await within(5000, ended)).toMatchObject({ code: 0, stdout: `${port}\nmine\nclosed 1\n` })
  })

  it('is listened to only while the server listens', async () => {
    const before = process.listenerCount('SIGTERM')
    const { server } = await startServer()
    expect(process.listenerCount('SIGTERM')).toBe(before + 1)
    await new Promise((resolve) => server.close(resolve))
    expect(process.listenerCount('SIGTERM')).toBe(before)
  })
})

it('gives a file of the storage only below it, whatever links say', async () => {
  const storageDir = tempFolder()
  symlinkSync('/etc', join(storageDir, 'link'))
  const { url } = await startServer({ storage: new LocalStorageAdapter({ storageDir }) })
  const { status, body } = await postJob(url, `local://${storageDir}/link/passwd`)
  expect([status, body.message]).toEqual([500, expect.stringContaining('Path traversal detected')])
  expect((await outcome(postJob(url, jobFile('true')))).value.status).toBe(200)
})
