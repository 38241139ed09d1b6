// Runs a job in this process until it ends, or is stopped: what `run` and `resume` have in common.

import { FfmpegStitcher, FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter } from '../../index.js'
import { listenToConsole } from './console.mjs'
import { EventLog } from './events.mjs'
import { Failure, exitCodes } from './failure.mjs'
import { span, tail } from './format.mjs'
import { onInterrupt } from './interrupts.mjs'
import { jsonView } from './json-view.mjs'
import { runView } from './run-view.mjs'

/** A manager of the jobs in a folder that runs commands on this machine. */
export const openManager = (folder, storage) =>
  new JobManager(new FileJobRepository(folder), new JobExecutor(new LocalWorkerAdapter()), storage)

/** A stitcher that proves that the video has all frames of the job, as far as that says how many and how fast. */
export function stitcherFor({ metadata } = {}, onProgress = undefined) {
  const { totalFrames, fps } = metadata ?? {}
  return new FfmpegStitcher(undefined, {
    ...(Number.isInteger(totalFrames) && totalFrames > 0 && { expectedFrames: totalFrames }),
    ...(Number.isFinite(fps) && fps > 0 && { fps }),
    ...(onProgress && { onProgress }),
  })
}

/**
 * Runs a job and shows it; gives the exit code.
 *
 * `begin(manager, options)` submits or resumes it, gives its id, and may throw; `first` is the event that it begins with.
 * `options` are those of the job, `stitches` says whether it has a stitcher, `ownRetryOn` whether the job has rules of its own
 * about failures, `timeout` is how long it may take, in milliseconds.
 */
export async function runJob({ folder, spec, record, options, stitches, ownRetryOn, timeout, json, begin, first }) {
  const manager = openManager(folder)
  const log = new EventLog(folder)
  const view = json ? jsonView() : runView(spec, { record, folder })
  log.listen((event) => view.event(event))
  const stop = { reason: undefined, act: () => {} }
  const follow = followJob(log, view, { ownRetryOn })
  const removeInterrupt = onInterrupt((signal) => {
    stop.reason ??= signal
    view.stopping(signal)
    stop.act()
  })
  let timer
  try {
    const stitcher = stitches && stitcherFor(spec, (progress) => view.stitching(progress))
    const id = await begin(manager, { ...options, ...follow.callbacks, ...(stitcher && { stitcher }) })
    log.begin(id, first)
    // Ctrl-C gives the job up; who ends processes politely may want to go on with it later.
    stop.act = () => {
      const cancels = stop.reason === 'SIGINT' || stop.reason === 'timeout'
      const stopping = cancels ? manager.cancelJob(id) : manager.close()
      stopping.catch((error) => view.warn(error.message))
    }
    if (stop.reason) stop.act()
    if (timeout !== undefined) {
      timer = setTimeout(() => {
        stop.reason ??= 'timeout'
        stop.act()
      }, timeout)
    }
    // Who waits goes on waiting through a pause; here nothing is left to do then.
    await Promise.race([manager.waitForJob(id), follow.paused])
    await manager.close()
    const last = await manager.getJob(id)
    const { state = 'deleted', error, result } = last ?? {}
    log.add('ended', { state, ...(error !== undefined && { error: tail(error, 40) }), ...(result && { result }) })
    view.end(last, { id, stop: stop.reason })
    return exitCodeOf(state, stop.reason, timeout)
  } finally {
    clearTimeout(timer)
    removeInterrupt()
    follow.end()
    view.close()
  }
}

function exitCodeOf(state, reason, timeout) {
  if (state === 'completed') return exitCodes.ok
  if (state === 'failed') return exitCodes.failed
  if (reason === 'timeout') throw new Failure(`The job took longer than ${span(timeout)} and was cancelled`)
  return exitCodes[reason] ?? exitCodes.stopped
}

/** Makes events of all that can be heard of a job: callbacks, and what the package tells on the console. */
function followJob(log, view, { ownRetryOn }) {
  const workers = new Map()
  const failures = new Map()
  let setPaused
  const paused = new Promise((resolve) => (setPaused = resolve))
  let counts = {}
  const giveBack = listenToConsole(
    ({ event, ...heard }) => {
      if (event === 'paused') return setPaused()
      if (event === 'cancelled') return undefined
      if (event === 'attemptStarted') workers.set(heard.chunk, heard.worker)
      const details = event === 'attemptFailed' ? failures.get(heard.chunk) : undefined
      failures.delete(heard.chunk)
      return log.add(event, { ...heard, ...details, ...(heard.error !== undefined && { error: tail(heard.error) }) })
    },
    (text) => view.warn(text),
  )
  const callbacks = {
    onProgress: (done, total) => (counts = { done, total }),
    onChunkComplete(chunk, { durationMs }) {
      log.add('chunkDone', { chunk, worker: workers.get(chunk), durationMs, ...counts })
    },
    onChunkStdout: (chunk, text) => view.output(chunk, text),
    onChunkStderr: (chunk, text) => view.output(chunk, text),
  }
  if (!ownRetryOn) {
    // Decides nothing; it is the one place where the output of an attempt that failed is to be had.
    callbacks.retryOn = ({ exitCode, signal, timedOut, stdout, stderr }, { chunkId }) => {
      const texts = { stdout: tail(stdout ?? ''), stderr: tail(stderr ?? '') }
      failures.set(chunkId, { exitCode, signal, timedOut, ...texts })
    }
  }
  return { callbacks, paused, end: giveBack }
}
