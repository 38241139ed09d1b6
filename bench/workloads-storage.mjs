// How long it takes to store a bundle and to bring it back: 2,000 small files and a large one.
import { mkdirSync, writeFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { assertEqual } from './fixtures.mjs'
import { MB } from './measure.mjs'

const KEY = { key: 'AKIABENCH', secret: 'bench-secret' }
const BUCKET = 'bench'

/** A `LocalStorageAdapter` against `fs.cp`, which is what `baseline.mjs` has of it. */
export function localStorage({ LocalStorageAdapter }, { files, megabytes, down }, { scratch }) {
  const storage = new LocalStorageAdapter({ storageDir: join(scratch, 'storage') })
  return transfer(storage, makeBundle(scratch, files, megabytes), scratch, down)
}

/** An `S3StorageAdapter` against a good use of the AWS SDK, both with a server that this process starts. */
export async function s3Storage({ S3StorageAdapter }, { files, megabytes, down }, { scratch }) {
  // Here, not above: other benchmarks need neither the server nor the packages of its tests.
  const { start } = await import('../e2e/services/s3.mjs')
  const server = await start({ ...KEY, buckets: [BUCKET] })
  const credentials = { accessKeyId: KEY.key, secretAccessKey: KEY.secret }
  const options = { bucket: BUCKET, region: 'us-east-1', endpoint: server.url, forcePathStyle: true, credentials }
  const storage = new S3StorageAdapter(options)
  const work = transfer(storage, makeBundle(scratch, files, megabytes), scratch, down)
  return { ...work, check: (value) => work.check(value).finally(() => server.stop()) }
}

function transfer(storage, folder, scratch, down) {
  const target = join(scratch, 'target')
  let url
  return {
    warmUp: async () => {
      const [few, back] = [makeBundle(join(scratch, 'few'), 50, 1), join(scratch, 'few-target')]
      await storage.downloadAssetBundle('few', await storage.uploadAssetBundle('few', few), back)
      if (down) url = await storage.uploadAssetBundle('job', folder)
    },
    run: async () => {
      if (down) await storage.downloadAssetBundle('job', url, target)
      else url = await storage.uploadAssetBundle('job', folder)
    },
    check: async () => {
      if (!down) await storage.downloadAssetBundle('job', url, target)
      assertEqual('files and bytes', await measureFolder(target), await measureFolder(folder))
    },
  }
}

function makeBundle(parent, files, megabytes) {
  const folder = join(parent, 'bundle')
  mkdirSync(folder, { recursive: true })
  for (let i = 0; i < files; i += 1) writeFileSync(join(folder, `frame-${i}.bin`), Buffer.alloc(20 * 1024, i))
  writeFileSync(join(folder, 'large.bin'), Buffer.alloc(megabytes * MB, 'x'))
  return folder
}

async function measureFolder(folder) {
  const names = await readdir(folder)
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size))
  return `${names.length} files, ${sizes.reduce((sum, size) => sum + size, 0)} bytes`
}
