// Ctrl-C and other ways to be told to end.

import { exitCodes } from './failure.mjs'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGPIPE']

/**
 * Calls `stop(signal)` when this process is told to end. The second time it ends at once; the commands of a job that runs
 * here are ended then, too, by the package's guardian. Gives a function that has signals do again what they did before.
 */
export function onInterrupt(stop) {
  let told
  const hear = (signal) => {
    // Whoever reads our output can go away only once, but every write says so.
    if (told && signal !== 'SIGPIPE') process.exit(exitCodes[signal])
    if (told) return
    told = signal
    stop(signal)
  }
  for (const signal of SIGNALS) process.on(signal, hear)
  return () => {
    for (const signal of SIGNALS) process.removeListener(signal, hear)
  }
}
