// logs: what the chunks of a job have written.

import { shared } from './lib/arguments.mjs'
import { attemptsOf } from './lib/attempts.mjs'
import { readEvents } from './lib/events.mjs'
import { Failure, exitCodes } from './lib/failure.mjs'
import { plain, span } from './lib/format.mjs'
import { chunksOf, findJob } from './lib/records.mjs'
import { terminal } from './lib/terminal.mjs'

export default {
  name: 'logs',
  takes: ['<job>', '[chunk]'],
  summary: 'Prints what the chunks of a job have written',
  details: `Of a chunk that is done, its output; of attempts that failed under \`helios-jobs\`, the end of it. A chunk that runs has
none yet. With a chunk only its own, as it was written: standard output to standard output, standard error to standard
error. With --json a list of { chunk, attempt, outcome, durationMs, error, stdout, stderr }.`,
  options: { json: shared.json },

  async run({ jobs, rest: [name, chunkText], json }) {
    const record = await findJob(jobs, name)
    const chunk = chunkText === undefined ? undefined : chunkOf(record, chunkText)
    const entries = outputs(record, readEvents(jobs, record.id)).filter(
      (entry) => (chunk ?? entry.chunk) === entry.chunk,
    )
    if (json) process.stdout.write(`${JSON.stringify(entries, null, 2)}\n`)
    else if (chunk !== undefined) printOne(entries)
    else printAll(entries)
    return exitCodes.ok
  },
}

function chunkOf(record, text) {
  const id = text.trim() === '' ? NaN : Number(text)
  if (!chunksOf(record).some((chunk) => chunk.id === id)) {
    throw new Failure(`Job ${record.id} has no chunk '${text}'`, exitCodes.noSuchJob)
  }
  return id
}

/** What is kept of attempts, by chunk and attempt. */
function outputs(record, events) {
  const attempts = attemptsOf(record, events)
  const failed = attempts
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ chunk, attempt, outcome, start, end, error, stdout = '', stderr = '' }) => {
      return { chunk, attempt, outcome, durationMs: end - start, error, stdout, stderr }
    })
  const done = (record.logs ?? []).map(({ chunkId: chunk, durationMs, stdout = '', stderr = '' }) => {
    // An attempt that failed before the process died is counted in the record, but begins anew in the next process.
    const last = attempts.findLast((one) => one.chunk === chunk && one.outcome === 'done')
    return {
      chunk,
      attempt: last?.attempt ?? record.attempts?.[chunk] ?? 1,
      outcome: 'done',
      durationMs,
      stdout,
      stderr,
    }
  })
  const order = new Map(chunksOf(record).map(({ id }, index) => [id, index]))
  const place = ({ chunk }) => order.get(chunk) ?? order.size
  // Attempts that failed come before the one that did not: sorting keeps the order of equals.
  return [...failed, ...done].sort((a, b) => place(a) - place(b))
}

function printOne(entries) {
  for (const { outcome, stdout, stderr } of entries) {
    // What is kept of an attempt that failed are its last lines, without the end of the last one.
    const whole = (text) => (outcome === 'failed' && text !== '' ? `${text}\n` : text)
    process.stdout.write(whole(stdout))
    process.stderr.write(whole(stderr))
  }
}

function printAll(entries) {
  const { paint } = terminal(process.stdout)
  if (entries.length === 0) process.stdout.write('No chunk has written anything that is kept yet.\n')
  for (const { chunk, attempt, outcome, durationMs, error, stdout, stderr } of entries) {
    const how = outcome === 'failed' ? paint.red(`failed: ${plain(error).slice(0, 200)}`) : paint.green('done')
    process.stdout.write(`${paint.bold(`chunk ${plain(chunk)}`)}, attempt ${attempt}, ${span(durationMs)}, ${how}\n`)
    for (const text of [stdout, stderr]) {
      if (text.trim() !== '') process.stdout.write(`${text.trimEnd().replace(/^/gm, '  ')}\n`)
    }
  }
}
