// Chunks by a Cloud Run service. What is deployed: ../workers/server.mjs.
import {
  CloudRunAdapter,
  FfmpegStitcher,
  FileJobRepository,
  JobExecutor,
  JobManager,
} from '@helios-project/infrastructure'
import { film, finish, prepare } from '../lib/film.mjs'
import { setting, storageAt } from '../lib/settings.mjs'

const storage = storageAt()
const adapter = new CloudRunAdapter({
  serviceUrl: setting('SERVICE_URL'),
  storage,
})
const manager = new JobManager(new FileJobRepository('jobs'), new JobExecutor(adapter), storage)
const id = await manager.submitJob(film, {
  jobDir: prepare(setting('JOB_DIR', 'film')),
  concurrency: 64,
  retries: 2,
  chunkTimeout: 30 * 60_000,
  stitcher: new FfmpegStitcher(),
  outputFile: 'film.mp4',
  onProgress: (done, total) => console.log(`${done} of ${total} chunks`),
})
await finish(manager, id)
