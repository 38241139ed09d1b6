// delete: removes jobs, whatever their state.

import { Failure, exitCodes } from './lib/failure.mjs'
import { bytes, plain, plural } from './lib/format.mjs'
import { findJob, isOver } from './lib/records.mjs'
import { filesOption, removeJob } from './lib/removal.mjs'
import { openManager } from './lib/runner.mjs'
import { checkStorage, storageOptions } from './lib/storage.mjs'

export default {
  name: 'delete',
  takes: ['<job>...'],
  summary: 'Deletes jobs: their records, and what was stored for them elsewhere',
  details: `Jobs that are not over are deleted with --force only, which cancels them first, wherever they run.`,
  options: { force: { help: 'also delete jobs that are not over' }, ...filesOption, ...storageOptions },

  async run({ jobs, rest, force, ...options }) {
    const records = []
    for (const name of rest) records.push(await findJob(jobs, name))
    // Nothing is deleted before all of it may be.
    for (const record of records) {
      if (!force && !isOver(record)) {
        throw new Failure(`Job ${record.id} is ${record.state}: cancel it first, or delete it with --force`)
      }
      checkStorage(record, options)
    }
    const manager = openManager(jobs, options.keepObjects ? undefined : options.storage?.adapter)
    let code = exitCodes.ok
    for (const record of records) {
      const { files, bytes: size, warnings } = await removeJob(manager, jobs, record, options)
      const also = files > 0 ? `, with ${plural(files, 'file')} of chunks (${bytes(size)})` : ''
      process.stdout.write(`Job ${record.id} is deleted${also}\n`)
      for (const text of warnings) process.stderr.write(`helios-jobs: ${plain(text)}\n`)
      if (warnings.length > 0) code = exitCodes.failed
    }
    return code
  },
}
