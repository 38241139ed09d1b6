// The command `helios-jobs`: arguments, help, exit codes, and looking at jobs.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { need } from './support/abilities.mjs'
import { command, quick, startCommand, terminal, writeJob } from './support/command.mjs'
import { tempFolder } from './support/files.mjs'
import { within } from './support/wait.mjs'

const NAMES = [
  'run',
  'list',
  'show',
  'watch',
  'logs',
  'cancel',
  'pause',
  'resume',
  'recover',
  'delete',
  'prune',
  'verify',
  'report',
]
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** A folder with a job that has run: one chunk was tried twice. */
async function folderWithJob() {
  const cwd = tempFolder()
  const flaky = `sh -c "[ -e again ] || { touch again; echo broken pipe >&2; exit 3; }; echo well; printf done > 1.out"`
  writeJob(cwd, [quick(0), flaky])
  const { code, stdout } = await command(['run', 'job.json', '--retry-delay', '1ms', '--json'], { cwd })
  expect(code).toBe(0)
  return { cwd, id: JSON.parse(stdout.split('\n')[0]).job }
}

const record = (id, more) => ({
  id,
  spec: { id: 'film', chunks: [{ id: 0, startFrame: 0, frameCount: 10, outputFile: '0.out', command: 'true' }] },
  state: 'completed',
  progress: 100,
  totalChunks: 1,
  completedChunks: 1,
  createdAt: 1e12,
  updatedAt: 1e12,
  logs: [{ chunkId: 0, durationMs: 5, stdout: '', stderr: '' }],
  ...more,
})

function folderWith(...records) {
  const cwd = tempFolder()
  mkdirSync(join(cwd, 'jobs'))
  for (const one of records) writeFileSync(join(cwd, 'jobs', `${one.id}.json`), JSON.stringify(one))
  return cwd
}

describe('helios-jobs', () => {
  it('names its commands, and all exit codes, with --help', async () => {
    const help = await command(['--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    for (const name of NAMES) expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'))
    expect(help.stdout).toContain(
      'Exit codes: 0 done, 1 failed, 2 wrong arguments or job file, 3 no such job, 4 stopped',
    )
    expect(await command(['help'])).toEqual(help)
    expect(await command(['help', 'run'])).toEqual(await command(['run', '--help']))
  })

  it.each(NAMES)('%s --help says what it takes', async (name) => {
    const help = await command([name, '--help'])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    expect(help.stdout).toMatch(new RegExp(`^Usage: helios-jobs ${name}\\b.*\\[options\\]$`, 'm'))
    expect(help.stdout).toMatch(/^ +--jobs DIR /m)
    expect(help.stdout.split('\n').filter((line) => line.length > 128)).toEqual([])
    expect(help.stdout).not.toContain('undefined')
  })

  it('has the version of the package', async () => {
    expect(await command(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` })
  })

  it.each([
    [[], /^Runs render jobs/],
    [['frobnicate'], /^helios-jobs: There is no command 'frobnicate'/],
    [['--frobnicate'], /^helios-jobs: There is no option '--frobnicate'/],
    [['list', '--frobnicate'], /^helios-jobs: Unknown option '--frobnicate'/],
    [['list', '--state', 'lost'], /--state must be one or more of pending, .*, not 'lost'/],
    [['list', 'more'], /Unexpected argument 'more'/],
    [['show'], /show needs <job>/],
    [['cancel'], /cancel needs <job>/],
    [['run', 'job.json', '--concurrency', '0'], /--concurrency must be a whole number from 1 on, not '0'/],
    [['run', 'job.json', '--retries', '1.5'], /--retries must be a whole number from 0 on, not '1.5'/],
    [['run', 'job.json', '--timeout', '5'], /--timeout must be a time such as .*, not '5'/],
    [['run', 'job.json', '--output', 'a.mp4', '--no-merge'], /--output and --no-merge cannot be given together/],
    [['prune'], /prune needs --older-than/],
    [['prune', '--older-than', 'long'], /--older-than must be a time/],
    [['prune', '--older-than', '1d', '--storage', 'ftp://x'], /--storage must be s3:\/\/BUCKET/],
    [['verify', 'film.mp4'], /verify needs --job/],
    [['list', '--jobs', ''], /--jobs must name a folder/],
  ])('%j is wrong: exit code 2', async (args, message) => {
    const { code, stdout, stderr } = await command(args, { cwd: tempFolder() })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(message)
    expect(stderr).not.toMatch(/^ +at /m)
  })

  it.each(['show', 'watch', 'logs', 'cancel', 'pause', 'resume', 'delete', 'report'])(
    '%s of an unknown job: exit code 3',
    async (name) => {
      const ids = name === 'show' ? ['no-such-job', '../../etc/passwd', ''] : ['no-such-job']
      for (const id of ids) {
        const { code, stderr } = await command([name, id], { cwd: folderWith(record('aa')) })
        expect([code, stderr]).toEqual([3, `helios-jobs: There is no job '${id}' in jobs\n`])
      }
    },
    30_000,
  )

  it('verify of an unknown job, too', async () => {
    expect(await command(['verify', 'film.mp4', '--job', 'b'], { cwd: folderWith(record('aa')) })).toMatchObject({
      code: 3,
    })
  })
})

describe('the job file', () => {
  const chunk = { id: 0, startFrame: 0, frameCount: 1, outputFile: '0.out', command: 'true' }
  it.each([
    ['{"id":', /job\.json is not JSON: /],
    ['[]', /is not a job: it is no object/],
    ['{"chunks":[]}', /`id` must be a text/],
    ['{"id":"a"}', /`chunks` must be a list with at least one chunk/],
    ['{"id":"a","chunks":[]}', /`chunks` must be a list with at least one chunk/],
    [{ chunks: [7] }, /`chunks\[0\]` must be an object/],
    [{ chunks: [{ ...chunk, id: '0' }] }, /`chunks\[0\]\.id` must be a number/],
    [{ chunks: [chunk, chunk] }, /`chunks\[1\]\.id` is 0, which another chunk has/],
    [{ chunks: [{ ...chunk, command: ' ' }] }, /`chunks\[0\]\.command` must be a command/],
    [{ chunks: [{ ...chunk, outputFile: 5 }] }, /`chunks\[0\]\.outputFile` must be a file/],
    [{ chunks: [chunk], mergeCommand: 5 }, /`mergeCommand` must be a command/],
  ])('%j is refused, and leaves no record', async (content, message) => {
    const cwd = tempFolder()
    const text = typeof content === 'string' ? content : JSON.stringify({ id: 'a', ...content })
    writeFileSync(join(cwd, 'job.json'), text)
    const { code, stderr } = await command(['run', 'job.json'], { cwd })
    expect(code).toBe(2)
    expect(stderr).toMatch(message)
    expect(readdirSync(cwd)).toEqual(['job.json'])
  })

  it('that is not there is named', async () => {
    const { code, stderr } = await command(['run', 'nowhere.json'], { cwd: tempFolder() })
    expect(code).toBe(2)
    expect(stderr).toMatch(/The job file nowhere\.json cannot be read: ENOENT/)
  })
})

describe('looking at jobs', () => {
  it('list, show and logs of a job that has run', async () => {
    const { cwd, id } = await folderWithJob()
    const before = readdirSync(join(cwd, 'jobs')).map((name) => readFileSync(join(cwd, 'jobs', name), 'utf8'))
    const list = await command(['list'], { cwd })
    expect(list.stdout).toMatch(/^ID {8}NAME {2}STATE {6}DONE {2}CHUNKS {2}AGE +TOOK\n/)
    expect(list.stdout).toMatch(new RegExp(`^${id.slice(0, 8)}  film  completed  100%     2/2  `, 'm'))
    const [essence] = JSON.parse((await command(['list', '--json'], { cwd })).stdout)
    expect(essence).toMatchObject({ id, name: 'film', state: 'completed', completedChunks: 2, totalChunks: 2 })
    expect(Object.keys(essence)).not.toContain('logs')

    const show = await command(['show', id.slice(0, 4)], { cwd })
    expect(show.stdout).toMatch(/^State +completed$/m)
    expect(show.stdout).toMatch(/^ +0 {2}0-9 +done +\d +1 .* 0\.out$/m)
    expect(show.stdout).toMatch(/^ +1 {2}10-19 +done +\d +2 .* 1\.out$/m)
    const whole = JSON.parse((await command(['show', id, '--json'], { cwd })).stdout)
    expect(whole).toMatchObject({ id, spec: { id: 'film' }, logs: [{}, {}], attempts: { 0: 1, 1: 2 } })

    const logs = await command(['logs', id], { cwd })
    expect(logs.stdout).toMatch(
      /^chunk 0, attempt 1, .*, done\n {2}chunk 0\n {2}warned\nchunk 1, attempt 1, .*, failed: Chunk 1 failed with exit code 3: broken pipe\n {2}broken pipe\nchunk 1, attempt 2, .*, done\n {2}well\n$/,
    )
    expect(await command(['logs', id, '0'], { cwd })).toMatchObject({ stdout: 'chunk 0\n', stderr: 'warned\n' })
    expect(await command(['logs', id, '1'], { cwd })).toMatchObject({ stdout: 'well\n', stderr: 'broken pipe\n' })
    expect(JSON.parse((await command(['logs', id, '1', '--json'], { cwd })).stdout)).toMatchObject([
      { chunk: 1, attempt: 1, outcome: 'failed', stderr: 'broken pipe' },
      { chunk: 1, attempt: 2, outcome: 'done', stdout: 'well\n' },
    ])
    for (const chunk of ['2', 'x', '']) expect(await command(['logs', id, chunk], { cwd })).toMatchObject({ code: 3 })

    expect(await command(['watch', id], { cwd })).toMatchObject({ code: 0 })
    // Looking has changed nothing, and left nothing.
    const after = readdirSync(join(cwd, 'jobs')).map((name) => readFileSync(join(cwd, 'jobs', name), 'utf8'))
    expect(after).toEqual(before)
  }, 60_000)

  it('in the folder of --jobs, else of HELIOS_JOBS, else `jobs`', async () => {
    const cwd = folderWith(record('aa'))
    const other = folderWith(record('bb'))
    const ids = async (args, env) => {
      const { stdout } = await command(['list', '--json', ...args], { cwd, env })
      return JSON.parse(stdout).map(({ id }) => id)
    }
    expect(await ids([])).toEqual(['aa'])
    expect(await ids([], { HELIOS_JOBS: join(other, 'jobs') })).toEqual(['bb'])
    expect(await ids(['--jobs', join(other, 'jobs')], { HELIOS_JOBS: 'elsewhere' })).toEqual(['bb'])
    const nothing = await command(['list', '--jobs', 'none'], { cwd })
    expect(nothing).toMatchObject({ code: 0, stdout: 'No jobs in none\n' })
    expect(readdirSync(cwd)).toEqual(['jobs'])
  })

  it('by the beginning of an id, if it is that of one job only', async () => {
    const cwd = folderWith(record('abc-1'), record('abc-2'), record('abc'))
    expect(await command(['show', 'abc-1'], { cwd })).toMatchObject({ code: 0 })
    // An id that is whole is not the beginning of another.
    expect((await command(['show', 'abc'], { cwd })).stdout).toMatch(/^Job +abc$/m)
    expect(await command(['show', 'ab'], { cwd })).toMatchObject({
      code: 3,
      stderr: `helios-jobs: 'ab' is the beginning of several ids: abc, abc-1, abc-2\n`,
    })
  })

  it('lists as much of ids as tells them apart', async () => {
    const cwd = folderWith(record('0123456789-a'), record('0123456789-b'))
    const { stdout } = await command(['list'], { cwd })
    expect(stdout).toMatch(/^0123456789-a {2}film/m)
  })

  it('only in some states', async () => {
    const cwd = folderWith(record('aa'), record('bb', { state: 'failed' }), record('cc', { state: 'paused' }))
    const { stdout } = await command(['list', '--state', 'failed,paused', '--json'], { cwd })
    expect(JSON.parse(stdout).map(({ id }) => id)).toEqual(['bb', 'cc'])
    expect((await command(['list', '--state', 'running'], { cwd })).stdout).toBe('No running jobs in jobs\n')
  })

  it('says which record is broken, and lists the others', async () => {
    const cwd = folderWith(record('aa'))
    writeFileSync(join(cwd, 'jobs', 'bb.json'), '{"id":')
    const list = await command(['list', '--json'], { cwd })
    expect(JSON.parse(list.stdout).map(({ id }) => id)).toEqual(['aa'])
    expect(list.stderr).toContain('bb.json')
    const show = await command(['show', 'bb'], { cwd })
    expect(show.code).toBe(1)
    expect(show.stderr).toMatch(/^helios-jobs: The record of job bb is broken: /)
    expect(show.stderr).not.toMatch(/^ +at /m)
  })

  it('with records that have next to nothing in them', async () => {
    const cwd = folderWith({ id: 'aa' })
    for (const name of ['list', 'show', 'logs', 'report']) {
      const args = name === 'list' ? [name] : [name, 'aa']
      expect(await command(args, { cwd })).toMatchObject({ code: 0, stderr: '' })
    }
  })

  it('with texts that would take a terminal over', async () => {
    const evil = '\x1b[2J\x1b]0;title\x07\u202egnp\nfilm\x9b31m'
    const cwd = folderWith(record('aa', { state: 'failed', error: evil, spec: { id: evil, chunks: [] } }))
    for (const args of [['list'], ['show', 'aa'], ['logs', 'aa']]) {
      const { stdout } = await command(args, { cwd })
      expect(stdout).not.toMatch(/[\x1b\x07\x9b\u202e]/) // oxlint-disable-line no-control-regex
    }
  })

  it('ends when its reader goes away', async () => {
    const cwd = folderWith(
      ...Array.from({ length: 300 }, (_, i) => record(`job-${i}`, { logs: [], spec: { id: 'x'.repeat(2000) } })),
    )
    const { child, ended } = startCommand(['list', '--json'], { cwd })
    child.stdout.destroy()
    expect(await within(10_000, ended, 'the command')).toMatchObject({ stderr: '' })
  })
})

describe('colours', () => {
  const coloured = /\x1b\[3\dm/ // oxlint-disable-line no-control-regex
  it.for([
    ['are there on a terminal', {}, true],
    ['are not where NO_COLOR is set', { NO_COLOR: '1' }, false],
    ['are not on a terminal that knows none', { TERM: 'dumb' }, false],
  ])('%s', async ([, env, are], context) => {
    need(context, 'terminal')
    const cwd = folderWith(record('aa'))
    const { stdout } = await command(['list'], { cwd, env: { TERM: 'xterm', ...env }, wrap: terminal })
    expect(stdout).toContain('completed')
    expect(coloured.test(stdout)).toBe(are)
  })

  it('are not where standard output is no terminal', async () => {
    const { stdout } = await command(['list'], { cwd: folderWith(record('aa')), env: { FORCE_COLOR: '1' } })
    expect(stdout).not.toMatch(coloured)
  })
})
