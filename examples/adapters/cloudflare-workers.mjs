// Chunks by a Cloudflare Worker. What is deployed: ../workers/pass-on.mjs, and a server that it passes them on to.
import {
  CloudflareWorkersAdapter,
  FfmpegStitcher,
  FileJobRepository,
  JobExecutor,
  JobManager,
} from '@helios-project/infrastructure'
import { film, finish, prepare } from '../lib/film.mjs'
import { setting, storageAt } from '../lib/settings.mjs'

const storage = storageAt()
const adapter = new CloudflareWorkersAdapter({
  serviceUrl: setting('SERVICE_URL'),
  authToken: setting('TOKEN'),
  storage,
})
const manager = new JobManager(new FileJobRepository('jobs'), new JobExecutor(adapter), storage)
const id = await manager.submitJob(film, {
  jobDir: prepare(setting('JOB_DIR', 'film')),
  concurrency: 32,
  retries: 2,
  chunkTimeout: 10 * 60_000,
  stitcher: new FfmpegStitcher(),
  outputFile: 'film.mp4',
  onProgress: (done, total) => console.log(`${done} of ${total} chunks`),
})
await finish(manager, id)
