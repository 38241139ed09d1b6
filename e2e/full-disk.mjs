// Downloads a bundle to a disk that is too small, and tells what came of it as JSON: node full-disk.mjs URL BUCKET FROM TO
import { readdirSync } from 'node:fs'
import { S3StorageAdapter } from '../index.js'

const [endpoint, bucket, from, to] = process.argv.slice(2)
const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'hush-hush' }
const storage = new S3StorageAdapter({ bucket, region: 'us-east-1', endpoint, credentials })
const error = await storage.downloadAssetBundle('job', from, to).catch((reason) => reason)
const files = readdirSync(to, { recursive: true })
console.log(JSON.stringify({ code: error?.code, message: error?.message, files }))
