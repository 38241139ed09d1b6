// The records of a folder, for looking at: nothing here takes a job over, or writes.

import { readdir } from 'node:fs/promises'
import { FileJobRepository } from '../../index.js'
import { Failure, exitCodes } from './failure.mjs'

export const STATES = ['pending', 'running', 'paused', 'completed', 'failed', 'cancelled']

/** Whether a job with this record has come to an end that only `resume` takes back. */
export const isOver = ({ state }) => ['completed', 'failed', 'cancelled'].includes(state)

/** The record of the job whose id is `name`, or begins with it. */
export async function findJob(folder, name) {
  const repository = new FileJobRepository(folder)
  const isFileName = name !== '' && !/[/\\\0]/.test(name)
  const ids = isFileName ? await idsBeginningWith(folder, name) : []
  if (ids.length > 1 && !ids.includes(name)) {
    const some = ids.length > 5 ? [...ids.slice(0, 5), `${ids.length - 5} more`] : ids
    throw new Failure(`'${name}' is the beginning of several ids: ${some.join(', ')}`, exitCodes.noSuchJob)
  }
  const id = ids.includes(name) ? name : ids[0]
  const record = id === undefined ? undefined : await readJob(repository, id)
  if (!record) throw new Failure(`There is no job '${name}' in ${folder}`, exitCodes.noSuchJob)
  // A file may have been given another name by hand: it is known by that.
  return { ...record, id }
}

/** The record of a job, or undefined; one that is broken is said to be. */
export async function readJob(repository, id) {
  try {
    return await repository.get(id)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw new Failure(`The record of job ${id} is broken: ${error.message}`)
  }
}

/** Names of files are looked through, not records: they may be large, and some of them broken. */
async function idsBeginningWith(folder, prefix) {
  const names = await readdir(folder).catch((error) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const ids = names.filter((name) => name.endsWith('.json') && !name.startsWith('.')).map((name) => name.slice(0, -5))
  return ids.filter((id) => id.startsWith(prefix)).sort()
}

/** How many characters of these ids tell them apart, at least eight. */
export function shortIds(ids) {
  const sorted = [...new Set(ids)].sort()
  let length = 8
  for (let i = 1; i < sorted.length; i += 1) {
    const [one, other] = [sorted[i - 1], sorted[i]]
    let same = 0
    while (same < one.length && one[same] === other[same]) same += 1
    length = Math.max(length, same + 1)
  }
  return (id) => id.slice(0, length)
}

/** The chunks of a job; none for a record without any. */
export const chunksOf = (record) => (Array.isArray(record.spec?.chunks) ? record.spec.chunks : [])

/** The owner's own name for a job. */
export const nameOf = (record) => String(record.spec?.id ?? '')

/** How long the job has taken until now, or did: from its first start to its end, with its pauses. */
export function tookOf(record, now = Date.now()) {
  if (!Number.isFinite(record.startedAt)) return undefined
  const end = record.state === 'running' ? now : (record.finishedAt ?? record.updatedAt)
  return Math.max(0, end - record.startedAt)
}

/** The part of the job that is done, from 0 to 1, by frames where all chunks say how many they have. */
export function shareDone(record) {
  const chunks = chunksOf(record)
  const logged = new Set((record.logs ?? []).map(({ chunkId }) => chunkId))
  const weight = weigh(chunks)
  const total = chunks.reduce((sum, chunk) => sum + weight(chunk), 0)
  const done = chunks.filter(({ id }) => logged.has(id)).reduce((sum, chunk) => sum + weight(chunk), 0)
  return total > 0 ? done / total : 0
}

/** `{ attempts, chunks }`: how many attempts have failed, and of how many chunks. */
export function failuresOf(record) {
  const done = new Set((record.logs ?? []).map(({ chunkId }) => String(chunkId)))
  const failed = Object.entries(record.attempts ?? {}).map(([chunk, count]) => count - (done.has(chunk) ? 1 : 0))
  const counts = failed.filter((count) => count > 0)
  return { attempts: counts.reduce((sum, count) => sum + count, 0), chunks: counts.length }
}

/** What a chunk counts for: its frames where every chunk has some, else 1. */
export function weigh(chunks) {
  const byFrames = chunks.length > 0 && chunks.every(({ frameCount }) => frameCount > 0)
  return byFrames ? ({ frameCount }) => frameCount : () => 1
}

/** `120-149`, the frames of a chunk. */
export function framesOf({ startFrame, frameCount }) {
  if (!(Number.isFinite(startFrame) && frameCount > 0)) return '-'
  return frameCount === 1 ? String(startFrame) : `${startFrame}-${startFrame + frameCount - 1}`
}
