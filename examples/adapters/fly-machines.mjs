// Chunks by machines of Fly.io. Their image runs ../workers/chunk.mjs.
import {
  FfmpegStitcher,
  FileJobRepository,
  FlyMachinesAdapter,
  JobExecutor,
  JobManager,
} from '@helios-project/infrastructure'
import { film, finish, outputUrl, prepare } from '../lib/film.mjs'
import { setting, storageAt } from '../lib/settings.mjs'

// A machine cannot tell where it has stored the file of its chunk; so it is said for it, and the file is brought here.
class Renderer extends FlyMachinesAdapter {
  /** @param {import('@helios-project/infrastructure').WorkerJob} job */
  async execute(job) {
    return { ...(await super.execute(job)), outputUrl: outputUrl(job) }
  }
}

const storage = storageAt()
const adapter = new Renderer({
  apiToken: setting('FLY_API_TOKEN'),
  appName: setting('FLY_APP'),
  imageRef: setting('IMAGE'),
  region: setting('FLY_REGION', 'fra'),
  apiUrl: setting('FLY_API_URL', 'https://api.machines.dev/v1'),
})
const manager = new JobManager(new FileJobRepository('jobs'), new JobExecutor(adapter), storage)
const id = await manager.submitJob(film, {
  jobDir: prepare(setting('JOB_DIR', 'film')),
  concurrency: 16,
  retries: 2,
  chunkTimeout: 10 * 60_000,
  stitcher: new FfmpegStitcher(),
  outputFile: 'film.mp4',
  onProgress: (done, total) => console.log(`${done} of ${total} chunks`),
})
await finish(manager, id)
