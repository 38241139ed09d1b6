// watch: shows a job that runs, in whatever process, until it is over.

import { setTimeout as pause } from 'node:timers/promises'
import { FileJobRepository } from '../index.js'
import { shared } from './lib/arguments.mjs'
import { exitCodes } from './lib/failure.mjs'
import { Follower } from './lib/follower.mjs'
import { onInterrupt } from './lib/interrupts.mjs'
import { jsonView } from './lib/json-view.mjs'
import { findJob, readJob } from './lib/records.mjs'
import { runView } from './lib/run-view.mjs'

export default {
  name: 'watch',
  takes: ['<job>'],
  summary: 'Shows how far a job is that runs in another process, until it is over',
  details: `It only looks: Ctrl-C leaves the job alone. It goes on through pauses, and ends when the job is completed (exit code 0),
failed (1), cancelled or deleted (4). Workers are shown of jobs that \`helios-jobs\` runs.`,
  options: { json: shared.jsonLines },

  async run({ jobs, rest: [name], json }) {
    const record = await findJob(jobs, name)
    const view = json ? jsonView() : runView(record.spec ?? {}, { record, folder: jobs })
    // The bar goes, so that the shell's prompt does not stand in it.
    const removeInterrupt = onInterrupt((signal) => {
      view.close()
      process.exit(exitCodes[signal])
    })
    try {
      const last = await follow(jobs, record, view)
      view.end(last, { id: record.id })
      return { completed: exitCodes.ok, failed: exitCodes.failed }[last?.state] ?? exitCodes.stopped
    } finally {
      removeInterrupt()
      view.close()
    }
  },
}

/**
 * Has a view see all that happens in a job until it is over, or paused unless it goes `throughPauses`; gives its last record,
 * undefined if it was deleted.
 */
export async function follow(folder, record, view, { throughPauses = true } = {}) {
  const repository = new FileJobRepository(folder)
  const follower = new Follower(folder, record, (event) => view.event(event))
  for (;;) {
    const began = performance.now()
    const now = await readJob(repository, record.id)
    if (follower.look(now) || (now.state === 'paused' && !throughPauses)) return now
    // Records of thousands of chunks take a while to read; most of the time should go to whoever runs the job.
    await pause(Math.max(200, 5 * (performance.now() - began)))
  }
}
