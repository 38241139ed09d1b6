// What happens in a job, as lines of JSON: those that `--json` prints, and the same in `<id>.events.jsonl` beside the record
// of a job that this command runs. Records have no room for what the report tells of: when attempts began, which of them
// failed and how, and what they wrote. Nothing depends on this file; without it there is less to tell.

import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'

export const eventsFile = (folder, id) => join(folder, `${id}.events.jsonl`)

/** Writes events as they come. What comes before the id of the job is known is written when it is. */
export class EventLog {
  #folder
  #id
  #waiting = []
  #listeners = []
  #broken = false

  constructor(folder) {
    this.#folder = folder
  }

  /** Has a function called with every event. */
  listen(listener) {
    this.#listeners.push(listener)
  }

  add(event, more) {
    const at = Date.now()
    if (this.#id === undefined) this.#waiting.push({ event, at, ...more })
    else this.#write({ event, job: this.#id, at, ...more })
  }

  /** From now on it is known which job it is. `first` is what comes before all that has happened. */
  begin(id, first) {
    this.#id = id
    mend(eventsFile(this.#folder, id))
    for (const { event, at, ...more } of [first, ...this.#waiting]) this.#write({ event, job: id, at, ...more })
  }

  #write(event) {
    if (!this.#broken) {
      try {
        appendFileSync(eventsFile(this.#folder, this.#id), `${JSON.stringify(event)}\n`)
      } catch (error) {
        // A full disk fails the job by its record, if it does; this file is not worth it.
        this.#broken = true
        process.stderr.write(`helios-jobs: the events of the job are no longer written: ${error.message}\n`)
      }
    }
    for (const listener of this.#listeners) listener(event)
  }
}

/** The events of a job, the oldest first; none where nobody has written any. A line that was torn by a crash is left out. */
export function readEvents(folder, id) {
  let text
  try {
    text = readFileSync(eventsFile(folder, id), 'utf8')
  } catch {
    return []
  }
  return text.split('\n').flatMap((line) => {
    try {
      const event = JSON.parse(line)
      return typeof event?.event === 'string' && Number.isFinite(event.at) ? [event] : []
    } catch {
      return []
    }
  })
}

/** Ends a line that was torn by a crash, so that the next one is not lost with it. */
function mend(file) {
  try {
    if (!readFileSync(file, 'utf8').endsWith('\n')) appendFileSync(file, '\n')
  } catch {
    // There is none yet, or it cannot be written: then that is said with the first event.
  }
}

/** Notes that somebody goes on with a job whose process has died, if there are events of it: what ran then does not run now. */
export function noteResumed(folder, id) {
  if (!existsSync(eventsFile(folder, id))) return
  const log = new EventLog(folder)
  log.begin(id, { event: 'resumed', at: Date.now() })
}

export const removeEvents = (folder, id) => rmSync(eventsFile(folder, id), { force: true })
