// Shows a job that runs here to people: a bar with a line for each worker on a terminal, lines anywhere else.

import { statSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { bytes, clip, clock, facts, plain, plural, span } from './format.mjs'
import { startProgress } from './progress.mjs'
import { chunksOf, failuresOf, framesOf, tookOf, weigh } from './records.mjs'
import { paintState, terminal } from './terminal.mjs'

const LABELS = { uploading: 'Uploading', merging: 'Merging', verifying: 'Proving', paused: 'Paused' }
const labelOf = ({ phase, state }) => LABELS[phase ?? state] ?? 'Rendering'
const STITCHING = { probe: 'Reading the chunks', join: 'Joining', verify: 'Proving the video' }

/** The view of a job that is about to begin, or to go on as `record` says. */
export function runView(spec, { record, folder }) {
  const { isTerminal, paint } = terminal(process.stdout)
  const errors = terminal(process.stderr)
  const chunks = chunksOf({ spec })
  const weight = weigh(chunks)
  const byId = new Map(chunks.map((chunk) => [chunk.id, { chunk, weight: weight(chunk), frames: 0 }]))
  const done = new Set((record?.logs ?? []).map(({ chunkId }) => chunkId).filter((id) => byId.has(id)))
  const sum = (ids) => [...ids].reduce((total, id) => total + byId.get(id).weight, 0)
  // Kept, not counted each time: output of chunks comes often, and there may be thousands of them.
  let doneFrames = sum(done)
  const setDone = (id, isDone) => {
    if (!byId.has(id) || done.has(id) === isDone) return
    doneFrames += isDone ? byId.get(id).weight : -byId.get(id).weight
    if (isDone) done.add(id)
    else done.delete(id)
  }
  const running = new Map()
  let progress

  const update = (more) => {
    const parts = [...running.values()].map(({ entry, frames }) =>
      entry.weight > 1 ? Math.min(entry.weight, frames) : 0,
    )
    progress?.update({ frames: doneFrames + parts.reduce((a, b) => a + b, 0), chunks: done.size, ...more })
  }

  const begin = ({ job, jobDir, concurrency, phase, state }) => {
    const where = jobDir && `in ${plain(relative('', jobDir) || 'this folder')}`
    const atOnce = concurrency > 1 ? `${concurrency} at a time` : 'one at a time'
    const what = [plain(spec.id ?? ''), plural(chunks.length, 'chunk'), atOnce, where].filter(Boolean).join(', ')
    process.stdout.write(`${paint.dim('Job')} ${job}\n${paint.dim(what)}\n`)
    progress = startProgress({
      label: labelOf({ phase, state }),
      total: sum(byId.keys()),
      chunks: chunks.length,
      from: doneFrames,
      details: () => workerLines([...running.values()], paint),
    })
    update()
  }

  const failed = ({ chunk, attempt, error = 'failed', retryInMs, worker }) => {
    const next = retryInMs !== undefined ? ` (again in ${span(retryInMs)})` : worker === undefined ? '' : ' (given up)'
    // It is said on the line already which chunk it is.
    const reason = plain(error).replace(new RegExp(`^Chunk ${chunk} failed with `), '')
    const text = `chunk ${chunk}, attempt ${attempt}: ${reason}`
    progress.note(`${paint.yellow('!')} ${clip(text, 160)}${next}`)
  }

  return {
    event(event) {
      if (['submitted', 'resumed', 'watching'].includes(event.event)) begin(event)
      if (event.event === 'attemptStarted' && byId.has(event.chunk)) {
        running.set(event.chunk, { ...event, entry: byId.get(event.chunk), frames: 0, line: '' })
        // A chunk whose file has vanished is rendered again.
        setDone(event.chunk, false)
      }
      if (event.event === 'attemptFailed') {
        running.delete(event.chunk)
        failed(event)
      }
      if (event.event === 'chunkDone') {
        running.delete(event.chunk)
        setDone(event.chunk, true)
      }
      if (event.event === 'state') progress.note(`The job is ${event.state}`)
      if (event.event === 'phase' || event.event === 'state') update({ label: labelOf(event) })
      else update()
    },
    output(chunk, text) {
      const attempt = running.get(chunk)
      if (!attempt) return
      // What ffmpeg tells of its progress, on standard output (`-progress`) or standard error.
      const counts = [...text.matchAll(/(?:^|\s)frame= *(\d+)\b/g)]
      if (counts.length > 0) attempt.frames = Number(counts.at(-1)[1])
      const line = text
        .trimEnd()
        .split(/[\r\n]/)
        .at(-1)
      if (line && counts.length === 0 && !/^\w+=\S*$/.test(line)) attempt.line = plain(line.slice(-400))
      update()
    },
    stitching: ({ phase, done: part, total }) =>
      update({ label: `${STITCHING[phase]}${total > 1 ? ` ${Math.floor((part / total) * 100)}%` : ''}` }),
    stopping(signal) {
      const how = signal === 'SIGINT' ? 'Cancelling' : 'Pausing'
      const again = isTerminal && signal === 'SIGINT' ? '; Ctrl-C once more leaves at once' : ''
      if (signal !== 'SIGPIPE') progress?.note(`${how}${again}`)
      update({ label: how })
    },
    warn(text) {
      const line = `${errors.paint.yellow('!')} ${plain(text)}`
      if (isTerminal && progress) progress.note(line)
      else process.stderr.write(`${line}\n`)
    },
    end(last, { id, stop }) {
      progress?.stop()
      progress = undefined
      if (stop !== 'SIGPIPE') process.stdout.write(summary(last, id, paint))
      const isResumable = ['failed', 'paused', 'cancelled'].includes(last?.state)
      if (isResumable && stop !== 'SIGPIPE') process.stderr.write(hints(last, folder, errors.paint))
    },
    close: () => progress?.stop(),
  }
}

/** A line for each worker that has a chunk. */
function workerLines(running, paint) {
  return running
    .sort((a, b) => a.worker - b.worker)
    .map(({ worker, chunk, attempt, attempts, at, entry, frames, line }) => {
      const share =
        entry.weight > 1 && frames > 0 ? Math.min(100, Math.floor((frames / entry.weight) * 100)) : undefined
      return [
        [`  ${String(worker).padStart(2)}  `, paint.dim],
        [`chunk ${chunk}`.padEnd(12)],
        [`frames ${framesOf(entry.chunk)}`.padEnd(20), paint.dim],
        [(share === undefined ? '' : `${share}%`).padStart(5), paint.cyan],
        [clock(Math.max(0, Date.now() - at)).padStart(8)],
        [attempt > 1 ? `  try ${attempt}${attempts ? `/${attempts}` : ''}` : '', paint.yellow],
        [line ? `  ${line}` : '', paint.dim],
      ]
    })
}

/** What came of a job, for the end. */
export function summary(record, id, paint) {
  if (!record) return `Job ${id} was deleted meanwhile.\n`
  const { state, result, completedChunks = 0, totalChunks = 0 } = record
  const { attempts: failed } = failuresOf(record)
  const extra = failed > 0 ? `, ${plural(failed, 'attempt')} failed` : ''
  const took = tookOf(record)
  return facts(
    [
      ['State', `${paintState(paint, state)(state)}${took === undefined ? '' : ` after ${span(took)}`}`],
      ['Chunks', `${completedChunks} of ${totalChunks}${extra}`],
      ['Video', describeVideo(result)],
      ['Proof', describeProof(result)],
    ],
    paint,
  )
}

/** The file of a proof, and how large it is, if it is still there. */
export function describeVideo(result) {
  if (typeof result?.outputFile !== 'string') return undefined
  const here = relative('', result.outputFile)
  const shown = plain(here.startsWith('..') ? result.outputFile : here)
  const stat = statSync(resolve(result.outputFile), { throwIfNoEntry: false })
  return stat ? `${shown} (${bytes(stat.size)})` : `${shown} (no longer there)`
}

/** What was counted in a video. */
export function describeProof(result) {
  if (!Number.isFinite(result?.frames)) return undefined
  const codecs = (result.streams ?? []).map(({ codec }) => plain(codec)).join(' + ')
  return `${result.frames} frames, ${Number(result.duration).toFixed(3)} s, ${codecs}`
}

/** What can be done about a job that was stopped before its end. */
function hints(record, folder, paint) {
  const where = folder === (process.env.HELIOS_JOBS || 'jobs') ? '' : ` --jobs ${folder}`
  const call = (name, what) => `  ${`helios-jobs ${name} ${record.id.slice(0, 8)}${where}`.padEnd(32)} ${what}\n`
  const next = [
    record.state === 'failed' && call('logs', 'what its chunks have written'),
    call('resume', 'goes on where it was'),
  ].filter(Boolean)
  const reason =
    record.state === 'failed' ? `${paint.red('Failed:')} ${plain(record.error ?? 'no reason given')}\n` : ''
  return `${reason}${paint.dim(next.join(''))}`
}
