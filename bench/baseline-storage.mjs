// The counterpart of the storages: `fs.cp`, and the AWS SDK as a good engineer would use it.
import { createReadStream, createWriteStream } from 'node:fs'
import { cp, mkdir, readdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { Agent } from 'node:http'
import { dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { pool } from './fixtures.mjs'

const CONCURRENCY = 16

export class LocalStorageAdapter {
  constructor({ storageDir }) {
    this.folder = storageDir
  }

  async uploadAssetBundle(id, dir) {
    const place = join(this.folder, id)
    await cp(dir, place, { recursive: true })
    return `local://${place}`
  }

  downloadAssetBundle(_, url, target) {
    return cp(url.slice('local://'.length), target, { recursive: true })
  }
}

/** Streams, 16 at a time over connections that are kept, files in parts by lib-storage. */
export class S3StorageAdapter {
  constructor({ bucket, ...options }) {
    // From where the end-to-end tests have them.
    const require = createRequire(new URL('../e2e/package.json', import.meta.url))
    this.sdk = { ...require('@aws-sdk/client-s3'), ...require('@aws-sdk/lib-storage') }
    this.bucket = bucket
    const httpAgent = new Agent({ keepAlive: true, maxSockets: 64 })
    this.client = new this.sdk.S3Client({ ...options, requestHandler: { httpAgent } })
  }

  async uploadAssetBundle(id, dir) {
    const files = (await readdir(dir, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
    await pool(files.length, CONCURRENCY, (i) => {
      const file = join(files[i].parentPath ?? files[i].path, files[i].name)
      const params = { Bucket: this.bucket, Key: `${id}/${relative(dir, file)}`, Body: createReadStream(file) }
      return new this.sdk.Upload({ client: this.client, params }).done()
    })
    return `s3://${this.bucket}/${id}`
  }

  async downloadAssetBundle(_, url, target) {
    const prefix = `${url.slice(`s3://${this.bucket}/`.length)}/`
    const keys = []
    const list = { Bucket: this.bucket, Prefix: prefix }
    for await (const { Contents = [] } of this.sdk.paginateListObjectsV2({ client: this.client }, list)) {
      keys.push(...Contents.map(({ Key }) => Key))
    }
    await pool(keys.length, CONCURRENCY, async (i) => {
      const file = join(target, keys[i].slice(prefix.length))
      await mkdir(dirname(file), { recursive: true })
      const { Body } = await this.client.send(new this.sdk.GetObjectCommand({ Bucket: this.bucket, Key: keys[i] }))
      await pipeline(Body, createWriteStream(file))
    })
  }
}
