// prune: removes jobs that have been over for a while.

import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { FileJobRepository } from '../index.js'
import { duration, listOf } from './lib/arguments.mjs'
import { exitCodes, usage } from './lib/failure.mjs'
import { age, bytes, plain, plural } from './lib/format.mjs'
import { isOver, nameOf, readJob } from './lib/records.mjs'
import { filesOption, removeJob, unchangedFiles } from './lib/removal.mjs'
import { openManager } from './lib/runner.mjs'
import { checkStorage, storageOptions } from './lib/storage.mjs'

const FINISHED = ['completed', 'failed', 'cancelled']
const EVENTS = '.events.jsonl'

export default {
  name: 'prune',
  summary: 'Deletes jobs that have been over for a while, with what was stored for them',
  details: `Jobs that are pending, running or paused stay, however old they are. A job with objects in a storage that is not given is
left out, and named (exit code 1). Files of events whose record is gone are removed, too.`,
  options: {
    'older-than': {
      value: 'TIME',
      help: 'how long they have been over at least, such as 7d; 0s for all',
      read: duration,
    },
    state: {
      value: 'STATE',
      help: `only those in this state, or several: ${FINISHED.join(', ')}`,
      read: listOf(FINISHED),
    },
    'dry-run': { help: 'only say what would be deleted' },
    ...filesOption,
    ...storageOptions,
  },

  async run({ jobs, olderThan, state = FINISHED, dryRun, ...options }) {
    if (olderThan === undefined) throw usage('prune needs --older-than, such as --older-than 7d')
    const repository = new FileJobRepository(jobs)
    const manager = openManager(jobs, options.keepObjects ? undefined : options.storage?.adapter)
    const before = Date.now() - olderThan
    const old = (await repository.list()).filter((record) => state.includes(record.state) && endOf(record) <= before)
    const total = { jobs: 0, files: 0, bytes: 0, failed: 0 }
    for (const { id } of old) {
      // Somebody may have gone on with it meanwhile.
      const record = await readJob(repository, id)
      if (!record || !isOver(record) || endOf(record) > before) continue
      try {
        checkStorage(record, options)
        add(total, await prune(manager, jobs, record, { ...options, dryRun }))
      } catch (error) {
        total.failed += 1
        process.stderr.write(`helios-jobs: ${error.message}\n`)
      }
    }
    if (!dryRun) await removeOrphans(jobs, before)
    const files = total.files > 0 ? `, with ${plural(total.files, 'file')} of chunks (${bytes(total.bytes)})` : ''
    process.stdout.write(`${plural(total.jobs, 'job')} ${dryRun ? 'would be ' : ''}deleted${files}\n`)
    return total.failed > 0 ? exitCodes.failed : exitCodes.ok
  },
}

const endOf = ({ finishedAt, updatedAt, createdAt }) => finishedAt ?? updatedAt ?? createdAt ?? Infinity

/** Deletes a job, or only looks what that would remove. */
async function prune(manager, folder, record, { dryRun, ...options }) {
  const done = dryRun ? await wouldRemove(record, options) : await removeJob(manager, folder, record, options)
  const what = [record.id, plain(nameOf(record)), `${record.state} ${age(Date.now() - endOf(record))} ago`]
  process.stdout.write(`${what.filter(Boolean).join('  ')}\n`)
  for (const text of done.warnings) process.stderr.write(`helios-jobs: ${plain(text)}\n`)
  return done
}

async function wouldRemove(record, { files }) {
  const found = files ? await unchangedFiles(record) : []
  return { files: found.length, bytes: found.reduce((sum, { size }) => sum + size, 0), warnings: [] }
}

function add(total, { files, bytes: size, warnings }) {
  total.jobs += 1
  total.files += files
  total.bytes += size
  if (warnings.length > 0) total.failed += 1
}

/** Other programs that delete a job do not know of the file with its events. */
async function removeOrphans(folder, before) {
  const names = new Set(await readdir(folder).catch(() => []))
  for (const name of names) {
    if (!name.endsWith(EVENTS) || names.has(`${name.slice(0, -EVENTS.length)}.json`)) continue
    const path = join(folder, name)
    const seen = await stat(path).catch(() => undefined)
    if (seen && seen.mtimeMs <= before) await rm(path, { force: true })
  }
}
