// The JobManager workload: one large job on a FileJobRepository. It ends when the file on disk says so.
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { InstantAdapter, assertEqual, makeSpec } from './fixtures.mjs'

const OUTPUT_BYTES = 500
const FINAL_STATES = new Set(['completed', 'failed', 'cancelled'])

/** Chunks that each give 500 bytes of output: from a JavaScript adapter, or from a real process. */
export function manager(api, { chunks, concurrency, adapter }, { scratch }) {
  const native = adapter === 'local'
  const worker = native ? new api.LocalWorkerAdapter() : new InstantAdapter({ stdout: 'x'.repeat(OUTPUT_BYTES) })
  const run = async (folder, count) => {
    const repository = new api.FileJobRepository(join(scratch, folder))
    const jobManager = new api.JobManager(repository, new api.JobExecutor(worker))
    const spec = native ? makeSpec(count, () => `printf %0${OUTPUT_BYTES}d 1`) : makeSpec(count)
    let completed = 0
    const onProgress = (done) => (completed = done)
    const id = await jobManager.submitJob(spec, { concurrency, merge: false, onProgress })
    const file = join(scratch, folder, `${id}.json`)
    await ended(file, () => completed === count)
    return file
  }
  return {
    warmUp: () => run('warm-up', 50),
    run: () => run('jobs', chunks),
    check: async (file) => inspect(JSON.parse(await readFile(file, 'utf8')), chunks),
  }
}

/** What it costs to have every chunk on the disk before it is reported. The counterpart only writes and syncs lines. */
export function journal(api, { chunks, concurrency }, { scratch }) {
  if (api.appendSynced) {
    return {
      warmUp: () => api.appendSynced(join(scratch, 'warm-up'), 20, OUTPUT_BYTES),
      run: () => api.appendSynced(join(scratch, 'lines'), chunks, OUTPUT_BYTES),
    }
  }
  const worker = new InstantAdapter({ stdout: 'x'.repeat(OUTPUT_BYTES) })
  const run = async (folder, count) => {
    const repository = new api.FileJobRepository(join(scratch, folder))
    const jobManager = new api.JobManager(repository, new api.JobExecutor(worker))
    const id = await jobManager.submitJob(makeSpec(count), { concurrency, merge: false })
    return jobManager.waitForJob(id)
  }
  return {
    warmUp: () => run('warm-up', 20),
    run: () => run('jobs', chunks),
    check: ({ state, logs }) => assertEqual('the job', `${state} ${logs.length}`, `completed ${chunks}`),
  }
}

/** What the final record has to say; `lost` counts the log entries that are missing, doubled or damaged. */
function inspect({ state, completedChunks, logs }, chunks) {
  const whole = logs.filter(({ stdout }) => stdout.length === OUTPUT_BYTES)
  const lost = chunks - new Set(whole.map(({ chunkId }) => chunkId)).size + Math.max(0, logs.length - chunks)
  return { state, lost: Math.max(lost, chunks - completedChunks) }
}

/**
 * Waits until the job's file has a final state. The file is looked at from outside, because `getJob` would read and
 * parse a large record again and again on the event loop that is being watched; rarely before the last chunk is done.
 */
async function ended(file, allChunksDone) {
  let seen
  for (let wait = 0; ; wait++) {
    await sleep(2)
    if (!allChunksDone() && wait % 500 !== 499) continue
    const { mtimeMs, size, ino } = await stat(file)
    const version = `${mtimeMs} ${size} ${ino}`
    if (version === seen) continue
    seen = version
    if (FINAL_STATES.has(await stateIn(file))) return
  }
}

async function stateIn(file) {
  const key = '\n  "state": "'
  const bytes = await readFile(file)
  const start = bytes.indexOf(key) + key.length
  return bytes.toString('utf8', start, bytes.indexOf('"', start))
}
