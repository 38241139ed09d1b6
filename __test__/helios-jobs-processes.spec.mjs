// `helios-jobs` on jobs that another process runs: looking does not disturb them, stopping works or is refused.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ffmpegPath, need } from './support/abilities.mjs'
import { command, eventsIn, gated, runsOf, seen, startCommand, writeJob } from './support/command.mjs'
import { tempFolder } from './support/files.mjs'
import { processMark } from './support/processes.mjs'
import { startScript } from './support/scripts.mjs'
import { until, within } from './support/wait.mjs'

const recordOf = (cwd, id) => JSON.parse(readFileSync(join(cwd, 'jobs', `${id}.json`), 'utf8'))

/** A job of two chunks that wait for a file `open`, one at a time, run by the command in another process. */
async function elsewhere(context, { options = ['-c', '1'], commands = [gated(0), gated(1)], extra } = {}) {
  const mark = processMark(context)
  const cwd = tempFolder()
  writeJob(cwd, commands, extra)
  const run = startCommand(['run', 'job.json', '--json', ...options], { cwd, env: mark.env })
  const { job } = await seen(run, 'attemptStarted')
  await until(() => runsOf(cwd, 0) === 1, 'the chunk')
  return { mark, cwd, run, job, open: () => writeFileSync(join(cwd, 'open'), '') }
}

/** A job of a program that uses the package, and knows nothing of the command. */
async function ofProgram(context, { commands, options = '' }) {
  const mark = processMark(context)
  const cwd = tempFolder()
  const file = writeJob(cwd, commands)
  const body = `
    import { readFileSync } from 'node:fs'
    console.log = () => {}
    const manager = new lib.JobManager(new lib.FileJobRepository('jobs'), new lib.JobExecutor(new lib.LocalWorkerAdapter()))
    const spec = JSON.parse(readFileSync(${JSON.stringify(file)}, 'utf8'))
    process.stdout.write(await manager.submitJob(spec, { jobDir: ${JSON.stringify(cwd)}, ${options} }))
  `
  const program = startScript(body, { cwd, env: { ...process.env, ...mark.env } })
  await until(() => program.out.stdout.length === 36 && runsOf(cwd, 0) === 1, 'the job')
  return { mark, cwd, program, job: program.out.stdout, open: () => writeFileSync(join(cwd, 'open'), '') }
}

describe('a job that another process runs', () => {
  it('is looked at by all that look, and goes on', async (context) => {
    const { cwd, run, job, open } = await elsewhere(context)
    const files = readdirSync(join(cwd, 'jobs')).sort()
    for (const args of [['list'], ['show', job], ['logs', job], ['report', job, '-o', '-'], ['show', job, '--json']]) {
      expect(await command(args, { cwd })).toMatchObject({ code: 0, stderr: '' })
    }
    expect((await command(['show', job], { cwd })).stdout).toMatch(
      /^ +0 {2}0-9 +running +1 +1 .*\n +1 {2}10-19 +waiting +- +-/m,
    )
    // Nobody has joined the folder, and nobody was asked for anything.
    expect(readdirSync(join(cwd, 'jobs')).sort()).toEqual(files)
    expect(recordOf(cwd, job).state).toBe('running')
    open()
    expect(await within(10_000, run.ended)).toMatchObject({ code: 0 })
    expect([runsOf(cwd, 0), runsOf(cwd, 1)]).toEqual([1, 1])
  })

  it('is watched until it is over, through a pause', async (context) => {
    const { cwd, run, job, open } = await elsewhere(context)
    const watch = startCommand(['watch', job.slice(0, 8), '--json'], { cwd })
    expect(await seen(watch, 'watching')).toMatchObject({ job, state: 'running', totalChunks: 2, concurrency: 1 })
    expect(await seen(watch, 'attemptStarted')).toMatchObject({ chunk: 0, worker: 1, attempt: 1, attempts: 3 })
    expect(await command(['pause', job], { cwd })).toMatchObject({ code: 0 })
    await seen(watch, 'state', ({ state }) => state === 'paused')
    expect(await within(5000, run.ended)).toMatchObject({ code: 4 })
    const resume = startCommand(['resume', job, '--json'], { cwd })
    await seen(watch, 'state', ({ state }) => state === 'running')
    open()
    expect(await within(10_000, resume.ended)).toMatchObject({ code: 0 })
    expect(await within(5000, watch.ended)).toMatchObject({ code: 0, stderr: '' })
    const events = eventsIn(watch.out.stdout)
    expect(events.filter(({ event }) => event === 'chunkDone').map(({ chunk }) => chunk)).toEqual([0, 1])
    expect(events.at(-1)).toMatchObject({ event: 'ended', state: 'completed' })
  })

  it('is left alone when watching is interrupted', async (context) => {
    const { cwd, run, job, open } = await elsewhere(context)
    const watch = startCommand(['watch', job, '--json'], { cwd })
    await seen(watch, 'watching')
    watch.child.kill('SIGINT')
    expect(await within(5000, watch.ended)).toMatchObject({ code: 130 })
    open()
    expect(await within(10_000, run.ended)).toMatchObject({ code: 0 })
  })

  it.for([
    ['cancel', 'cancelled'],
    ['pause', 'paused'],
  ])('is stopped by %s, and its process ends with 4', async ([name, state], context) => {
    const { mark, cwd, run, job } = await elsewhere(context)
    const stopped = await command([name, job.slice(0, 6)], { cwd })
    expect(stopped).toEqual({ code: 0, signal: null, stdout: `Job ${job} is ${state}\n`, stderr: '' })
    expect(await within(5000, run.ended)).toMatchObject({ code: 4 })
    expect(mark.living()).toEqual([])
    expect(eventsIn(run.out.stdout).at(-1)).toMatchObject({ event: 'ended', state })
    expect(recordOf(cwd, job).state).toBe(state)
    expect(readdirSync(join(cwd, 'jobs')).sort()).toEqual([`${job}.events.jsonl`, `${job}.json`])
    // A second time there is nothing to do.
    expect(await command([name, job], { cwd })).toMatchObject({ code: 0 })
  })

  it('is watched to its cancellation, with exit code 4', async (context) => {
    const { cwd, job } = await elsewhere(context)
    const watch = startCommand(['watch', job], { cwd })
    await until(() => watch.out.stdout.includes(job), 'the watch to begin')
    expect(await command(['cancel', job], { cwd })).toMatchObject({ code: 0 })
    const { code, stdout } = await within(5000, watch.ended)
    expect(code).toBe(4)
    expect(stdout).toMatch(/^State {3}cancelled/m)
  })

  it('whose process does not answer: exit code 1, and it is stopped when it can', async (context) => {
    const { cwd, run, job } = await elsewhere(context)
    run.child.kill('SIGSTOP')
    const { code, stderr } = await command(['pause', job, '--wait', '400ms'], { cwd })
    expect(code).toBe(1)
    expect(stderr).toMatch(
      new RegExp(
        `^helios-jobs: Job ${job} is run by another process, which has not stopped it within 400 ms\\. It was asked`,
      ),
    )
    run.child.kill('SIGCONT')
    expect(await within(10_000, run.ended)).toMatchObject({ code: 4 })
    expect(recordOf(cwd, job).state).toBe('paused')
  })

  it('is neither resumed nor deleted, nor recovered', async (context) => {
    const { cwd, run, job, open } = await elsewhere(context)
    expect(await command(['resume', job], { cwd })).toMatchObject({
      code: 1,
      stderr: `helios-jobs: Job ${job} cannot go on: it is running. If its process has died, \`recover\` goes on with it\n`,
    })
    expect(await command(['delete', job], { cwd })).toMatchObject({
      code: 1,
      stderr: `helios-jobs: Job ${job} is running: cancel it first, or delete it with --force\n`,
    })
    const recovered = await command(['recover'], { cwd })
    expect(recovered).toMatchObject({
      code: 0,
      stdout: 'No job in jobs was left by a process that has died.\n',
      stderr: '',
    })
    const pruned = await command(['prune', '--older-than', '0s'], { cwd })
    expect(pruned).toMatchObject({ code: 0, stdout: '0 jobs deleted\n' })
    open()
    expect(await within(10_000, run.ended)).toMatchObject({ code: 0 })
  })

  it('is deleted with --force, wherever it runs', async (context) => {
    const { mark, cwd, run, job } = await elsewhere(context)
    expect(await command(['delete', job, '--force'], { cwd })).toMatchObject({
      code: 0,
      stdout: `Job ${job} is deleted\n`,
    })
    expect(mark.living()).toEqual([])
    expect(await within(5000, run.ended)).toMatchObject({ code: 4 })
    expect(existsSync(join(cwd, 'jobs', `${job}.json`))).toBe(false)
  })

  it('is deleted with the files of its chunks only when none runs any more', async (context) => {
    // Takes what the other has rendered once more, when it is told to end.
    const needy = `sh -c "trap 'cp 0.out 1.out; exit 1' TERM; printf x >> 1.runs; while :; do sleep 0.02; done"`
    const { mark, cwd, run, job, open } = await elsewhere(context, {
      options: ['-c', '2'],
      commands: [gated(0), needy],
    })
    await until(() => runsOf(cwd, 1) === 1, 'the other chunk')
    open()
    await seen(run, 'chunkDone')
    expect(await command(['delete', job, '--force', '--files'], { cwd })).toMatchObject({
      code: 0,
      stdout: `Job ${job} is deleted, with 1 file of chunks (4 B)\n`,
    })
    expect(await within(5000, run.ended)).toMatchObject({ code: 4 })
    expect(mark.living()).toEqual([])
    expect(readFileSync(join(cwd, '1.out'), 'utf8')).toBe('done')
    expect(readdirSync(cwd).filter((name) => name.endsWith('.out'))).toEqual(['1.out'])
    expect(readdirSync(join(cwd, 'jobs'))).toEqual([])
  })

  it('is stopped with others, and those that cannot be are named', async (context) => {
    const { cwd, run, job } = await elsewhere(context)
    writeFileSync(
      join(cwd, 'jobs', 'over.json'),
      JSON.stringify({ id: 'over', state: 'completed', spec: { id: 'x', chunks: [] } }),
    )
    // A wrong name stops nothing.
    expect(await command(['cancel', job, 'nobody'], { cwd })).toMatchObject({ code: 3 })
    expect(recordOf(cwd, job).state).toBe('running')
    expect(await command(['cancel', 'over', job], { cwd })).toMatchObject({
      code: 1,
      stdout: `Job ${job} is cancelled\n`,
      stderr: 'helios-jobs: Job over cannot be cancelled: it is completed\nhelios-jobs: 1 job not cancelled\n',
    })
    expect(await within(5000, run.ended)).toMatchObject({ code: 4 })
  })
})

describe('a job of a program of its own', () => {
  it('is shown, watched, reported on and cancelled', async (context) => {
    const flaky = `sh -c "[ -e again ] || { touch again; exit 3; }; printf d > 1.out"`
    const { mark, cwd, program, job } = await ofProgram(context, {
      commands: [`sh -c "printf x >> 0.runs; printf d > 0.out"`, flaky, gated(2)],
      options: 'retries: 1, retryDelay: 1',
    })
    await until(() => runsOf(cwd, 2) === 1, 'the third chunk')
    const watch = startCommand(['watch', job, '--json'], { cwd })
    expect(await seen(watch, 'watching')).toMatchObject({ completedChunks: 2, totalChunks: 3 })
    expect((await command(['show', job], { cwd })).stdout).toMatch(/^ +1 {2}10-19 +done +- +2 /m)
    const { stdout } = await command(['report', job, '-o', '-'], { cwd })
    expect(stdout).toContain('The times of 2 of 2 chunks are estimated')
    expect(stdout).toContain('Of 1 attempt more only the number is known')
    expect(await command(['cancel', job], { cwd })).toMatchObject({ code: 0 })
    expect(await within(5000, watch.ended)).toMatchObject({ code: 4 })
    expect(mark.living()).toEqual([])
    expect(await within(5000, program.ended)).toMatchObject({ code: 0 })
  })

  it('is resumed here after a pause', async (context) => {
    const { cwd, program, job, open } = await ofProgram(context, { commands: [gated(0)] })
    expect(await command(['pause', job], { cwd })).toMatchObject({ code: 0 })
    expect(await within(5000, program.ended)).toMatchObject({ code: 0 })
    open()
    const { code, stdout } = await command(['resume', job, '--json'], { cwd })
    expect(code).toBe(0)
    expect(eventsIn(stdout).map(({ event }) => event)).toEqual(['resumed', 'attemptStarted', 'chunkDone', 'ended'])
    expect(recordOf(cwd, job).state).toBe('completed')
  })
})

describe('a process that was killed', () => {
  it('leaves jobs that recover goes on with, and nothing runs twice', async (context) => {
    const one = await elsewhere(context)
    one.run.child.kill('SIGKILL')
    await one.run.ended
    const recover = startCommand(['recover', '--json'], { cwd: one.cwd, env: one.mark.env })
    expect(await seen(recover, 'watching')).toMatchObject({ job: one.job, completedChunks: 0, totalChunks: 2 })
    await until(() => runsOf(one.cwd, 0) === 2, 'the chunk')
    one.open()
    expect(await within(15_000, recover.ended)).toMatchObject({ code: 0, stderr: '' })
    const events = eventsIn(recover.out.stdout)
    expect(events.filter(({ event }) => event === 'chunkDone').map(({ chunk }) => chunk)).toEqual([0, 1])
    expect(events.at(-1)).toMatchObject({ event: 'ended', state: 'completed' })
    expect([runsOf(one.cwd, 0), runsOf(one.cwd, 1)]).toEqual([2, 1])
    expect(one.mark.living()).toEqual([])
    // What the dead process was rendering is not taken for running.
    const { stdout } = await command(['show', one.job], { cwd: one.cwd })
    expect(stdout.match(/^ +\d {2}\d+-\d+ +done /gm)).toHaveLength(2)
    const report = await command(['report', one.job, '-o', '-'], { cwd: one.cwd })
    expect(report.stdout).toContain('stopped-bar')
    expect(report.stdout).toContain('The times of 2 of 2 chunks are estimated')
    const again = await command(['recover'], { cwd: one.cwd })
    expect(again.stdout).toBe('No job in jobs was left by a process that has died.\n')
  })

  it('leaves what it was rendering to cancel, which ends it', async (context) => {
    const stubborn = `sh -c "trap '' TERM; printf x >> 0.runs; while :; do sleep 0.05; done"`
    const { mark, cwd, run, job } = await elsewhere(context, { commands: [stubborn] })
    run.child.kill('SIGKILL')
    await run.ended
    expect(await command(['cancel', job], { cwd })).toMatchObject({ code: 0 })
    expect(mark.living()).toEqual([])
  })

  it('leaves a job to be stitched, and one to be merged, and recover does as each wants', async (context) => {
    need(context, 'ffmpeg')
    const env = { FFMPEG_PATH: ffmpegPath() }
    const mark = processMark(context)
    const cwd = tempFolder()
    const render = `sh -c "printf x >> 0.runs; while [ ! -e open ]; do sleep 0.02; done; ${ffmpegPath()} -y -v error -nostdin -f lavfi -i testsrc2=rate=10:size=64x64 -frames:v 10 0.mp4"`
    const file = writeJob(cwd, [render], { mergeCommand: 'sh -c "printf x >> merges"' })
    writeFileSync(file, readFileSync(file, 'utf8').replaceAll('0.out', '0.mp4'))
    const dirs = ['stitched', 'merged'].map((name) => join(cwd, name))
    const runs = dirs.map((dir, i) => {
      const output = i === 0 ? ['-o', join(dir, 'film.mp4')] : []
      return startCommand(['run', 'job.json', '--json', '--dir', dir, ...output], { cwd, env: { ...env, ...mark.env } })
    })
    for (const [i, run] of runs.entries()) {
      await until(() => runsOf(dirs[i], 0) === 1, 'the chunk')
      run.child.kill('SIGKILL')
      await run.ended
    }
    for (const dir of dirs) writeFileSync(join(dir, 'open'), '')
    const { code, stdout } = await command(['recover'], { cwd, env })
    expect(code).toBe(0)
    expect(stdout.match(/^Job \S+ completed, 1 of 1 chunk$/gm)).toHaveLength(2)
    expect([existsSync(join(dirs[0], 'film.mp4')), existsSync(join(dirs[0], 'merges'))]).toEqual([true, false])
    expect([existsSync(join(dirs[1], 'film.mp4')), existsSync(join(dirs[1], 'merges'))]).toEqual([false, true])
  })

  it('leaves jobs that Ctrl-C pauses while they are recovered', async (context) => {
    const { mark, cwd, run, job } = await elsewhere(context)
    run.child.kill('SIGKILL')
    await run.ended
    const recover = startCommand(['recover', '--json'], { cwd, env: mark.env })
    await seen(recover, 'watching')
    await until(() => runsOf(cwd, 0) === 2, 'the chunk')
    recover.child.kill('SIGINT')
    expect(await within(15_000, recover.ended)).toMatchObject({ code: 130 })
    expect(recordOf(cwd, job).state).toBe('paused')
    expect(mark.living()).toEqual([])
  })
})
