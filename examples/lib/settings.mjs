// Settings of the examples: variables of the environment, and the storage that one of them names.
import {
  GcsStorageAdapter,
  LocalStorageAdapter,
  R2StorageAdapter,
  S3StorageAdapter,
} from '@helios-project/infrastructure'

/**
 * A variable of the environment. Without a fallback it must be set.
 *
 * @param {string} name
 * @param {string} [fallback]
 */
export function setting(name, fallback) {
  const value = process.env[name] || fallback
  if (value === undefined) throw new Error(`Set the variable ${name}.`)
  return value
}

/**
 * The storage that both sides reach, by its URL: `s3://bucket`, `r2://account/bucket`, `gcs://bucket`, or `local:///folder`
 * where both sides mount one. Its credentials are found where its cloud's own tools find them, those of R2 in two variables.
 */
export function storageAt(url = setting('STORAGE')) {
  const { protocol, host, pathname } = new URL(url)
  switch (protocol) {
    case 's3:':
      return new S3StorageAdapter({ bucket: host })
    case 'gcs:':
      return new GcsStorageAdapter({ bucket: host })
    case 'r2:':
      return new R2StorageAdapter({
        accountId: host,
        bucket: pathname.slice(1),
        accessKeyId: setting('R2_ACCESS_KEY_ID'),
        secretAccessKey: setting('R2_SECRET_ACCESS_KEY'),
      })
    case 'local:':
      return new LocalStorageAdapter({ storageDir: decodeURIComponent(pathname) })
  }
  throw new Error(`There is no storage for ${url}.`)
}

/** What the definitions of jobs in that storage are below: workers should run no others. */
export function jobPaths(url = setting('STORAGE')) {
  const { protocol, pathname } = new URL(url)
  // A bucket of R2 has the URLs of S3.
  return protocol === 'r2:' ? `s3:/${pathname}` : url
}
