// recover: goes on with the jobs of processes that have died.

import { FfmpegStitcher } from '../index.js'
import { shared } from './lib/arguments.mjs'
import { listenToConsole } from './lib/console.mjs'
import { noteResumed } from './lib/events.mjs'
import { exitCodes } from './lib/failure.mjs'
import { plain } from './lib/format.mjs'
import { onInterrupt } from './lib/interrupts.mjs'
import { jsonView } from './lib/json-view.mjs'
import { findJob } from './lib/records.mjs'
import { recoverView } from './lib/recover-view.mjs'
import { openManager } from './lib/runner.mjs'
import { follow } from './watch.mjs'

export default {
  name: 'recover',
  summary: 'Goes on here with all jobs whose process has died',
  details: `What those processes have left running is ended first. Jobs that another process runs are left alone. The jobs run in
this process, at once, with the options they were submitted with, and on this machine, whatever adapter they had; one that
needs a storage or a merge adapter stays as it is (exit code 1). Ctrl-C pauses them.`,
  options: { json: shared.jsonLines },

  async run({ jobs, json }) {
    const manager = openManager(jobs)
    const warnings = []
    const giveBack = listenToConsole(
      () => {},
      (text) => warnings.push(text),
    )
    let interrupted
    const removeInterrupt = onInterrupt((signal) => {
      interrupted = signal
      // Who follows the jobs sees that they are paused.
      manager.close().catch((error) => warnings.push(error.message))
    })
    try {
      const ids = await recoverAll(manager, warnings)
      const failed = warnings.length > 0
      for (const text of warnings.splice(0)) process.stderr.write(`helios-jobs: ${plain(text)}\n`)
      for (const id of ids) noteResumed(jobs, id)
      const states = await followAll(jobs, ids, json)
      await manager.close()
      for (const text of warnings) process.stderr.write(`helios-jobs: ${plain(text)}\n`)
      if (interrupted) return exitCodes[interrupted]
      if (failed || states.includes('failed')) return exitCodes.failed
      return states.every((state) => state === 'completed') ? exitCodes.ok : exitCodes.stopped
    } finally {
      removeInterrupt()
      giveBack()
    }
  },
}

/**
 * First the jobs that do not need a stitcher: given one, a job with a merge command would be joined by that instead. Those that
 * need one are named as not to be recovered, and are in the second round, which names those that still are not. Whatever else
 * there was to warn of stays, and is said once: both rounds read the whole folder.
 */
export async function recoverAll(manager, warnings) {
  const without = await manager.recover()
  const kept = warnings.filter((text) => !/^Job \S+ was not recovered: /.test(text))
  warnings.length = 0
  const stitched = await manager.recover({ stitcher: new FfmpegStitcher() })
  warnings.splice(0, warnings.length, ...new Set([...kept, ...warnings]))
  return [...without, ...stitched]
}

/** Shows the jobs until all are over, or paused; gives their states. */
async function followAll(folder, ids, json) {
  if (ids.length === 0) {
    if (!json) process.stdout.write(`No job in ${folder} was left by a process that has died.\n`)
    return []
  }
  const records = await Promise.all(ids.map((id) => findJob(folder, id)))
  const view = json ? jsonView() : recoverView(records)
  try {
    return await Promise.all(
      records.map(async (record) => {
        const last = await follow(folder, record, view, { throughPauses: false })
        view.end(last, { id: record.id })
        return last?.state ?? 'deleted'
      }),
    )
  } finally {
    view.close()
  }
}
