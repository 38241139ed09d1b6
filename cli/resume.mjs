// resume: goes on with a job that was paused, has failed or was cancelled.

import { Failure } from './lib/failure.mjs'
import { findJob } from './lib/records.mjs'
import { runJob } from './lib/runner.mjs'
import { jobOptions, runOptions } from './run.mjs'

export default {
  name: 'resume',
  takes: ['<job>'],
  summary: 'Goes on here with a job that was paused, has failed or was cancelled',
  details: `The job runs in this process, as with \`run\`. Chunks that are done are not rendered again, unless their file is gone or
has changed. The options are those it was submitted with, each replaced where another one is given. Jobs of other programs
run on this machine, too, whatever adapter they had; one that needs a storage or a merge adapter is refused.`,
  options: runOptions,

  async run({ jobs, rest: [name], json, timeout, ...given }) {
    const record = await findJob(jobs, name)
    const { id, state, spec, options: kept = {} } = record
    if (!['paused', 'failed', 'cancelled'].includes(state)) {
      const why =
        state === 'running' || state === 'pending' ? '. If its process has died, `recover` goes on with it' : ''
      throw new Failure(`Job ${id} cannot go on: it is ${state}${why}`)
    }
    const needed = Array.isArray(kept.needed) ? kept.needed : []
    const missing = needed.find((what) => what !== 'stitcher')
    if (missing) throw new Failure(`Job ${id} cannot go on here: it was submitted with a ${missing} by another program`)
    const options = jobOptions(given)
    const { concurrency = 1, jobDir } = { ...kept, ...options }
    return runJob({
      folder: jobs,
      spec,
      record,
      options,
      json,
      timeout,
      stitches: needed.includes('stitcher'),
      ownRetryOn: kept.retryOn !== undefined,
      async begin(manager, all) {
        await manager.resumeJob(id, all)
        return id
      },
      first: { event: 'resumed', at: Date.now(), name: spec?.id, chunks: spec?.chunks?.length, concurrency, jobDir },
    })
  },
}
