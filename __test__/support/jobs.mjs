// Factories for what travels: chunks, specs, results, adapters.

export const chunk = (id, extra) => ({
  id,
  startFrame: id * 10,
  frameCount: 10,
  outputFile: `chunk-${id}.mp4`,
  command: `render ${id}`,
  ...extra,
})

/** A spec of `chunks`: a number of default chunks, or a list of chunks, or of commands. */
export function spec(chunks = 1, extra) {
  const list = typeof chunks === 'number' ? Array.from({ length: chunks }, (_, i) => i + 1) : chunks
  return {
    id: 'film',
    metadata: { totalFrames: 10 * list.length, fps: 30, width: 64, height: 64, duration: list.length / 3 },
    chunks: list.map((of, i) =>
      typeof of === 'number' ? chunk(of) : typeof of === 'string' ? chunk(i + 1, { command: of }) : of,
    ),
    mergeCommand: '',
    ...extra,
  }
}

export const ok = (extra) => ({ exitCode: 0, stdout: '', stderr: '', durationMs: 1, ...extra })

export const exit = (exitCode, stderr = '') => ok({ exitCode, stderr })

/** A plain adapter whose `execute` is `run(job, nth call)`; keeps the jobs it got in `calls`. */
export function adapterOf(run = () => ok()) {
  const adapter = {
    calls: [],
    async execute(job) {
      return run(job, adapter.calls.push(job))
    },
  }
  return adapter
}

/** An adapter whose chunks run until they are released or aborted; counts how many run at once. */
export function gatedAdapter() {
  const adapter = {
    started: [],
    active: 0,
    most: 0,
    open: false,
    waiting: new Set(),
    release() {
      adapter.open = true
      for (const go of adapter.waiting) go()
    },
    execute(job) {
      const { signal } = job
      adapter.started.push(job.meta ? job.meta.chunkId : 'merge')
      adapter.most = Math.max(adapter.most, ++adapter.active)
      return new Promise((resolve, reject) => {
        const end = (settle, value) => {
          adapter.waiting.delete(go)
          signal?.removeEventListener('abort', stop)
          adapter.active -= 1
          settle(value)
        }
        const go = () => end(resolve, ok({ stdout: `out ${job.args[0]}`, durationMs: 2 }))
        const stop = () => end(reject, new Error('Job was aborted'))
        if (signal?.aborted) stop()
        else if (adapter.open) setImmediate(() => signal?.aborted || go())
        else adapter.waiting.add(go)
        signal?.addEventListener('abort', stop)
      })
    },
  }
  return adapter
}

/** Freezes plain objects and arrays, all the way down; leaves everything else as it is. */
export function deepFreeze(value) {
  const plain = (v) => Array.isArray(v) || (v && typeof v === 'object' && Object.getPrototypeOf(v) === Object.prototype)
  if (plain(value)) Object.values(Object.freeze(value)).forEach(deepFreeze)
  return value
}
