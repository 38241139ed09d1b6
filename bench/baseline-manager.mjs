// The plain-JavaScript counterpart, second part: the repositories and a JobManager that reads, modifies and saves the
// whole record on every event, as the original does (so it loses updates at a concurrency above one).
import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export class InMemoryJobRepository {
  #jobs = new Map()

  async save(job) {
    this.#jobs.set(job.id, structuredClone(job))
  }

  async get(id) {
    return structuredClone(this.#jobs.get(id))
  }

  async list() {
    return [...this.#jobs.values()].map((job) => structuredClone(job))
  }

  async delete(id) {
    this.#jobs.delete(id)
  }
}

export class FileJobRepository {
  constructor(storageDir, { fsync = true } = {}) {
    this.storageDir = storageDir
    this.fsync = fsync
  }

  #path(id) {
    return join(this.storageDir, `${id}.json`)
  }

  /** With fsync: temporary file, fsync, rename, fsync of the folder. Without: a plain writeFile. */
  async save(job) {
    await mkdir(this.storageDir, { recursive: true })
    const path = this.#path(job.id)
    const text = JSON.stringify(job, null, 2)
    if (!this.fsync) return writeFile(path, text, 'utf8')
    const temporary = `${path}.${randomUUID()}.tmp`
    await writeAndSync(temporary, text)
    await rename(temporary, path)
    await syncFolder(this.storageDir)
  }

  async get(id) {
    try {
      return JSON.parse(await readFile(this.#path(id), 'utf8'))
    } catch (error) {
      if (error.code === 'ENOENT') return undefined
      throw error
    }
  }

  /** One file after the other, as the original does. */
  async list() {
    const names = await readdir(this.storageDir)
    const jobs = []
    for (const name of names) {
      if (name.endsWith('.json')) jobs.push(JSON.parse(await readFile(join(this.storageDir, name), 'utf8')))
    }
    return jobs
  }

  async delete(id) {
    await unlink(this.#path(id)).catch((error) => {
      if (error.code !== 'ENOENT') throw error
    })
  }
}

async function writeAndSync(path, text) {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(text, 'utf8')
    await file.sync()
  } finally {
    await file.close()
  }
}

async function syncFolder(path) {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export class JobManager {
  #controllers = new Map()

  constructor(repository, executor) {
    this.repository = repository
    this.executor = executor
  }

  async submitJob(spec, options = {}) {
    const id = randomUUID()
    const now = Date.now()
    await this.repository.save({
      id,
      spec,
      state: 'pending',
      progress: 0,
      totalChunks: spec.chunks.length,
      completedChunks: 0,
      createdAt: now,
      updatedAt: now,
      metrics: { totalDurationMs: 0 },
      logs: [],
    })
    this.#run(id, spec, options).catch((error) => console.error(`Unhandled error in job ${id}:`, error))
    return id
  }

  getJob(id) {
    return this.repository.get(id)
  }

  listJobs() {
    return this.repository.list()
  }

  async cancelJob(id) {
    const job = await this.repository.get(id)
    if (job?.state !== 'pending' && job?.state !== 'running') return
    this.#controllers.get(id)?.abort()
    await this.#update(id, (record) => (record.state = 'cancelled'))
    console.log(`Job ${id} cancelled`)
  }

  async deleteJob(id) {
    await this.cancelJob(id)
    await this.repository.delete(id)
  }

  async #run(id, spec, options) {
    const controller = new AbortController()
    this.#controllers.set(id, controller)
    try {
      await this.#update(id, (job) => (job.state = 'running'))
      await this.executor.execute(spec, {
        ...options,
        signal: controller.signal,
        onProgress: (completed, total) => {
          options.onProgress?.(completed, total)
          return this.#update(id, (job) => {
            job.completedChunks = completed
            job.progress = Math.round((completed / total) * 100)
          })
        },
        onChunkComplete: async (chunkId, result) => {
          await this.#update(id, (job) => {
            const { durationMs, stdout, stderr } = result
            job.logs.push({ chunkId, durationMs, stdout, stderr })
            job.metrics.totalDurationMs += durationMs
          })
          await options.onChunkComplete?.(chunkId, result)
        },
      })
      await this.#update(id, (job) => {
        job.state = 'completed'
        job.progress = 100
      })
    } catch (error) {
      console.error(`Job ${id} failed:`, error)
      await this.#update(id, (job) => {
        job.state = error.name === 'AbortError' ? 'cancelled' : 'failed'
        job.error = error.message
      })
    } finally {
      this.#controllers.delete(id)
    }
  }

  async #update(id, change) {
    const job = await this.repository.get(id)
    if (!job) return
    change(job)
    job.updatedAt = Date.now()
    await this.repository.save(job)
  }
}

/** Appends lines to a file, each synced before the next is written. */
export async function appendSynced(path, lines, bytes) {
  const file = await open(path, 'a')
  for (let line = 0; line < lines; line++) {
    await file.appendFile(`${'x'.repeat(bytes)}\n`)
    await file.datasync()
  }
  await file.close()
}
