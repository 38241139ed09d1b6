// report: all that is known of a job on one page.

import { writeFileSync } from 'node:fs'
import { attemptsOf } from './lib/attempts.mjs'
import { readEvents } from './lib/events.mjs'
import { exitCodes, usage } from './lib/failure.mjs'
import { findJob } from './lib/records.mjs'
import { page } from './report/page.mjs'

export default {
  name: 'report',
  takes: ['<job>'],
  summary: 'Writes an HTML page about a job: who rendered what, when, and what came of it',
  details: `The page needs nothing else, neither a server nor a network. It has the chunks of each worker over time, the slowest of
them, attempts that failed, the last lines of what they wrote, and the proof of the video. For jobs that other programs run,
times of chunks are estimated from their files, and attempts that failed are only counted.`,
  options: {
    output: { value: 'FILE', short: 'o', help: 'where to (default: report-<id>.html; - is standard output)' },
  },

  async run({ jobs, rest: [name], output }) {
    if (output === '') throw usage('--output must name a file')
    const record = await findJob(jobs, name)
    const events = readEvents(jobs, record.id)
    const html = page({ record, events, attempts: attemptsOf(record, events), now: Date.now() })
    if (output === '-') {
      process.stdout.write(html)
      return exitCodes.ok
    }
    const file = output ?? `report-${record.id.slice(0, 8)}.html`
    writeFileSync(file, html)
    process.stdout.write(`${file}\n`)
    return exitCodes.ok
  },
}
