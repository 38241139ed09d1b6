// What may go wrong, and the exit codes that say so.

export const exitCodes = {
  ok: 0,
  /** The job has failed, or what was asked for could not be done. */
  failed: 1,
  /** Arguments or job file are wrong. */
  usage: 2,
  /** There is no such job, or more than one. */
  noSuchJob: 3,
  /** The job was stopped before its end: paused, cancelled or deleted by somebody else. */
  stopped: 4,
  /** By signals, as shells count them. */
  SIGHUP: 129,
  SIGINT: 130,
  readerGone: 141,
  SIGPIPE: 141,
  SIGTERM: 143,
}

/** An end that the user is told about in words, without a stack. */
export class Failure extends Error {
  name = 'Failure'

  constructor(message, exitCode = exitCodes.failed, options = undefined) {
    super(message, options)
    this.exitCode = exitCode
  }
}

export const usage = (message) => new Failure(message, exitCodes.usage)

/** The text for an error nobody has expected. One of the system says it all; of any other the place is of interest. */
export function whoseFault(error) {
  if (!(error instanceof Error)) return String(error)
  return error.code && error.syscall ? error.message : (error.stack ?? error.message)
}
