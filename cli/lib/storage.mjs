// The storages that can be named on a command line, to remove what was stored there for a job.

import { resolve } from 'node:path'
import { GcsStorageAdapter, LocalStorageAdapter, S3StorageAdapter } from '../../index.js'
import { Failure, usage } from './failure.mjs'

/** The options of commands that delete jobs. */
export const storageOptions = {
  storage: {
    value: 'URL',
    help: 'where their objects are: s3://BUCKET, gs://BUCKET or a folder',
    read: (text, name) => openStorage(text, name),
  },
  'keep-objects': { help: 'leave what was stored for them elsewhere' },
}

/** `{ adapter, prefix }`: the storage, and what URLs of its objects begin with. */
function openStorage(text, name) {
  const [, scheme, bucket] = /^(\w+):\/\/([^/]*)\/?$/.exec(text) ?? []
  if (scheme === 's3' && bucket) return { adapter: new S3StorageAdapter({ bucket }), prefix: `s3://${bucket}/` }
  if (['gs', 'gcs'].includes(scheme) && bucket) {
    return { adapter: new GcsStorageAdapter({ bucket }), prefix: `gcs://${bucket}/` }
  }
  if (text === '' || text.includes('://'))
    throw usage(`${name} must be s3://BUCKET, gs://BUCKET or a folder, not '${text}'`)
  return { adapter: new LocalStorageAdapter({ storageDir: resolve(text) }), prefix: 'local://' }
}

/** The URLs of what was stored for a job. */
export const urlsOf = (record) =>
  [record.spec?.assetsUrl, record.meta?.jobDefUrl].filter((url) => typeof url === 'string' && url !== '')

/** Throws when objects of a job would be left behind without anybody wanting that. */
export function checkStorage(record, { storage, keepObjects }) {
  const left = urlsOf(record).find((url) => keepObjects !== true && !(storage && url.startsWith(storage.prefix)))
  if (left === undefined) return
  const how = storage
    ? 'which is not in that --storage'
    : 'so --storage must say where, or --keep-objects that it stays'
  throw new Failure(`Job ${record.id} has stored ${left}, ${how}`)
}
