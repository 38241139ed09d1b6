// A model of JobExecutor, written from the contract alone: what it must do with a scenario at concurrency 1, event by event.
//
// A scenario: `chunks` = [{ id, attempts: [outcome…] }] (the last outcome repeats), `done` = completedChunkIds, `retries`,
// `delay`, `abort` = { when: 'before' } | { when: 'chunk' | 'progress' | 'complete', id }, `fault` = a callback that fails
// { name, at, value }, and `merge`. An outcome: { kind: 'exit', code, text } | { kind: 'fail', value }, with how it is given.

const said = (value) => (value instanceof Error ? value.message : String(value))

/** The traces the contract allows, each a list of events that ends with `resolve` or `reject`. */
export function traces(scenario) {
  const { chunks, done, retries, delay, abort, fault, merge } = scenario
  const events = []
  const log = (line) => void events.push(['log', line])
  const endings = []
  const end = (...tail) => void endings.push([...events, ...tail])
  const aborted = ['reject', 'AbortError: Job aborted']
  const total = chunks.length
  const queue = chunks.filter(({ id }) => !done.includes(id))
  let count = total - queue.length

  log('Starting job execution with concurrency 1...')
  log('Job Directory: /jobs/1')
  log(`Chunks: ${total}`)
  if (abort?.when === 'before') return (end(aborted), endings)

  let calls = { onProgress: 0, onChunkComplete: 0 }
  const failing = (name) => fault?.name === name && ++calls[name] === fault.at

  for (const { id, attempts } of queue) {
    const completed = () => ['log', `[Worker 1] Chunk ${id} completed (${count}/${total})`]
    for (let attempt = 1; ; attempt += 1) {
      log(`[Worker 1] Starting chunk ${id} (Attempt ${attempt}/${retries + 1})...`)
      events.push(['execute', id, attempt])
      const outcome = attempts[Math.min(attempt, attempts.length) - 1]
      const good = outcome.kind === 'exit' && outcome.code === 0
      if (abort?.when === 'chunk' && abort.id === id) {
        // A chunk that ends well after the abort may still be counted.
        end(aborted)
        if (good) {
          const reported = [
            ['progress', count + 1, total],
            ['complete', id, 0],
          ]
          end(...reported, aborted)
          count += 1
          end(...reported, completed(), aborted)
        }
        return endings
      }
      if (good) break
      const message =
        outcome.kind === 'fail'
          ? said(outcome.value)
          : `Chunk ${id} failed with exit code ${outcome.code}: ${outcome.text}`
      if (attempt > retries) {
        events.push(['error', `[Worker 1] Chunk ${id} failed after ${attempt} attempts:`, message])
        return (end(['reject', `Error: Chunk ${id} failed after ${attempt} attempts: ${message}`]), endings)
      }
      const line = `[Worker 1] Chunk ${id} failed (Attempt ${attempt}/${retries + 1}). Retrying in ${delay}ms...`
      events.push(['warn', `${line} Error: ${message}`])
    }
    count += 1
    events.push(['progress', count, total])
    if (failing('onProgress')) return (end(['rejects with', fault.value]), endings)
    // Also after the last chunk: what is aborted is not merged any more.
    const stopping = abort?.id === id && abort.when
    if (stopping === 'progress') {
      // What belongs to the chunk may still be said, or not.
      end(aborted)
      end(['complete', id, 0], aborted)
      end(['complete', id, 0], completed(), aborted)
      return endings
    }
    events.push(['complete', id, 0])
    if (failing('onChunkComplete')) return (end(['rejects with', fault.value]), endings)
    if (stopping === 'complete') {
      end(aborted)
      end(completed(), aborted)
      return endings
    }
    events.push(completed())
  }

  if (merge.kind === 'off') log('Skipping merge step (disabled in options).')
  else if (merge.kind === 'none') log('Skipping merge step (no merge mechanism provided).')
  else {
    const stitching = merge.kind === 'stitcher'
    log(
      stitching
        ? 'All chunks completed. Starting merge step using dedicated VideoStitcher...'
        : 'All chunks completed. Starting merge step via mergeCommand...',
    )
    if (merge.kind === 'fallback') {
      events.push(['warn', 'Warning: stitcher provided but outputFile is missing. Falling back to mergeCommand.'])
    }
    const ids = chunks.map(({ id }) => id).sort((a, b) => a - b)
    events.push(
      stitching ? ['stitch', ...ids.map((id) => `/jobs/1/${id}.mp4`), '/jobs/1/film.mp4'] : ['merge', 'join all'],
    )
    if ('throws' in merge) {
      events.push(['error', 'Merge step failed:', said(merge.throws)])
      return (end(['rejects with', merge.throws]), endings)
    }
    if (!stitching && merge.code !== 0) {
      const message = `Merge failed with exit code ${merge.code}: spilt`
      events.push(['error', 'Merge step failed:', message])
      return (end(['reject', `Error: ${message}`]), endings)
    }
    log(stitching ? 'Merge completed successfully via VideoStitcher.' : 'Merge completed successfully.')
  }
  return (end(['resolve']), endings)
}
