// Cancelling and pausing: the job is stopped wherever it runs, in this folder's other processes, too.

import { silenced } from './console.mjs'
import { Failure, exitCodes } from './failure.mjs'
import { plural, span } from './format.mjs'
import { findJob } from './records.mjs'
import { openManager } from './runner.mjs'

const DEFAULT_WAIT = 30_000

/** What `cancel` and `pause` take; other processes are asked, and given some time to do as they are told. */
export const waitOption = (read) => ({
  wait: { value: 'TIME', help: `how long its process may take to stop it (default: ${span(DEFAULT_WAIT)})`, read },
})

/**
 * Stops jobs, one after the other. `method` is that of the manager, `state` the one it leads to, `from` those it acts on.
 */
export async function stopJobs(folder, names, { method, state, from, wait = DEFAULT_WAIT }) {
  // Wrong names are said before anything is stopped.
  const records = []
  for (const name of names) records.push(await findJob(folder, name))
  const manager = openManager(folder)
  let failed = 0
  for (const record of records) {
    const refused = await stopOne(manager, record, { method, state, from, wait })
    if (refused) {
      failed += 1
      process.stderr.write(`helios-jobs: ${refused}\n`)
    } else {
      process.stdout.write(`Job ${record.id} is ${state}\n`)
    }
  }
  if (failed > 0 && records.length > 1) process.stderr.write(`helios-jobs: ${plural(failed, 'job')} not ${state}\n`)
  return failed > 0 ? exitCodes.failed : exitCodes.ok
}

/** Stops a job; gives why it is not stopped, if it is not. */
async function stopOne(manager, { id, state: before }, { method, state, from, wait }) {
  if (before === state) return undefined
  if (!from.includes(before)) return `Job ${id} cannot be ${state}: it is ${before}`
  await inTime(
    manager,
    id,
    silenced(() => manager[method](id)),
    wait,
  )
  const after = (await manager.getJob(id))?.state ?? 'deleted'
  return after === state ? undefined : `Job ${id} was not ${state}: it is ${after}`
}

async function inTime(manager, id, work, wait) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new Failure(
          `Job ${id} is run by another process, which has not stopped it within ${span(wait)}. It was asked to, and will ` +
            'when it can; if it hangs, end it, and ask again.',
        ),
      )
    }, wait)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
