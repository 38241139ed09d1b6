// verify: whether a video has all that its job says.

import { existsSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { FfmpegStitcher } from '../index.js'
import { shared } from './lib/arguments.mjs'
import { compare } from './lib/checks.mjs'
import { Failure, exitCodes, usage } from './lib/failure.mjs'
import { plain, table } from './lib/format.mjs'
import { findJob } from './lib/records.mjs'
import { terminal } from './lib/terminal.mjs'

export default {
  name: 'verify',
  takes: ['<video>'],
  summary: 'Reads a video from end to end, and compares it with its job',
  details: `Frames are counted, not estimated. They are compared with what the job asked for, and with what was proven when its chunks
were joined. Needs ffmpeg, which FFMPEG_PATH may name. Exit code 1 if anything differs, or the video is damaged.
With --json an object { video, job, ok, error, frames, duration, streams, checks }.`,
  options: { job: { value: 'JOB', help: 'the job that made it' }, json: shared.json },

  async run({ jobs, rest: [video], job, json }) {
    if (job === undefined) throw usage('verify needs --job, the job that made the video')
    const record = await findJob(jobs, job)
    const file = resolve(video)
    if (!existsSync(file)) throw new Failure(`There is no video ${video}`)
    const found = await probe(file)
    const checks = found.error === undefined ? compare(record, found) : []
    const ok = checks.length > 0 && checks.every((check) => check.ok)
    if (json)
      process.stdout.write(`${JSON.stringify({ video: file, job: record.id, ok, ...found, checks }, null, 2)}\n`)
    else print(video, record, found, checks)
    return ok ? exitCodes.ok : exitCodes.failed
  },
}

/** What is in a video, found out by a plan of joining it with nothing: every packet is read for that. */
async function probe(file) {
  const nowhere = join(dirname(file), `.helios-verify-${process.pid}${extname(file)}`)
  try {
    const { frames, duration, streams } = await new FfmpegStitcher(undefined, { dryRun: true }).stitch([file], nowhere)
    return { frames, duration, streams }
  } catch (error) {
    return { error: error.message.replace(/^cannot stitch /, '') }
  }
}

function print(video, record, { error }, checks) {
  const { paint } = terminal(process.stdout)
  if (error !== undefined) throw new Failure(`The video is not whole: ${plain(error)}`)
  if (checks.length === 0) throw new Failure(`Job ${record.id} says nothing that ${video} could be compared with`)
  const mark = ({ ok }) => (ok ? ['ok', paint.green] : ['differs', paint.red])
  const rows = checks.map((check) => [check.what, check.expected, check.found, mark(check)])
  process.stdout.write(
    table(
      ['', 'EXPECTED', 'FOUND', ''].map((title) => ({ title })),
      rows,
      paint,
    ),
  )
  const wrong = checks.filter(({ ok }) => !ok).length
  if (wrong > 0) throw new Failure(`${plain(video)} is not what job ${record.id} says`)
  process.stdout.write(`${plain(video)} is what job ${record.id} says\n`)
}
