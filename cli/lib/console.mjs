// What the package tells on the console while it runs a job. The lines would tear a progress bar apart, and some are the
// only ones to tell of something: which worker begins which chunk, what is tried again, and that a job was paused. Their
// texts are part of what the package promises (docs/compatibility.md).

const started = /^\[Worker (\d+)\] Starting chunk (\S+) \(Attempt (\d+)\/(\d+)\)\.\.\.$/
const retrying =
  /^\[Worker (\d+)\] Chunk (\S+) (failed|was put off) \(Attempt (\d+)\/\d+\)\. Retrying in (\S+?)ms\.\.\. Error: (.*)$/s
const failed = /^\[Worker (\d+)\] Chunk (\S+) failed after (\d+) attempts:$/
const merging = /^All chunks completed\. Starting merge step/
const stopped = /^Job \S+ (paused|cancelled)$/

/** What the record of the job says as well, and is said with it. */
const known = /^(Job \S+|Merge step) failed:$/

/** How lines are read: what they look like, and what is made of their parts. */
const READERS = [
  [
    started,
    (parts) => {
      const [worker, chunk, attempt, attempts] = parts.map(Number)
      return { event: 'attemptStarted', worker, chunk, attempt, attempts }
    },
  ],
  [
    retrying,
    ([worker, chunk, how, attempt, delayMs, error]) => {
      const more = { attempt: Number(attempt), putOff: how !== 'failed', retryInMs: Math.round(delayMs), error }
      return { event: 'attemptFailed', worker: Number(worker), chunk: Number(chunk), ...more }
    },
  ],
  [
    failed,
    (parts, message) => {
      const [worker, chunk, attempt] = parts.map(Number)
      return { event: 'attemptFailed', worker, chunk, attempt, putOff: false, error: String(message) }
    },
  ],
  [merging, () => ({ event: 'phase', phase: 'merging' })],
  [stopped, ([event]) => ({ event })],
]

/** Reads a line; undefined for one that says nothing new. */
function read(line, message) {
  for (const [pattern, make] of READERS) {
    const match = pattern.exec(line)
    if (match) return make(match.slice(1), message)
  }
  return undefined
}

/**
 * Takes the console over: `hear` is called with `{ event, … }` for lines that say something, `warn` with the text of other
 * warnings and errors. Gives a function that gives it back.
 */
export function listenToConsole(hear, warn) {
  const own = { log: console.log, warn: console.warn, error: console.error }
  const listen =
    (level) =>
    (line, ...more) => {
      const heard = read(String(line), more[0])
      if (heard) hear(heard)
      else if (level !== 'log' && !known.test(line))
        warn([line, ...more].map((part) => part?.message ?? String(part)).join(' '))
    }
  for (const level of Object.keys(own)) console[level] = listen(level)
  return () => Object.assign(console, own)
}

/** Runs `work` with the console silent; gives its value, and the warnings and errors that were to be printed. */
export async function silenced(work) {
  const warnings = []
  const giveBack = listenToConsole(
    () => {},
    (text) => warnings.push(text),
  )
  try {
    return { value: await work(), warnings }
  } finally {
    giveBack()
  }
}
