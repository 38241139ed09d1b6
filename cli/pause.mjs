// pause: stops jobs so that they can go on later.

import { duration } from './lib/arguments.mjs'
import { stopJobs, waitOption } from './lib/stopping.mjs'

export default {
  name: 'pause',
  takes: ['<job>...'],
  summary: 'Pauses jobs, also those that run in another process',
  details: `It ends when nothing of the jobs runs any more; chunks that were being rendered begin anew with \`resume\`. A
\`helios-jobs run\` whose job is paused ends with exit code 4. Jobs that are running can be paused.`,
  options: waitOption(duration),

  run: ({ jobs, rest, wait }) =>
    stopJobs(jobs, rest, { method: 'pauseJob', state: 'paused', from: ['running', 'pending'], wait }),
}
