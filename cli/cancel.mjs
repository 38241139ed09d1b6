// cancel: ends jobs before their time.

import { duration } from './lib/arguments.mjs'
import { stopJobs, waitOption } from './lib/stopping.mjs'

export default {
  name: 'cancel',
  takes: ['<job>...'],
  summary: 'Cancels jobs, also those that run in another process',
  details: `It ends when nothing of the jobs runs any more. Jobs that are pending, running or paused can be cancelled; \`resume\` goes
on with them nevertheless. What a process has left running that has died is ended, too.`,
  options: waitOption(duration),

  run: ({ jobs, rest, wait }) =>
    stopJobs(jobs, rest, {
      method: 'cancelJob',
      state: 'cancelled',
      from: ['pending', 'running', 'paused'],
      wait,
    }),
}
