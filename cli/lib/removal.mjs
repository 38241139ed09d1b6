// Removes jobs: what was stored for them elsewhere, their record, their events, and the files of their chunks if that is wanted.

import { rm, rmdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { silenced } from './console.mjs'
import { removeEvents } from './events.mjs'
import { chunksOf } from './records.mjs'
import { urlsOf } from './storage.mjs'

export const filesOption = {
  files: { help: 'also remove the files of their chunks that are as the job has left them; never the video' },
}

/** Removes a job; gives `{ files, bytes, objects, warnings }`. */
export async function removeJob(manager, folder, record, { files = false, keepObjects = false, storage }) {
  const { value, warnings } = await silenced(async () => {
    const removed = files ? await removeFiles(await stopped(manager, record)) : { files: 0, bytes: 0 }
    // Last: as long as there is a record, what could not be removed can be tried again.
    await manager.deleteJob(record.id)
    return removed
  })
  removeEvents(folder, record.id)
  return { ...value, objects: storage && !keepObjects ? urlsOf(record).length : 0, warnings }
}

/**
 * The files of chunks that have the size and the time the job has seen at their end: any other is somebody else's by now. A
 * folder that is empty then goes, too.
 */
export async function unchangedFiles({ options, outputs, result, ...record }) {
  const folder = options?.jobDir ?? options?.submittedIn
  if (typeof folder !== 'string') return []
  const video = [result?.outputFile, options.outputFile].filter((file) => typeof file === 'string')
  const kept = new Set(video.map((file) => resolve(folder, file)))
  const found = []
  for (const { id, outputFile } of chunksOf(record)) {
    const seen = outputs?.[id]
    if (!seen || typeof outputFile !== 'string' || kept.has(resolve(folder, outputFile))) continue
    const path = resolve(folder, outputFile)
    const now = await stat(path).catch(() => undefined)
    const isAsLeft = now?.isFile() && now.size === seen.size && Math.abs(now.mtimeMs - seen.modifiedMs) < 1
    if (isAsLeft) found.push({ path, size: now.size })
  }
  return found
}

/** Ends what runs of a job; gives its record, which may have more chunks than before. */
async function stopped(manager, record) {
  await manager.cancelJob(record.id)
  return (await manager.getJob(record.id)) ?? record
}

async function removeFiles(record) {
  const found = await unchangedFiles(record)
  for (const { path } of found) await rm(path, { force: true })
  const folders = new Set(found.map(({ path }) => dirname(path)))
  for (const folder of folders) {
    // Only an empty one can be removed so; that of the caller stays in any case.
    if (folder !== resolve('')) await rmdir(folder).catch(() => {})
  }
  return { files: found.length, bytes: found.reduce((sum, { size }) => sum + size, 0) }
}
