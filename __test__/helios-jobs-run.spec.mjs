// `helios-jobs run` and `resume`: what is printed, how it ends, and that nothing is left running.
import { appendFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ffmpegPath, need } from './support/abilities.mjs'
import { command, eventsIn, gated, quick, runsOf, seen, startCommand, terminal, writeJob } from './support/command.mjs'
import { tempFolder } from './support/files.mjs'
import { processMark } from './support/processes.mjs'
import { until, within } from './support/wait.mjs'

const recordOf = (cwd, id) => JSON.parse(readFileSync(join(cwd, 'jobs', `${id}.json`), 'utf8'))
const failing = (text) => `sh -c "echo ${text} >&2; exit 7"`
/** A chunk that runs until it is told to end. */
const endless = `sh -c "sleep 600 & printf x >> 0.runs; wait"`
/** A chunk that does not listen to SIGTERM, with a child in the background. */
const stubborn = `sh -c "trap '' TERM; sleep 600 & printf x >> 0.runs; while :; do sleep 0.05; done"`

describe('run', () => {
  it('prints events as lines of JSON, and writes them down', async () => {
    const cwd = tempFolder()
    const flaky = `sh -c "[ -e again ] || { touch again; echo lost >&2; exit 3; }; printf done > 1.out"`
    writeJob(cwd, [quick(0), flaky])
    const { code, stdout, stderr } = await command(['run', 'job.json', '--json', '-c', '1', '--retry-delay', '1ms'], {
      cwd,
    })
    expect([code, stderr]).toEqual([0, ''])
    const events = eventsIn(stdout)
    const id = events[0].job
    const common = { job: id, at: expect.any(Number) }
    const chunk = (number) => ({ ...common, chunk: number, worker: 1 })
    expect(events).toEqual([
      { event: 'submitted', ...common, name: 'film', chunks: 2, concurrency: 1, jobDir: cwd },
      { event: 'attemptStarted', ...chunk(0), attempt: 1, attempts: 3 },
      { event: 'chunkDone', ...chunk(0), durationMs: expect.any(Number), done: 1, total: 2 },
      { event: 'attemptStarted', ...chunk(1), attempt: 1, attempts: 3 },
      {
        event: 'attemptFailed',
        ...chunk(1),
        attempt: 1,
        putOff: false,
        retryInMs: expect.any(Number),
        error: 'Chunk 1 failed with exit code 3: lost',
        exitCode: 3,
        stdout: '',
        stderr: 'lost',
      },
      { event: 'attemptStarted', ...chunk(1), attempt: 2, attempts: 3 },
      { event: 'chunkDone', ...chunk(1), durationMs: expect.any(Number), done: 2, total: 2 },
      { event: 'ended', ...common, state: 'completed' },
    ])
    expect(readFileSync(join(cwd, 'jobs', `${id}.events.jsonl`), 'utf8')).toBe(stdout)
    expect(readdirSync(join(cwd, 'jobs')).sort()).toEqual([`${id}.events.jsonl`, `${id}.json`])
    expect(recordOf(cwd, id)).toMatchObject({
      state: 'completed',
      options: { concurrency: 1, retries: 2, jobDir: cwd },
    })
  })

  it('prints lines where there is no terminal', async () => {
    const cwd = tempFolder()
    writeJob(cwd, [quick(0), quick(1)])
    const { code, stdout, stderr } = await command(['run', 'job.json', '-c', '1'], { cwd })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(
      /^Job \S{36}\nfilm, 2 chunks, one at a time, in this folder\nRendering: 1\/2 chunks, 50%, \S+ elapsed, ETA \S+\nRendering: 2\/2 chunks, 100%, \S+ elapsed, ETA 0:00\nState {3}completed after .*\nChunks {2}2 of 2\n$/,
    )
  })

  it('runs the merge command in the folder of the job file, or that of --dir', async () => {
    const cwd = tempFolder()
    writeJob(cwd, [quick(0)], { mergeCommand: 'sh -c "cat 0.out > merged"' })
    expect(await command(['run', join(cwd, 'job.json'), '--dir', 'work'], { cwd })).toMatchObject({ code: 0 })
    expect(readdirSync(join(cwd, 'work')).sort()).toEqual(['0.out', 'merged'])
    expect(await command(['run', 'job.json', '--no-merge', '--json'], { cwd })).toMatchObject({ code: 0 })
    expect(readdirSync(cwd).sort()).toEqual(['0.out', 'job.json', 'jobs', 'work'])
  })

  it('of a job that fails: exit code 1, the reason, and what to do', async () => {
    const cwd = tempFolder()
    writeJob(cwd, [failing('no such scene'), quick(1)])
    const { code, stdout, stderr } = await command(
      ['run', 'job.json', '--retries', '1', '--retry-delay', '1ms', '-c', '1'],
      { cwd },
    )
    expect(code).toBe(1)
    expect(stdout).toMatch(/^! chunk 0, attempt 1: exit code 7: no such scene \(again in \d+ ms\)$/m)
    expect(stdout).toMatch(/^! chunk 0, attempt 2: exit code 7: no such scene \(given up\)$/m)
    expect(stdout).toMatch(/^State {3}failed after .*\nChunks {2}0 of 2, 2 attempts failed$/m)
    expect(stderr).toMatch(/^Failed: Chunk 0 failed after 2 attempts: Chunk 0 failed with exit code 7: no such scene\n/)
    expect(stderr).toMatch(
      /helios-jobs logs \S{8} +what its chunks have written\n +helios-jobs resume \S{8} +goes on where it was\n$/,
    )
    expect(existsSync(join(cwd, '1.out'))).toBe(false)
    expect(await command(['run', 'job.json', '--retries', '0', '--keep-going', '-c', '1'], { cwd })).toMatchObject({
      code: 1,
    })
    expect(existsSync(join(cwd, '1.out'))).toBe(true)
  })

  it('of a command that is not there: exit code 1, without a stack', async () => {
    const cwd = tempFolder()
    writeJob(cwd, ['no-such-program --now'])
    const { code, stderr } = await command(['run', 'job.json', '--retries', '0'], { cwd })
    expect(code).toBe(1)
    expect(stderr).toMatch(/spawn no-such-program ENOENT/)
    expect(stderr).not.toMatch(/^ +at /m)
  })

  it('where no records can be kept: exit code 1, without a stack', async () => {
    const cwd = tempFolder()
    writeJob(cwd, [quick(0)])
    writeFileSync(join(cwd, 'jobs'), 'a file')
    const { code, stderr } = await command(['run', 'job.json'], { cwd })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^helios-jobs: E\w+: /)
    expect(stderr).not.toMatch(/^ +at /m)
  })

  it('that takes longer than --timeout is cancelled: exit code 1', async (context) => {
    const mark = processMark(context)
    const cwd = tempFolder()
    writeJob(cwd, ['sleep 600'])
    const { code, stderr } = await command(['run', 'job.json', '--timeout', '300ms'], { cwd, env: mark.env })
    expect(code).toBe(1)
    expect(stderr).toContain('helios-jobs: The job took longer than 300 ms and was cancelled\n')
    expect(mark.living()).toEqual([])
  })

  it('ends attempts after --chunk-timeout', async () => {
    const cwd = tempFolder()
    writeJob(cwd, ['sleep 600'])
    const args = ['run', 'job.json', '--chunk-timeout', '200ms', '--retries', '0', '--json']
    const { code, stdout } = await command(args, { cwd })
    expect(code).toBe(1)
    expect(eventsIn(stdout).find(({ event }) => event === 'attemptFailed')).toMatchObject({ timedOut: true })
  })
})

describe('an interrupted run', () => {
  it.for([
    ['SIGINT', 130, 'cancelled'],
    ['SIGTERM', 143, 'paused'],
    ['SIGHUP', 129, 'paused'],
  ])('%s: exit code %i, the job is %s, nothing runs any more', async ([signal, code, state], context) => {
    const mark = processMark(context)
    const cwd = tempFolder()
    writeJob(cwd, [signal === 'SIGINT' ? stubborn : endless])
    const run = startCommand(['run', 'job.json', '--json'], { cwd, env: mark.env })
    const { job } = await seen(run, 'attemptStarted')
    await until(() => runsOf(cwd, 0) === 1, 'the chunk')
    run.child.kill(signal)
    expect(await within(15_000, run.ended, 'the command')).toMatchObject({ code, signal: null, stderr: '' })
    expect(eventsIn(run.out.stdout).at(-1)).toMatchObject({ event: 'ended', state })
    expect(mark.living()).toEqual([])
    expect(recordOf(cwd, job).state).toBe(state)
  })

  it('by Ctrl-C at a terminal', async (context) => {
    need(context, 'terminal')
    const mark = processMark(context)
    const cwd = tempFolder()
    writeJob(cwd, [endless])
    const run = startCommand(['run', 'job.json'], { cwd, env: { ...mark.env, TERM: 'xterm' }, wrap: terminal })
    await until(() => runsOf(cwd, 0) === 1, 'the chunk')
    run.child.stdin.write('\x03')
    const { code, stdout } = await within(15_000, run.ended, 'the command')
    expect(code).toBe(130)
    expect(stdout).toContain('Cancelling; Ctrl-C once more leaves at once')
    expect(stdout).toContain('cancelled')
    expect(mark.living()).toEqual([])
  })

  it('a second time leaves at once, and its commands are ended all the same', async (context) => {
    const mark = processMark(context)
    const cwd = tempFolder()
    writeJob(cwd, [stubborn])
    const run = startCommand(['run', 'job.json'], { cwd, env: mark.env })
    await until(() => runsOf(cwd, 0) === 1, 'the chunk')
    run.child.kill('SIGINT')
    await until(() => run.out.stdout.includes('Cancelling'), 'the first to be heard')
    run.child.kill('SIGINT')
    expect(await within(3000, run.ended, 'the command')).toMatchObject({ code: 130 })
    await until(() => mark.living().length === 0, 'the processes to be gone', 15_000)
  })

  it('whose reader goes away pauses its job', async (context) => {
    const mark = processMark(context)
    const cwd = tempFolder()
    writeJob(cwd, [gated(0), endless])
    const run = startCommand(['run', 'job.json', '--json', '-c', '2'], { cwd, env: mark.env })
    const { job } = await seen(run, 'attemptStarted')
    run.child.stdout.destroy()
    // The next line meets nobody.
    writeFileSync(join(cwd, 'open'), '')
    expect(await within(15_000, run.ended, 'the command')).toMatchObject({ code: 141 })
    expect(recordOf(cwd, job).state).toBe('paused')
    expect(mark.living()).toEqual([])
  })
})

describe('resume', () => {
  it('goes on with what is not done, with the options there were', async () => {
    const cwd = tempFolder()
    // The failure of one ends the other, unless that is done.
    const first = 'until grep -q chunkDone jobs/*.jsonl; do sleep 0.05; done; exit 5'
    writeJob(cwd, [quick(0), `sh -c "printf x >> 1.runs; [ -e open ] || { ${first}; }; printf done > 1.out"`])
    const run = await command(['run', 'job.json', '--json', '--retries', '0', '-c', '2'], { cwd })
    expect(run.code).toBe(1)
    const { job } = eventsIn(run.stdout)[0]
    writeFileSync(join(cwd, 'open'), '')
    // As a crash may leave it.
    appendFileSync(join(cwd, 'jobs', `${job}.events.jsonl`), '{"event":"chunkDo')
    const { code, stdout } = await command(['resume', job.slice(0, 8), '--json'], { cwd })
    expect(code).toBe(0)
    const events = eventsIn(stdout)
    expect(events[0]).toMatchObject({ event: 'resumed', job, name: 'film', chunks: 2, concurrency: 2, jobDir: cwd })
    expect(events.filter(({ event }) => event === 'attemptStarted')).toMatchObject([
      { chunk: 1, attempt: 1, attempts: 1 },
    ])
    expect(events.at(-1)).toMatchObject({ event: 'ended', state: 'completed' })
    expect(runsOf(cwd, 1)).toBe(2)
    // Both runs are in the file.
    const text = readFileSync(join(cwd, 'jobs', `${job}.events.jsonl`), 'utf8')
    expect(eventsIn(text.replace('{"event":"chunkDo\n', '')).map(({ event }) => event)).toEqual(
      expect.arrayContaining(['submitted', 'attemptFailed', 'resumed']),
    )
    const again = await command(['resume', job], { cwd })
    expect(again).toMatchObject({ code: 1, stderr: `helios-jobs: Job ${job} cannot go on: it is completed\n` })
  })

  it('refuses jobs that need what only their program has', async () => {
    const cwd = tempFolder()
    writeJob(cwd, [failing('no')])
    const { stdout } = await command(['run', 'job.json', '--json', '--retries', '0'], { cwd })
    const { job } = eventsIn(stdout)[0]
    const file = join(cwd, 'jobs', `${job}.json`)
    const record = recordOf(cwd, job)
    writeFileSync(file, JSON.stringify({ ...record, options: { ...record.options, needed: ['stitcher', 'storage'] } }))
    const { code, stderr } = await command(['resume', job], { cwd })
    expect(code).toBe(1)
    expect(stderr).toBe(
      `helios-jobs: Job ${job} cannot go on here: it was submitted with a storage by another program\n`,
    )
  })
})

describe('a job on a terminal', () => {
  it('has a bar, and a line for each worker', async (context) => {
    need(context, 'terminal')
    const cwd = tempFolder()
    const telling = (id) =>
      `sh -c "echo frame=4; echo progress=continue; echo busy with ${id} >&2; while [ ! -e open ]; do sleep 0.02; done; printf d > ${id}.out"`
    writeJob(cwd, [telling(0), telling(1), telling(2)])
    const run = startCommand(['run', 'job.json', '-c', '2'], {
      cwd,
      env: { NO_COLOR: '1', TERM: 'xterm' },
      wrap: terminal,
    })
    const text = () => run.out.stdout
    await until(() => /chunk 1 .* 40% .*busy with 1/.test(text()), 'the line of the second worker')
    expect(text()).toMatch(/Rendering █+░+ +26% {2}0\/3 chunks {2}0:0\d {2}ETA \d:\d\d/)
    expect(text()).toMatch(/ 1 {2}chunk 0 +frames 0-9 +40% +0:0\d {2}busy with 0/)
    writeFileSync(join(cwd, 'open'), '')
    const { code } = await within(10_000, run.ended, 'the command')
    expect(code).toBe(0)
    // The bar is taken away in the end.
    expect(text().slice(text().lastIndexOf('\x1b[J'))).toMatch(/^\x1b\[JState {3}completed/) // oxlint-disable-line no-control-regex
  })
})

describe('a video', () => {
  const rendering =
    (ffmpeg, frames = 10) =>
    (id) =>
      `${ffmpeg} -y -v error -nostdin -f lavfi -i testsrc2=rate=10:size=64x64 -frames:v ${frames} ${id}.mp4`

  it('is stitched, proven and verified', async (context) => {
    need(context, 'ffmpeg')
    const cwd = tempFolder()
    const env = { FFMPEG_PATH: ffmpegPath() }
    const file = writeJob(cwd, [0, 1, 2].map(rendering(ffmpegPath())))
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('.out', '.mp4'))
    const { code, stdout } = await command(['run', 'job.json', '-o', 'videos/film.mp4', '-c', '2'], { cwd, env })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Video {3}videos\/film\.mp4 \([\d.]+ kB\)\nProof {3}30 frames, 3\.000 s, h264$/m)
    const [, id] = /^Job (\S+)$/m.exec(stdout)

    const verified = await command(['verify', 'videos/film.mp4', '--job', id.slice(0, 6)], { cwd, env })
    expect(verified.code).toBe(0)
    expect(verified.stdout).toMatch(/^frames +30 +30 +ok$/m)
    expect(verified.stdout).toMatch(/^streams, as proven +h264 64x64 yuv420p +h264 64x64 yuv420p +ok$/m)
    const other = await command(['verify', '1.mp4', '--job', id, '--json'], { cwd, env })
    expect(other.code).toBe(1)
    const { ok, checks } = JSON.parse(other.stdout)
    expect([ok, checks.find(({ what }) => what === 'frames')]).toEqual([
      false,
      { what: 'frames', expected: '30', found: '10', ok: false },
    ])
    writeFileSync(join(cwd, 'cut.mp4'), readFileSync(join(cwd, 'videos/film.mp4')).subarray(0, -2000))
    const cut = await command(['verify', 'cut.mp4', '--job', id], { cwd, env })
    expect(cut.code).toBe(1)
    expect(cut.stderr).toMatch(/^helios-jobs: The video is not whole: .*cut\.mp4/)
    expect(await command(['verify', 'none.mp4', '--job', id], { cwd, env })).toMatchObject({ code: 1 })
    // Looking into them has left nothing.
    expect(readdirSync(cwd).sort()).toEqual(['0.mp4', '1.mp4', '2.mp4', 'cut.mp4', 'job.json', 'jobs', 'videos'])
  })

  it('that lacks frames fails the job, which goes on when the chunk is better', async (context) => {
    need(context, 'ffmpeg')
    const cwd = tempFolder()
    const env = { FFMPEG_PATH: ffmpegPath() }
    const short = `sh -c "n=4; [ ! -e open ] || n=10; ${rendering(ffmpegPath(), '$n')(1)}"`
    const file = writeJob(cwd, [rendering(ffmpegPath())(0), short])
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('.out', '.mp4'))
    const run = await command(['run', 'job.json', '-o', 'film.mp4', '--retries', '0', '--json', '-c', '1'], {
      cwd,
      env,
    })
    expect(run.code).toBe(1)
    const events = eventsIn(run.stdout)
    expect(events.at(-1).error).toMatch(/4 frames/)
    expect(existsSync(join(cwd, 'film.mp4'))).toBe(false)
    writeFileSync(join(cwd, 'open'), '')
    const resumed = await command(['resume', events[0].job, '--json'], { cwd, env })
    expect(resumed.code).toBe(0)
    expect(eventsIn(resumed.stdout).at(-1).result).toMatchObject({ frames: 20 })
  })
})

it('runs two jobs in one folder at once', async () => {
  const cwd = tempFolder()
  writeJob(cwd, [gated(0), gated(1)])
  const dirs = ['a', 'b'].map((name) => join(cwd, name))
  const runs = dirs.map((dir) => startCommand(['run', 'job.json', '--json', '--dir', dir], { cwd }))
  for (const run of runs) await seen(run, 'attemptStarted')
  for (const dir of dirs) writeFileSync(join(dir, 'open'), '')
  for (const run of runs) expect(await within(15_000, run.ended)).toMatchObject({ code: 0 })
  const { stdout } = await command(['list', '--json'], { cwd })
  expect(JSON.parse(stdout).map(({ state }) => state)).toEqual(['completed', 'completed'])
})
