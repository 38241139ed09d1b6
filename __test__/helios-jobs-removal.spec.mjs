// `helios-jobs delete` and `prune`: what goes, and what stays.
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { removeJob } from '../cli/lib/removal.mjs'
import { command, eventsIn, quick, writeJob } from './support/command.mjs'
import { tempFolder } from './support/files.mjs'
import { runScript } from './support/scripts.mjs'

const DAY = 86_400_000

/** A folder with a job that has run in a folder `work`. */
async function ranJob(commands = [quick(0), quick(1)]) {
  const cwd = tempFolder()
  writeJob(cwd, commands)
  const { code, stdout } = await command(['run', 'job.json', '--json', '--dir', 'work'], { cwd })
  expect(code).toBe(0)
  return { cwd, job: eventsIn(stdout)[0].job, jobs: () => readdirSync(join(cwd, 'jobs')) }
}

/** A job of a program that has stored its assets and its definition in a folder `store`. */
async function storedJob() {
  const cwd = tempFolder()
  const file = writeJob(cwd, [quick(0)])
  mkdirSync(join(cwd, 'work'))
  const body = `
    import { readFileSync } from 'node:fs'
    console.log = () => {}
    const storage = new lib.LocalStorageAdapter({ storageDir: 'store' })
    const manager = new lib.JobManager(new lib.FileJobRepository('jobs'), new lib.JobExecutor(new lib.LocalWorkerAdapter()), storage)
    const id = await manager.submitJob(JSON.parse(readFileSync(${JSON.stringify(file)}, 'utf8')), { jobDir: 'work' })
    process.stdout.write((await manager.waitForJob(id)).state + ' ' + id)
  `
  const { stdout } = await runScript(body, { cwd })
  const [state, job] = stdout.split(' ')
  expect(state).toBe('completed')
  const stored = () => readdirSync(join(cwd, 'store'))
  expect(stored().length).toBeGreaterThan(0)
  return { cwd, job, stored, jobs: () => readdirSync(join(cwd, 'jobs')) }
}

const record = (id, more) => ({ id, spec: { id: 'film', chunks: [] }, state: 'completed', totalChunks: 0, ...more })

function folderWith(...records) {
  const cwd = tempFolder()
  mkdirSync(join(cwd, 'jobs'))
  for (const one of records) writeFileSync(join(cwd, 'jobs', `${one.id}.json`), JSON.stringify(one))
  return { cwd, jobs: () => readdirSync(join(cwd, 'jobs')).sort() }
}

describe('delete', () => {
  it('removes record and events, and leaves the files of chunks', async () => {
    const { cwd, job, jobs } = await ranJob()
    expect(await command(['delete', job.slice(0, 5)], { cwd })).toEqual({
      code: 0,
      signal: null,
      stdout: `Job ${job} is deleted\n`,
      stderr: '',
    })
    expect([jobs(), readdirSync(join(cwd, 'work')).sort()]).toEqual([[], ['0.out', '1.out']])
  })

  it('with --files removes the files that are as they were, and the folder if it is empty', async () => {
    const one = await ranJob()
    const deleted = await command(['delete', one.job, '--files'], { cwd: one.cwd })
    expect(deleted.stdout).toBe(`Job ${one.job} is deleted, with 2 files of chunks (8 B)\n`)
    expect(existsSync(join(one.cwd, 'work'))).toBe(false)

    const other = await ranJob()
    writeFileSync(join(other.cwd, 'work', '0.out'), 'mine')
    utimesSync(join(other.cwd, 'work', '0.out'), 1, 1)
    writeFileSync(join(other.cwd, 'work', 'notes'), '')
    await command(['delete', other.job, '--files'], { cwd: other.cwd })
    expect(readdirSync(join(other.cwd, 'work')).sort()).toEqual(['0.out', 'notes'])
  })

  it('with --files never removes the video, nor the folder it is called in', async () => {
    const { cwd, job } = await ranJob()
    const file = join(cwd, 'jobs', `${job}.json`)
    const known = JSON.parse(readFileSync(file, 'utf8'))
    writeFileSync(file, JSON.stringify({ ...known, result: { outputFile: join(cwd, 'work', '0.out') } }))
    await command(['delete', job, '--files', '--jobs', '../jobs'], { cwd: join(cwd, 'work') })
    expect(readdirSync(join(cwd, 'work'))).toEqual(['0.out'])
  })

  it('with --files removes those of chunks that ended with the job, and the record last', async () => {
    const cwd = tempFolder()
    const file = join(cwd, '0.out')
    const before = record('aa', { state: 'running', options: { jobDir: cwd } })
    before.spec.chunks.push({ id: 0, outputFile: '0.out' })
    const calls = []
    const note = (call) => calls.push([call, existsSync(file)])
    const manager = {
      async cancelJob() {
        note('cancel')
        writeFileSync(file, 'done')
      },
      async getJob() {
        const { size, mtimeMs } = statSync(file)
        return { ...before, state: 'cancelled', outputs: { 0: { size, modifiedMs: mtimeMs } } }
      },
      async deleteJob() {
        note('delete')
      },
    }
    const removed = await removeJob(manager, cwd, before, { files: true })
    expect(removed).toEqual({ files: 1, bytes: 4, objects: 0, warnings: [] })
    expect(calls).toEqual([
      ['cancel', false],
      ['delete', false],
    ])
  })

  it('of several jobs deletes none when one is unknown', async () => {
    const { cwd, jobs } = folderWith(record('aa'), record('bb'))
    expect(await command(['delete', 'aa', 'cc'], { cwd })).toMatchObject({ code: 3 })
    expect(jobs()).toEqual(['aa.json', 'bb.json'])
    expect(await command(['delete', 'aa', 'bb'], { cwd })).toMatchObject({ code: 0 })
    expect(jobs()).toEqual([])
  })

  it('of a job with objects in a storage needs that storage, and empties it', async () => {
    const { cwd, job, stored, jobs } = await storedJob()
    for (const [args, why] of [
      [[], 'so --storage must say where, or --keep-objects that it stays'],
      [['--storage', 's3://bucket'], 'which is not in that --storage'],
    ]) {
      const { code, stderr } = await command(['delete', job, ...args], { cwd })
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(new RegExp(`^helios-jobs: Job ${job} has stored local://\\S+, ${why}\n$`)),
      ])
    }
    expect([jobs(), stored().length > 0]).toEqual([[`${job}.json`], true])
    expect(await command(['delete', job, '--storage', 'store'], { cwd })).toMatchObject({ code: 0, stderr: '' })
    expect([jobs(), stored()]).toEqual([[], []])
  })

  it('with --keep-objects leaves what is stored', async () => {
    const { cwd, job, stored, jobs } = await storedJob()
    const before = stored()
    expect(await command(['delete', job, '--keep-objects'], { cwd })).toMatchObject({ code: 0 })
    expect([jobs(), stored()]).toEqual([[], before])
  })
})

describe('prune', () => {
  const now = Date.now()
  const jobs = [
    record('old', { finishedAt: now - 8 * DAY, updatedAt: now }),
    record('failed', { state: 'failed', finishedAt: now - 9 * DAY }),
    record('cancelled', { state: 'cancelled', updatedAt: now - 10 * DAY }),
    record('young', { finishedAt: now - 6 * DAY }),
    record('paused', { state: 'paused', updatedAt: now - 90 * DAY }),
    record('running', { state: 'running', updatedAt: now - 90 * DAY }),
    record('pending', { state: 'pending', updatedAt: now - 90 * DAY }),
  ]

  it('deletes what has been over for long enough', async () => {
    const { cwd, jobs: left } = folderWith(...jobs)
    const dry = await command(['prune', '--older-than', '7d', '--dry-run'], { cwd })
    expect(dry).toMatchObject({ code: 0, stderr: '' })
    expect(dry.stdout.split('\n').sort()).toEqual([
      '',
      '3 jobs would be deleted',
      'cancelled  film  cancelled 10 d ago',
      'failed  film  failed 9 d ago',
      'old  film  completed 8 d ago',
    ])
    expect(left()).toHaveLength(jobs.length)
    expect(await command(['prune', '--older-than', '7d'], { cwd })).toMatchObject({ code: 0 })
    expect(left()).toEqual(['paused.json', 'pending.json', 'running.json', 'young.json'])
  })

  it('takes those in some states only', async () => {
    const { cwd, jobs: left } = folderWith(...jobs)
    const { stdout } = await command(['prune', '--older-than', '7d', '--state', 'failed,cancelled'], { cwd })
    expect(stdout).toMatch(/^2 jobs deleted$/m)
    expect(left()).toContain('old.json')
    expect(await command(['prune', '--older-than', '7d', '--state', 'running'], { cwd })).toMatchObject({ code: 2 })
  })

  it('removes files of chunks with --files, and events whose record is gone', async () => {
    const { cwd, jobs: left } = await ranJob()
    const [orphan, fresh] = ['gone', 'new'].map((id) => join(cwd, 'jobs', `${id}.events.jsonl`))
    for (const file of [orphan, fresh]) writeFileSync(file, '')
    utimesSync(orphan, 1, 1)
    const dry = await command(['prune', '--older-than', '0s', '--files', '--dry-run'], { cwd })
    expect(dry.stdout).toMatch(/^1 job would be deleted, with 2 files of chunks \(8 B\)$/m)
    expect(statSync(join(cwd, 'work', '0.out')).size).toBe(4)
    expect((await command(['prune', '--older-than', '1h', '--files'], { cwd })).stdout).toBe('0 jobs deleted\n')
    expect(left()).toHaveLength(3)
    const { stdout } = await command(['prune', '--older-than', '0s', '--files'], { cwd })
    expect(stdout).toMatch(/^1 job deleted, with 2 files of chunks \(8 B\)$/m)
    expect([left(), existsSync(join(cwd, 'work'))]).toEqual([[], false])
  })

  it('leaves jobs with objects out, unless it knows where they are', async () => {
    const { cwd, job, stored, jobs: left } = await storedJob()
    writeFileSync(join(cwd, 'jobs', 'other.json'), JSON.stringify(record('other', { finishedAt: 1 })))
    const { code, stdout, stderr } = await command(['prune', '--older-than', '0s'], { cwd })
    expect([code, left()]).toEqual([1, [`${job}.json`]])
    expect(stdout).toMatch(/^1 job deleted$/m)
    expect(stderr).toContain(`Job ${job} has stored local://`)
    expect(await command(['prune', '--older-than', '0s', '--storage', './store'], { cwd })).toMatchObject({ code: 0 })
    expect([left(), stored()]).toEqual([[], []])
  })

  it('of a folder that is not there has nothing to do', async () => {
    const { code, stdout } = await command(['prune', '--older-than', '1d'], { cwd: tempFolder() })
    expect([code, stdout]).toEqual([0, '0 jobs deleted\n'])
  })
})
