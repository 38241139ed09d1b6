// The plain-JavaScript counterpart the benchmarks compare with: the same classes, built only on Node's own parts
// (child_process.spawn, fs.promises, an async worker loop), printing the same console lines.
import { spawn } from 'node:child_process'
import { resolve as resolvePath } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export * from './baseline-clouds.mjs'
export { FileJobRepository, InMemoryJobRepository, JobManager, appendSynced } from './baseline-manager.mjs'
export { FfmpegStitcher } from './baseline-stitcher.mjs'
export { LocalStorageAdapter, S3StorageAdapter } from './baseline-storage.mjs'

/** Splits a command string: white space separates, quotes group, a backslash makes the next character literal. */
function splitCommand(command) {
  const words = []
  let word = ''
  let inWord = false
  let quote = ''
  const text = command.trim()
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === '\\') {
      if (++i < text.length) word += text[i]
      inWord = true
    } else if (quote) {
      if (char === quote) quote = ''
      else word += char
    } else if (char === '"' || char === "'") {
      quote = char
      inWord = true
    } else if (/\s/.test(char)) {
      if (inWord) words.push(word)
      word = ''
      inWord = false
    } else {
      word += char
      inWord = true
    }
  }
  if (inWord) words.push(word)
  if (words.length === 0) throw new Error('Command string cannot be empty')
  return { command: words[0], args: words.slice(1) }
}

function abortError() {
  const error = new Error('Job aborted')
  error.name = 'AbortError'
  return error
}

const messageOf = (error) => (error instanceof Error ? error.message : String(error))

export class LocalWorkerAdapter {
  execute(job) {
    return new Promise((resolve, reject) => {
      const { signal } = job
      if (signal?.aborted) return reject(new Error('Job was aborted'))
      const startedAt = Date.now()
      const child = spawn(job.command, job.args ?? [], {
        cwd: job.cwd,
        env: { ...process.env, ...job.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let stdout = ''
      let stderr = ''
      let failure
      let timer
      const stop = (error) => {
        failure ??= error
        child.kill('SIGTERM')
      }
      const onAbort = () => stop(new Error('Job was aborted'))
      const finish = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      if (job.timeout) {
        timer = setTimeout(() => stop(new Error(`Worker job timed out after ${job.timeout}ms`)), job.timeout)
      }
      child.stdout.on('data', (data) => {
        const text = data.toString()
        stdout += text
        job.onStdout?.(text)
      })
      child.stderr.on('data', (data) => {
        const text = data.toString()
        stderr += text
        job.onStderr?.(text)
      })
      child.on('error', (error) => {
        finish()
        reject(error)
      })
      child.on('close', (code) => {
        finish()
        if (failure) reject(failure)
        else resolve({ exitCode: code ?? -1, stdout, stderr, durationMs: Date.now() - startedAt })
      })
    })
  }
}

export class JobExecutor {
  constructor(adapter) {
    this.adapter = adapter
  }

  async execute(job, options = {}) {
    const { retries = 0, retryDelay = 1000, signal } = options
    const concurrency = Math.max(1, options.concurrency || 1)
    const jobDir = options.jobDir ?? process.cwd()
    const total = job.chunks.length
    const skip = new Set(options.completedChunkIds)
    const queue = job.chunks.filter((chunk) => !skip.has(chunk.id))
    let completed = total - queue.length
    let next = 0
    let stopped = false

    console.log(`Starting job execution with concurrency ${concurrency}...`)
    console.log(`Job Directory: ${jobDir}`)
    console.log(`Chunks: ${total}`)
    if (signal?.aborted) throw abortError()

    const runAttempt = async (chunk) => {
      const { command, args } = splitCommand(chunk.command)
      const { onChunkStdout, onChunkStderr } = options
      const result = await this.adapter.execute({
        command,
        args,
        cwd: jobDir,
        env: process.env,
        meta: { ...options.meta, chunkId: chunk.id, ...chunk },
        signal,
        onStdout: onChunkStdout && ((data) => onChunkStdout(chunk.id, data)),
        onStderr: onChunkStderr && ((data) => onChunkStderr(chunk.id, data)),
      })
      if (result.exitCode !== 0) {
        throw new Error(`Chunk ${chunk.id} failed with exit code ${result.exitCode}: ${result.stderr}`)
      }
      return result
    }

    const runChunk = async (worker, chunk) => {
      const attempts = retries + 1
      for (let attempt = 1; ; attempt++) {
        if (signal?.aborted) throw abortError()
        console.log(`[Worker ${worker}] Starting chunk ${chunk.id} (Attempt ${attempt}/${attempts})...`)
        try {
          return await runAttempt(chunk)
        } catch (error) {
          if (signal?.aborted) throw abortError()
          const message = messageOf(error)
          if (attempt === attempts) {
            console.error(`[Worker ${worker}] Chunk ${chunk.id} failed after ${attempts} attempts:`, message)
            throw new Error(`Chunk ${chunk.id} failed after ${attempts} attempts: ${message}`)
          }
          console.warn(
            `[Worker ${worker}] Chunk ${chunk.id} failed (Attempt ${attempt}/${attempts}). Retrying in ${retryDelay}ms... Error: ${message}`,
          )
          if (retryDelay > 0) await sleep(retryDelay, undefined, { signal }).catch(() => {})
        }
      }
    }

    const runWorker = async (worker) => {
      while (next < queue.length && !stopped) {
        const chunk = queue[next++]
        try {
          const result = await runChunk(worker, chunk)
          completed++
          options.onProgress?.(completed, total)
          if (options.onChunkComplete) await options.onChunkComplete(chunk.id, result)
          console.log(`[Worker ${worker}] Chunk ${chunk.id} completed (${completed}/${total})`)
        } catch (error) {
          stopped = true
          throw error
        }
      }
    }

    const workers = Array.from({ length: Math.min(concurrency, queue.length) }, (_, i) => runWorker(i + 1))
    const failed = (await Promise.allSettled(workers)).find((outcome) => outcome.status === 'rejected')
    if (failed) throw failed.reason
    await this.#merge(job, options, jobDir)
  }

  async #merge(job, options, jobDir) {
    if (options.merge === false || options.skipMerge) {
      console.log('Skipping merge step (disabled in options).')
      return
    }
    try {
      if (options.stitcher && options.outputFile) {
        console.log('All chunks completed. Starting merge step using dedicated VideoStitcher...')
        const chunks = [...job.chunks].sort((a, b) => a.id - b.id)
        const inputs = chunks.map((chunk) => resolvePath(jobDir, chunk.outputFile))
        await options.stitcher.stitch(inputs, resolvePath(jobDir, options.outputFile))
        console.log('Merge completed successfully via VideoStitcher.')
      } else if (job.mergeCommand) {
        console.log('All chunks completed. Starting merge step via mergeCommand...')
        const adapter = options.mergeAdapter ?? this.adapter
        const { command, args } = splitCommand(job.mergeCommand)
        const result = await adapter.execute({ command, args, cwd: jobDir, env: process.env, signal: options.signal })
        if (result.exitCode !== 0) throw new Error(`Merge failed with exit code ${result.exitCode}: ${result.stderr}`)
        console.log('Merge completed successfully.')
      } else {
        console.log('Skipping merge step (no merge mechanism provided).')
      }
    } catch (error) {
      console.error('Merge step failed:', messageOf(error))
      throw error
    }
  }
}
