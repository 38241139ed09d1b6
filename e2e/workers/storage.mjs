// The storage of a test, for the test itself and for the workers it starts.
import * as lib from '../../index.js'

const CLASSES = { s3: 'S3StorageAdapter', r2: 'R2StorageAdapter', gcs: 'GcsStorageAdapter' }

/** Makes the storage that `{ kind, ...options }` describes. */
export const storageOf = ({ kind, ...options }) => new lib[CLASSES[kind]](options)
