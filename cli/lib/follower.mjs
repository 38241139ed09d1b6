// Makes events of what changes in the record of a job, and of those that whoever runs it writes down. Each chunk is told of
// once, wherever it is seen first.

import { runningOf } from './attempts.mjs'
import { readEvents } from './events.mjs'
import { isOver } from './records.mjs'

export class Follower {
  #folder
  #id
  #tell
  #seen
  #done
  #state
  #phase
  #attempts

  /** Begins with the job as it is: `tell` is called with an event `watching`, and one for each attempt that runs. */
  constructor(folder, record, tell) {
    this.#folder = folder
    this.#id = record.id
    this.#tell = (event, at, more) => tell({ event, job: record.id, at, ...more })
    const events = readEvents(folder, record.id)
    this.#seen = events.length
    this.#done = new Set((record.logs ?? []).map(({ chunkId }) => chunkId))
    this.#state = record.state
    this.#phase = record.phase
    this.#attempts = { ...record.attempts }
    const { state, phase, completedChunks, totalChunks, options } = record
    const about = { name: record.spec?.id, state, phase, completedChunks, totalChunks }
    const { concurrency, jobDir } = options ?? {}
    this.#tell('watching', Date.now(), { ...about, concurrency, jobDir })
    for (const { chunk, attempt, attempts, worker, start } of runningOf(record, events)) {
      this.#tell('attemptStarted', start, { worker, chunk, attempt, attempts })
    }
  }

  /** Looks at the job again, whose record is undefined when it was deleted. Gives whether it is over. */
  look(record) {
    const failed = this.#hear()
    if (!record) {
      this.#tell('ended', Date.now(), { state: 'deleted' })
      return true
    }
    const at = record.updatedAt
    for (const { chunkId, durationMs } of record.logs ?? []) {
      if (this.#isNew(chunkId)) {
        const counts = { done: this.#done.size, total: record.totalChunks }
        this.#tell('chunkDone', record.outputs?.[chunkId]?.modifiedMs ?? at, { chunk: chunkId, durationMs, ...counts })
      }
    }
    this.#countFailures(record, failed)
    if (record.phase !== this.#phase && record.state === 'running') this.#tell('phase', at, { phase: record.phase })
    this.#phase = record.phase
    if (isOver(record)) {
      const { state, error, result } = record
      this.#tell('ended', record.finishedAt ?? at, { state, ...(error && { error }), ...(result && { result }) })
      return true
    }
    if (record.state !== this.#state) this.#tell('state', at, { state: record.state })
    this.#state = record.state
    return false
  }

  /** Tells of the events that were written since; gives the chunks with attempts that failed. */
  #hear() {
    const events = readEvents(this.#folder, this.#id)
    const fresh = events.slice(this.#seen)
    this.#seen = events.length
    const failed = new Set()
    for (const { event, at, ...more } of fresh) {
      if (event === 'chunkDone' ? !this.#isNew(more.chunk) : !event.startsWith('attempt')) continue
      if (event === 'attemptFailed') failed.add(more.chunk)
      this.#tell(event, at, more)
    }
    return failed
  }

  #isNew(chunk) {
    if (this.#done.has(chunk)) return false
    this.#done.add(chunk)
    return true
  }

  /** Attempts that failed in a process that writes no events are counted in the record only, without a reason. */
  #countFailures(record, failed) {
    for (const [chunk, count] of Object.entries(record.attempts ?? {})) {
      const more = count - (this.#attempts[chunk] ?? 0) - (this.#done.has(Number(chunk)) ? 1 : 0)
      if (more > 0 && this.#seen === 0 && !failed.has(Number(chunk))) {
        this.#tell('attemptFailed', record.updatedAt, { chunk: Number(chunk), attempt: count })
      }
    }
    this.#attempts = { ...record.attempts }
  }
}
