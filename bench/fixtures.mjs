// What the workloads share: job specs, job records, adapters written in JavaScript, a bounded pool.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A spec of `count` chunks; `commandOf(id)` gives each chunk's command, by default one a render job would have. */
export function makeSpec(count, commandOf = renderCommand) {
  const chunks = Array.from({ length: count }, (_, id) => ({
    id,
    startFrame: id * 30,
    frameCount: 30,
    outputFile: `chunks/part-${id}.mp4`,
    command: commandOf(id),
  }))
  const metadata = { totalFrames: count * 30, fps: 30, width: 1280, height: 720, duration: count }
  return { id: `bench-${count}`, metadata, chunks, mergeCommand: '' }
}

function renderCommand(id) {
  return `helios-render --start-frame ${id * 30} --frame-count 30 --codec h264 --output "chunks/part ${id}.mp4"`
}

/** A job record as a manager saves it on submission. */
export function makeRecord(index, chunks) {
  const now = 1_750_000_000_000 + index
  return {
    id: jobId(index),
    spec: makeSpec(chunks),
    state: 'pending',
    progress: 0,
    totalChunks: chunks,
    completedChunks: 0,
    createdAt: now,
    updatedAt: now,
    metrics: { totalDurationMs: 0 },
    logs: [],
  }
}

export const jobId = (index) => `job-${String(index).padStart(6, '0')}`

/** Fills a folder with job files, written as `JSON.stringify(job, null, 2)`. */
export function writeJobFolder(folder, { jobs, chunks }) {
  mkdirSync(folder, { recursive: true })
  for (let i = 0; i < jobs; i++) {
    writeFileSync(join(folder, `${jobId(i)}.json`), JSON.stringify(makeRecord(i, chunks), null, 2))
  }
}

/** An adapter in JavaScript that answers at once and checks what it was given. */
export class InstantAdapter {
  calls = 0

  constructor({ stdout = '', failEvery = 0 } = {}) {
    this.stdout = stdout
    this.failEvery = failEvery
  }

  async execute({ command, args, cwd, env, meta }) {
    this.calls++
    if (!command || args.length === 0 || !cwd || !env || meta.chunkId !== meta.id) {
      throw new Error(`Chunk ${meta?.id} came with an incomplete job`)
    }
    if (this.failEvery && this.calls % this.failEvery === 0) throw new Error('A failure to be retried')
    return { exitCode: 0, stdout: this.stdout, stderr: '', durationMs: 1 }
  }
}

/** Calls `task(index)` for 0 … count - 1, at most `concurrency` at once. */
export async function pool(count, concurrency, task) {
  let next = 0
  const run = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, run))
}

export function assertEqual(what, actual, expected) {
  if (actual !== expected) throw new Error(`${what}: got ${actual}, expected ${expected}`)
}
