// Who rendered what, when: attempts at chunks, from the events of a job and from its record.

/**
 * All attempts, the earliest first: `{ chunk, attempt, attempts, worker, start, end, outcome, error, stdout, stderr, estimated }`.
 * `outcome` is `done`, `failed`, `stopped` (with the job) or `running`.
 *
 * A chunk that is done and that no event tells of, as in jobs of other programs, has an estimate: it ended when its file was
 * last written, and began its duration earlier; the worker is the first that was free.
 */
export function attemptsOf(record, events) {
  const attempts = fromEvents(record, events)
  const known = new Set(attempts.filter(({ outcome }) => outcome === 'done').map(({ chunk }) => chunk))
  const estimated = []
  for (const { chunkId, durationMs } of record.logs ?? []) {
    const end = record.outputs?.[chunkId]?.modifiedMs
    if (known.has(chunkId) || !Number.isFinite(end) || !Number.isFinite(durationMs)) continue
    known.add(chunkId)
    const attempt = record.attempts?.[chunkId] ?? 1
    estimated.push({ chunk: chunkId, attempt, start: end - durationMs, end, outcome: 'done', estimated: true })
  }
  assignWorkers(estimated)
  return [...attempts, ...estimated].sort((a, b) => a.start - b.start || a.worker - b.worker)
}

/** The attempts that run now, as far as events tell. */
export const runningOf = (record, events) =>
  record.state === 'running' ? fromEvents(record, events).filter(({ outcome }) => outcome === 'running') : []

/** The times in which somebody worked, from attempts that all have an end: `{ start, end }`, the earliest first. */
export function spansOf(attempts) {
  const spans = []
  for (const { start, end } of [...attempts].sort((a, b) => a.start - b.start)) {
    const last = spans.at(-1)
    if (last && start <= last.end) last.end = Math.max(last.end, end)
    else spans.push({ start, end })
  }
  return spans
}

function fromEvents(record, events) {
  const attempts = []
  let running = new Map()
  let last = 0
  const stopAll = (at) => {
    for (const attempt of running.values()) Object.assign(attempt, { end: at, outcome: 'stopped' })
    running = new Map()
  }
  const end = (chunk, more) => {
    const attempt = running.get(chunk)
    if (attempt) Object.assign(attempt, more)
    running.delete(chunk)
  }
  for (const { event, at, ...more } of events) {
    // After a crash nothing says how the last attempts ended; they did so no later than somebody went on.
    if (event === 'resumed') stopAll(last)
    if (event === 'ended') stopAll(at)
    if (event === 'attemptStarted') {
      const { chunk, worker, attempt: number, attempts: most } = more
      const attempt = { chunk, attempt: number, attempts: most, worker, start: at, outcome: 'running' }
      running.set(chunk, attempt)
      attempts.push(attempt)
    }
    if (event === 'attemptFailed') {
      const { error, exitCode, signal, timedOut, stdout, stderr } = more
      end(more.chunk, { end: at, outcome: 'failed', error, exitCode, signal, timedOut, stdout, stderr })
    }
    if (event === 'chunkDone') end(more.chunk, { end: at, outcome: 'done' })
    last = at
  }
  if (record.state !== 'running') stopAll(last)
  return attempts
}

/** Gives attempts that do not overlap the same worker. */
function assignWorkers(attempts) {
  const freeAt = []
  for (const attempt of attempts.sort((a, b) => a.start - b.start)) {
    // Clocks of files are coarse: a few milliseconds of overlap are none.
    let worker = freeAt.findIndex((time) => time <= attempt.start + 20)
    if (worker < 0) worker = freeAt.length
    freeAt[worker] = attempt.end
    attempt.worker = worker + 1
  }
}
