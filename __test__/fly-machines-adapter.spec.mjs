// FlyMachinesAdapter against a stand-in that follows the documents of the API.
import { describe, expect, it } from 'vitest'
import { FlyMachinesAdapter, JobExecutor } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { startFly } from './support/fly.mjs'
import { spec } from './support/jobs.mjs'
import { loopback, lostAnswers } from './support/loopback.mjs'
import { rejection, until } from './support/wait.mjs'

/** Nothing of ours may take longer to end than this. The promise is 100 ms; machines that run tests have other work. */
const AT_ONCE = 400
const meta = { chunkId: 3, jobDefUrl: 's3://bucket/job/job.json' }
const job = (more) => ({ command: 'render', meta, ...more })
const make = (apiUrl, more) =>
  new FlyMachinesAdapter({ apiToken: 'fly-token', appName: 'film', imageRef: 'film:1', apiUrl, ...more })
const ends = (code, more) => ({ begin: ({ id }) => setTimeout(() => fly.end(id, code, more), 20) })
let fly
const start = async (options) => (fly = await startFly(options))

describe('a machine', () => {
  it('is made for a chunk, waited for and deleted', async () => {
    await start(ends(0))
    const heard = []
    const result = await make(fly.url, { region: 'fra' }).execute(job({ onStdout: (text) => void heard.push(text) }))
    expect(result).toEqual({
      exitCode: 0,
      stdout: 'Machine machine0 executed.',
      stderr: '',
      durationMs: expect.any(Number),
    })
    expect(heard).toEqual(['Machine machine0 executed.'])
    expect(fly.deleted).toEqual(['machine0'])
    const [{ method, url, body }] = fly.server.requests
    expect([method, url, JSON.parse(body)]).toEqual([
      'POST',
      '/v1/apps/film/machines',
      {
        name: expect.stringMatching(/^helios-worker-[0-9a-f]{32}$/),
        region: 'fra',
        config: {
          image: 'film:1',
          env: { HELIOS_JOB_PAYLOAD: '{"jobPath":"s3://bucket/job/job.json","chunkIndex":3}' },
          auto_destroy: true,
          restart: { policy: 'no' },
        },
      },
    ])
  })

  it('may be told another index', async () => {
    await start(ends(0))
    await make(fly.url).execute(job({ meta: { ...meta, chunkIndex: 0 } }))
    const { config } = JSON.parse(fly.server.requests[0].body)
    expect(JSON.parse(config.env.HELIOS_JOB_PAYLOAD).chunkIndex).toBe(0)
  })

  it.each([
    [7, {}, 7, ''],
    [137, { oom_killed: true }, 137, 'Machine machine0 ran out of memory.\n'],
  ])('that ends with %i says so', async (code, more, exitCode, stderr) => {
    await start(ends(code, more))
    expect(await make(fly.url).execute(job())).toMatchObject({ exitCode, stderr })
    expect(fly.deleted).toEqual(['machine0'])
  })

  it('is waited for by the API itself, not by questions', async () => {
    await start({ begin: ({ id }) => setTimeout(() => fly.end(id, 0), 1500) })
    await make(fly.url).execute(job())
    expect(fly.server.requests.length).toBeLessThan(5)
  })

  it('that has not said how it ended is a failure', { timeout: 40_000 }, async () => {
    await start({ begin: ({ id }) => fly.move(id, 'stopped') })
    const error = await rejection(() => make(fly.url).execute(job()))
    expect(error.message).toBe(
      'Fly Machine machine0 has not said how it ended (state: stopped, last event: start started)',
    )
    expect([error.retry, fly.deleted]).toEqual([{ kind: 'transient' }, ['machine0']])
  })

  it('that vanishes is a failure that tells what it did last', { timeout: 40_000 }, async () => {
    let looks = 0
    await start({
      meddle: (request) => {
        if (request.method === 'GET' && !request.url.includes('/wait')) looks += 1
        if (looks === 2) fly.machines.clear()
        if (request.url.includes('/wait')) return
      },
      begin: ({ instance_id }) => void instance_id,
    })
    const meddle = fly.meddle
    // The API does not wait here: every question is a look.
    fly.meddle = (request, response) =>
      request.url.includes('/wait') ? (response.writeHead(408).end('{}'), true) : meddle(request)
    const error = await rejection(() => make(fly.url).execute(job()))
    expect(error.message).toBe('Fly Machine machine0 has vanished (state: started, last event: start started)')
  })

  it('survives faults of the API', { timeout: 40_000 }, async () => {
    const faults = [
      (_, response) => response.writeHead(503).end(),
      (request) => request.socket.resetAndDestroy(),
      (_, response) => response.writeHead(429, { 'retry-after': '1' }).end(),
      (_, response) => response.end('<html>'),
    ]
    await start({
      ...ends(0),
      meddle: (request, response) => {
        const isLook = request.method === 'GET' && !request.url.includes('/wait')
        if (!isLook || faults.length === 0) return false
        faults.shift()(request, response)
        return true
      },
    })
    expect((await make(fly.url).execute(job())).exitCode).toBe(0)
    expect([faults.length, fly.deleted]).toEqual([0, ['machine0']])
  })

  it('is deleted again and again until it is gone', async () => {
    let refused = 0
    await start({
      ...ends(0),
      meddle: (request, response) => {
        if (request.method !== 'DELETE' || refused === 3) return false
        refused += 1
        response.writeHead(503).end()
        return true
      },
    })
    expect((await make(fly.url).execute(job())).exitCode).toBe(0)
    expect([refused, fly.machines.size]).toEqual([3, 0])
  })

  it('that cannot be deleted is warned of', async () => {
    const lines = captureConsole()
    await start({
      ...ends(0),
      meddle: (request, response) => request.method === 'DELETE' && (response.writeHead(403).end('no'), true),
    })
    expect((await make(fly.url).execute(job())).exitCode).toBe(0)
    expect(printed(lines, 'warn')).toEqual(['Warning: a Fly Machine may be left: 403 Forbidden no'])
  })
})

describe('what cannot be made', () => {
  it.each([
    ['the token is wrong', { apiToken: 'other' }, '401 Unauthorized {"error":"unauthorized"}', 'fatal'],
    ['the app is not there', { appName: 'other' }, '404 Not Found {"error":"app not found"}', 'fatal'],
  ])('rejects when %s', async (_, config, said, kind) => {
    await start()
    const error = await rejection(() => make(fly.url, config).execute(job()))
    expect([error.message, error.retry]).toEqual([`Failed to create Fly Machine: ${said}`, { kind }])
  })

  it.each([
    [429, 'throttled', []],
    // It may have been made all the same, and cannot be looked for here.
    [503, 'transient', ['Warning: a Fly Machine may be left: 403 Forbidden no']],
  ])('rejects with a hint after %i', async (status, kind, warnings) => {
    const lines = captureConsole()
    await start({
      meddle: ({ method }, response) => {
        if (method === 'POST') response.writeHead(status).end('later')
        else response.writeHead(403).end('no')
        return true
      },
    })
    const error = await rejection(() => make(fly.url).execute(job()))
    expect(error.retry).toEqual({ kind })
    expect(error.message).toMatch(new RegExp(`^Failed to create Fly Machine: ${status} .* later$`))
    await until(() => printed(lines, 'warn').length === warnings.length, 'the warning')
    expect(printed(lines, 'warn')).toEqual(warnings)
  })

  it.each(Object.entries(lostAnswers))('may be there all the same after %s: it is deleted', async (_, lose) => {
    const lines = captureConsole()
    await start({
      meddle: (request, response) => {
        if (request.method === 'POST') lose(request, response)
        return false
      },
    })
    const error = await rejection(() => make(fly.url).execute(job()))
    expect(error.message).toMatch(/^Failed to create Fly Machine: /)
    await until(() => fly.deleted.length === 1, 'the machine to be deleted')
    expect([fly.machines.size, printed(lines, 'warn')]).toEqual([0, []])
  })

  it('may be there only a moment later', async () => {
    let looks = 0
    await start({
      meddle: (request, response) => {
        if (request.method === 'POST') lostAnswers['a reset'](request, response)
        if (request.method !== 'GET' || (looks += 1) > 1) return false
        response.end('[]')
        return true
      },
    })
    await rejection(() => make(fly.url).execute(job()))
    await until(() => fly.deleted.length === 1, 'the machine to be deleted')
    expect(looks).toBe(2)
  })

  it('rejects where nobody listens, without the token', async () => {
    const server = await loopback(() => {})
    await server.close()
    const error = await rejection(() => make(server.url).execute(job()))
    expect(error.message).toMatch(/^Failed to create Fly Machine: .*refused/)
    expect(error.message).not.toContain('fly-token')
  })

  it('rejects before anything is asked when something is missing', async () => {
    await start()
    for (const bad of [undefined, {}, { chunkId: 1 }, { jobDefUrl: 's3://b/j' }]) {
      const error = await rejection(() => make(fly.url).execute(job({ meta: bad })))
      expect(error.message).toBe('jobDefUrl and chunkIndex are required in job.meta for FlyMachinesAdapter')
    }
    expect(fly.server.requests).toEqual([])
  })
})

describe('an abort', () => {
  const aborted = async (running, stop) => {
    const started = performance.now()
    stop.abort()
    expect((await rejection(() => running)).message).toBe('Job was aborted')
    expect(performance.now() - started).toBeLessThan(AT_ONCE)
  }

  it('before makes nothing', async () => {
    await start()
    const error = await rejection(() => make(fly.url).execute({ signal: AbortSignal.abort() }))
    expect([error.message, fly.server.requests]).toEqual(['Job was aborted', []])
  })

  it('while it renders deletes the machine first', async () => {
    await start()
    const stop = new AbortController()
    const running = make(fly.url).execute(job({ signal: stop.signal }))
    await until(() => fly.server.requests.some(({ url }) => url.includes('/wait')), 'the wait')
    await aborted(running, stop)
    expect([fly.deleted, fly.machines.size]).toEqual([['machine0'], 0])
  })

  it.each(['made and not told', 'about to be made'])('while it is %s deletes it afterwards', async (when) => {
    let open
    const held = new Promise((resolve) => (open = resolve))
    await start({
      meddle: async (request, response) => {
        if (request.method !== 'POST') return false
        if (when === 'about to be made') await held
        const { end } = response
        response.end = (...args) => void held.then(() => end.apply(response, args))
        return false
      },
    })
    const stop = new AbortController()
    const running = make(fly.url).execute(job({ signal: stop.signal }))
    await until(() => fly.server.requests.length === 1, 'the order')
    await aborted(running, stop)
    expect(fly.deleted).toEqual([])
    open()
    await until(() => fly.deleted.length === 1, 'the machine to be deleted')
    expect(fly.machines.size).toBe(0)
  })

  it('does not wait for a slow end for longer than the grace', { timeout: 30_000 }, async () => {
    let open
    const held = new Promise((resolve) => (open = resolve))
    await start({ meddle: async (request) => void (request.method === 'DELETE' && (await held)) })
    const stop = new AbortController()
    const options = { signal: stop.signal, killGraceMs: 100, meta }
    captureConsole()
    const running = rejection(() => new JobExecutor(make(fly.url)).execute(spec(1), options))
    await until(() => fly.machines.size === 1, 'the machine')
    stop.abort()
    expect((await running).name).toBe('AbortError')
    expect(fly.machines.size).toBe(1)
    open()
    await until(() => fly.machines.size === 0, 'the machine to be deleted')
  })

  it('by a timeout says so, and deletes the machine', async () => {
    await start()
    const error = await rejection(() => make(fly.url).execute(job({ timeout: 150 })))
    expect([error.message, error.timedOut]).toEqual(['Worker job timed out after 150ms', true])
    expect(fly.deleted).toEqual(['machine0'])
  })
})

describe('in a job', () => {
  it('renders 64 chunks at once, and leaves nothing', async () => {
    captureConsole()
    await start({
      begin: ({ id }) =>
        fly.machines.size === 64 && fly.machines.forEach((_, key) => setTimeout(() => fly.end(key, 0), 5, id)),
    })
    await new JobExecutor(make(fly.url)).execute(spec(64), { concurrency: 64, meta: { jobDefUrl: meta.jobDefUrl } })
    expect([fly.deleted.length, fly.machines.size]).toEqual([64, 0])
  })

  it('puts chunks off while Fly has too much to do', async () => {
    captureConsole()
    let asked = 0
    await start({
      ...ends(0),
      meddle: (request, response) => {
        if (request.method !== 'POST' || (asked += 1) > 2) return false
        response.writeHead(429, { 'retry-after': '0.05' }).end()
        return true
      },
    })
    await new JobExecutor(make(fly.url)).execute(spec(1), { meta: { jobDefUrl: meta.jobDefUrl } })
    expect(asked).toBe(3)
  })
})
