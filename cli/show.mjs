// show: all that is known of a job.

import { shared } from './lib/arguments.mjs'
import { attemptsOf, runningOf } from './lib/attempts.mjs'
import { readEvents } from './lib/events.mjs'
import { exitCodes } from './lib/failure.mjs'
import { bytes, facts, moment, plain, span, table } from './lib/format.mjs'
import { chunksOf, findJob, framesOf, nameOf, shareDone, tookOf } from './lib/records.mjs'
import { describeProof, describeVideo } from './lib/run-view.mjs'
import { paintState, terminal } from './lib/terminal.mjs'

const COLUMNS = [
  { title: 'CHUNK', right: true },
  { title: 'FRAMES' },
  { title: 'STATE' },
  { title: 'WORKER', right: true },
  { title: 'TRIES', right: true },
  { title: 'TOOK', right: true },
  { title: 'SIZE', right: true },
  { title: 'FILE' },
]
const PAINT = { done: 'green', running: 'cyan', failed: 'red' }

export default {
  name: 'show',
  takes: ['<job>'],
  summary: 'Shows a job and its chunks',
  details: 'With --json the record of the job as it is kept, with the output of its chunks (JobStatus in index.d.ts).',
  options: { json: shared.json },

  async run({ jobs, rest: [name], json }) {
    const record = await findJob(jobs, name)
    const { paint } = terminal(process.stdout)
    if (json) process.stdout.write(`${JSON.stringify(record, null, 2)}\n`)
    else process.stdout.write(`${head(record, paint)}\n${chunkTable(record, readEvents(jobs, record.id), paint)}`)
    return exitCodes.ok
  },
}

function head(record, paint) {
  const { id, state = 'unknown', phase, completedChunks = 0, totalChunks = 0, options = {}, metadata } = record
  const { width, height, fps, totalFrames } = metadata ?? record.spec?.metadata ?? {}
  const doing = state === 'running' && phase ? `, ${plain(phase)}` : ''
  const picture = width > 0 ? `${totalFrames} frames of ${width}x${height} at ${fps} per second` : undefined
  return facts(
    [
      ['Job', plain(id)],
      ['Name', plain(nameOf(record))],
      ['State', `${paintState(paint, state)(plain(state))}${doing}`],
      ['Error', record.error === undefined ? undefined : plain(record.error)],
      ['Asked for', picture && plain(picture)],
      ['Done', `${completedChunks} of ${totalChunks} chunks, ${Math.floor(shareDone(record) * 100)}%`],
      ['At once', options.concurrency === undefined ? undefined : plain(options.concurrency)],
      ['Folder', options.jobDir && plain(options.jobDir)],
      ['Submitted', moment(record.createdAt)],
      ['Started', record.startedAt === undefined ? undefined : moment(record.startedAt)],
      ['Ended', record.finishedAt === undefined ? undefined : moment(record.finishedAt)],
      ['Took', record.startedAt === undefined ? undefined : span(tookOf(record))],
      ['Stored at', record.meta?.jobDefUrl && plain(record.meta.jobDefUrl)],
      ['Video', describeVideo(record.result)],
      ['Proof', describeProof(record.result)],
    ],
    paint,
  )
}

function chunkTable(record, events, paint) {
  const logs = new Map((record.logs ?? []).map((entry) => [entry.chunkId, entry]))
  const running = new Map(runningOf(record, events).map((attempt) => [attempt.chunk, attempt]))
  const workers = new Map(
    attemptsOf(record, events).map(({ chunk, worker, estimated }) => [chunk, estimated ? '-' : worker]),
  )
  const rows = chunksOf(record).map((chunk) => {
    const tries = (record.attempts?.[chunk.id] ?? 0) + (running.has(chunk.id) ? 1 : 0)
    const state = running.has(chunk.id) ? 'running' : logs.has(chunk.id) ? 'done' : tries > 0 ? 'failed' : 'waiting'
    const now = running.has(chunk.id) ? Date.now() - running.get(chunk.id).start : logs.get(chunk.id)?.durationMs
    const figures = [workers.get(chunk.id) ?? '-', tries || '-', span(now), bytes(record.outputs?.[chunk.id]?.size)]
    const painted = [state, paint[PAINT[state] ?? 'dim']]
    return [plain(chunk.id), framesOf(chunk), painted, ...figures, plain(chunk.outputFile ?? '-')]
  })
  return rows.length > 0 ? table(COLUMNS, rows, paint) : 'The record has no chunks.\n'
}
