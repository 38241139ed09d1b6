// createAwsHandler: a chunk per event, and an answer within what Lambda lets through.
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { LocalStorageAdapter, createAwsHandler } from '../index.js'
import { tempFolder } from './support/files.mjs'
import { processMark } from './support/processes.mjs'
import { scriptResult, startScript } from './support/scripts.mjs'
import { until, within } from './support/wait.mjs'
import { jobFile, jobOf, plainStorage, shell } from './support/workers.mjs'

afterEach(() => void [vi.unstubAllEnvs(), vi.unstubAllGlobals()])

/** What Lambda lets through, in bytes of the JSON text of an answer. */
const MAX_PAYLOAD = 6_291_556

const ask = async (event, config, context) => {
  const { statusCode, body, ...rest } = await createAwsHandler(config)(event, context)
  expect([typeof body, rest]).toEqual(['string', {}])
  return [statusCode, JSON.parse(body)]
}
const askFor = (command, config, context, extra) =>
  ask({ jobPath: jobFile(command, extra), chunkIndex: 1 }, config, context)

describe('an event', () => {
  it.each([
    ['echo out; echo err >&2', 200, { exitCode: 0, output: 'out\n', stderr: 'err\n' }],
    ['echo no >&2; exit 3', 500, { exitCode: 3, output: '', stderr: 'no\n' }],
    ['kill -9 $$', 500, { exitCode: -1, output: '', stderr: '' }],
  ])('runs its chunk: %s', async (script, status, body) => {
    expect(await askFor(shell(script), { workspaceDir: tempFolder() })).toEqual([status, body])
  })

  it.each([undefined, null, 5, 'x', true, () => {}])('that is no object: %s', async (event) => {
    expect(await ask(event)).toEqual([400, { message: 'Invalid payload: must be an object' }])
  })

  const getter = Object.defineProperty({ chunkIndex: 1 }, 'jobPath', {
    get() {
      throw new Error('no')
    },
  })
  it.each([
    [[]],
    [{}],
    [{ jobPath: 'x' }],
    [{ chunkIndex: 1 }],
    [{ jobPath: 'x', chunkIndex: '1' }],
    [{ jobPath: 'x', chunkIndex: NaN }],
    [{ jobPath: 5, chunkIndex: 1 }],
    [{ jobPath: '', chunkIndex: 1 }],
    [getter],
  ])('that lacks something: %j', async (event) => {
    expect(await ask(event)).toEqual([400, { message: 'Invalid payload: missing jobPath or chunkIndex' }])
  })

  it('for which something goes wrong gets a 500 that says what', async () => {
    const path = join(tempFolder(), 'missing')
    const missing = `ENOENT: no such file or directory, open '${path}'`
    expect(await ask({ jobPath: path, chunkIndex: 1 })).toEqual([500, { message: missing }])
    expect(await askFor('no-such-command')).toEqual([500, { message: 'spawn no-such-command ENOENT' }])
    vi.stubGlobal('fetch', async () => ({ ok: false, statusText: 'Forbidden' }))
    const refused = { message: 'Failed to fetch job spec: Forbidden' }
    expect(await ask({ jobPath: 'https://host/job.json', chunkIndex: 1 })).toEqual([500, refused])
    const storage = plainStorage({ downloadAssetBundle: () => Promise.reject(new Error('mine')) })
    const assets = { assetsUrl: 's3://b/a' }
    expect(await askFor('true', { workspaceDir: tempFolder(), storage }, {}, assets)).toEqual([
      500,
      { message: 'mine' },
    ])
  })
})

describe('the workspace', () => {
  const assets = { assetsUrl: 's3://b/a' }

  it('has a folder for each run with assets, which goes with it, however it ends', async () => {
    const [workspaceDir, storage] = [join(tempFolder(), 'new'), plainStorage()]
    const scripts = ['cat asset.txt; pwd', 'exit 1', 'cat asset.txt; pwd']
    const answers = await Promise.all(
      scripts.map((script) => askFor(shell(script), { workspaceDir, storage }, {}, assets)),
    )
    expect(answers.map(([status]) => status)).toEqual([200, 500, 200])
    const places = answers.map(([, { output }]) => output)
    expect(places[0]).toMatch(new RegExp(`^asset${workspaceDir}/helios-run-[^/]+\n$`))
    expect(places[0]).not.toBe(places[2])
    expect(readdirSync(workspaceDir)).toEqual([])
  })

  it('is where commands run that need no assets', async () => {
    const workspaceDir = tempFolder()
    expect((await askFor('pwd', { workspaceDir }))[1].output).toBe(`${workspaceDir}\n`)
    expect((await askFor('pwd'))[1].output).toBe('/tmp\n')
  })

  it('is rid of what killed processes left, and only of that', async (context) => {
    const mark = processMark(context)
    const [workspaceDir, hanging] = [tempFolder(), jobFile('sleep 60', assets)]
    mkdirSync(join(workspaceDir, 'helios-run-of-mine'))
    const script = `
      const storage = { downloadAssetBundle: async () => {} }
      const handler = lib.createAwsHandler({ workspaceDir: process.argv[1], storage })
      handler({ jobPath: process.argv[2], chunkIndex: 1 })
    `
    const start = () => startScript(script, { args: [workspaceDir, hanging], env: { ...process.env, ...mark.env } })
    const killed = start()
    await until(() => mark.living().length > 1, 'its command to start')
    const [left] = readdirSync(workspaceDir).filter((name) => name.startsWith('helios-run-') && name.endsWith('.lock'))
    killed.child.kill('SIGKILL')
    await killed.ended
    await until(() => mark.living().length === 0, 'its command to end')
    expect(readdirSync(workspaceDir)).toContain(left)
    start()
    await until(() => mark.living().length > 1, 'the second to start')
    const own = readdirSync(workspaceDir)
    expect(own).toHaveLength(3)
    expect(own).not.toContain(left)
    await askFor('true', { workspaceDir, storage: plainStorage() }, {}, assets)
    expect(readdirSync(workspaceDir)).toEqual(own)
  })
})

it('gives the URL of what the chunk wrote', async () => {
  const storage = new LocalStorageAdapter({ storageDir: join(tempFolder(), 'storage') })
  const jobPath = await storage.uploadJobSpec('4f1a', jobOf(shell('printf video > 1.mp4')))
  const [status, body] = await ask({ jobPath, chunkIndex: 1 }, { workspaceDir: tempFolder(), storage })
  const outputUrl = jobPath.replace('job.json', '.helios-outputs/1.mp4')
  expect([status, body]).toEqual([200, { exitCode: 0, output: '', stderr: '', outputUrl }])
})

describe('an answer', () => {
  it.each([
    ['plain text', 'x', ''],
    ['quotes', '"', ''],
    ['control characters', '\u0001', ''],
    ['both streams', 'x', 'y'],
  ])('fits into 6 MB: %s', async (_, out, err) => {
    const script = join(tempFolder(), 'print.mjs')
    const print = `
      process.stdout.write('begin' + ${JSON.stringify(out)}.repeat(8e6) + 'end')
      process.stderr.write(${JSON.stringify(err)}.repeat(8e6))
    `
    writeFileSync(script, print)
    const answer = await createAwsHandler()({ jobPath: jobFile(`${process.execPath} ${script}`), chunkIndex: 1 })
    const size = Buffer.byteLength(JSON.stringify(answer))
    expect(answer.statusCode).toBe(200)
    expect(size).toBeLessThanOrEqual(MAX_PAYLOAD)
    const { output, stderr } = JSON.parse(answer.body)
    expect(output).toMatch(/^begin[^]+\n\[(more than )?\d+ bytes left out\]\n[^]+end$/)
    expect(stderr.includes(' bytes left out]')).toBe(err !== '')
  })
})

describe('the time of the function', () => {
  const context = (ms) => ({ getRemainingTimeInMillis: () => ms })

  it('ends the chunk shortly before it is over, with all that came of it', async (test) => {
    const mark = processMark(test)
    vi.stubEnv('HELIOS_TEST_MARK', mark.env.HELIOS_TEST_MARK)
    const [workspaceDir, storage] = [tempFolder(), plainStorage()]
    const started = performance.now()
    const script = shell("trap '' TERM; sleep 60 & sleep 60 & wait")
    const answer = askFor(script, { workspaceDir, storage }, context(4000), { assetsUrl: 's3://b/a' })
    const message = 'Chunk 1 was ended because the time limit of its worker was near'
    expect(await within(10_000, answer)).toEqual([500, { message }])
    const took = performance.now() - started
    expect(took).toBeGreaterThan(2900)
    expect(took).toBeLessThan(4000)
    expect([mark.living(), readdirSync(workspaceDir)]).toEqual([[], []])
  })

  it('leaves its log where the storage keeps outputs', async () => {
    const storageDir = join(tempFolder(), 'storage')
    const storage = new LocalStorageAdapter({ storageDir })
    const jobPath = await storage.uploadJobSpec('4f1a', jobOf(shell('echo busy; sleep 60')))
    const [status] = await ask({ jobPath, chunkIndex: 1 }, { workspaceDir: tempFolder(), storage }, context(1500))
    expect([status, existsSync(join(storageDir, '4f1a', '.helios-outputs', '1.log'))]).toEqual([500, true])
  })

  it.each([undefined, null, {}, context(undefined), context(1e9), context(Infinity)])(
    'may be unknown or long: %j',
    async (of) => {
      expect((await askFor('echo done', {}, of))[0]).toBe(200)
    },
  )

  it('that cannot be told is an answer, too', async () => {
    const of = {
      getRemainingTimeInMillis: () => {
        throw new Error('mine')
      },
    }
    expect(await askFor('true', {}, of)).toEqual([500, { message: 'mine' }])
  })
})

describe('createAwsHandler', () => {
  it.each([
    [5, 'config must be an object'],
    [{ workspaceDir: 5 }, 'config.workspaceDir must be a string'],
    [{ storage: 's3' }, 'config.storage must be an ArtifactStorage'],
  ])('throws for %j', (config, message) => {
    expect(() => createAwsHandler(config)).toThrow(new TypeError(message))
  })

  it.each([[undefined], [null], [{}], [{ storage: null }]])('takes %j', async (config) => {
    expect((await askFor('true', config))[0]).toBe(200)
  })

  it('loads nothing that it does not need', async () => {
    const script = `
      const hasHttp = () => process.moduleLoadList.includes('NativeModule http')
      lib.createAwsHandler()
      const before = hasHttp()
      lib.createCloudRunServer()
      process.stdout.write(JSON.stringify({ before, after: hasHttp() }))
    `
    expect(await scriptResult(script)).toEqual({ before: false, after: true })
  })
})
