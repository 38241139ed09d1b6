// Chunks by servers at Hetzner. Their image has ../workers/chunk.mjs.
import {
  FfmpegStitcher,
  FileJobRepository,
  HetznerCloudAdapter,
  JobExecutor,
  JobManager,
} from '@helios-project/infrastructure'
import { film, finish, outputUrl, prepare } from '../lib/film.mjs'
import { setting, storageAt } from '../lib/settings.mjs'

// A server runs whatever command it is given: here one that renders a chunk of the job in the storage, and stores its file.
class Renderer extends HetznerCloudAdapter {
  /** @param {import('@helios-project/infrastructure').WorkerJob} job */
  async execute(job) {
    const [command = '', ...args] = setting('RENDER_COMMAND', 'node /opt/helios/workers/chunk.mjs').split(' ')
    const chunk = [job.meta?.jobDefUrl, `${job.meta?.chunkId}`]
    return { ...(await super.execute({ ...job, command, args: [...args, ...chunk] })), outputUrl: outputUrl(job) }
  }
}

const storage = storageAt()
const adapter = new Renderer({
  apiToken: setting('HCLOUD_TOKEN'),
  serverType: setting('SERVER_TYPE', 'cx22'),
  image: setting('IMAGE'),
  location: setting('LOCATION', 'fsn1'),
  timeoutMs: 10 * 60_000,
  pollIntervalMs: Number(setting('POLL_INTERVAL_MS', '5000')),
  apiUrl: setting('HCLOUD_API_URL', 'https://api.hetzner.cloud/v1'),
  // What the server needs to reach the storage.
  forwardEnv: ['STORAGE', 'AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'],
  // Through the storage, unless there is another place for results.
  ...(process.env.RESULT_URL ? { resultUrl: process.env.RESULT_URL } : { storage }),
})
const manager = new JobManager(new FileJobRepository('jobs'), new JobExecutor(adapter), storage)
const id = await manager.submitJob(film, {
  jobDir: prepare(setting('JOB_DIR', 'film')),
  concurrency: 4,
  retries: 2,
  chunkTimeout: 10 * 60_000,
  stitcher: new FfmpegStitcher(),
  outputFile: 'film.mp4',
  onProgress: (done, total) => console.log(`${done} of ${total} chunks`),
})
await finish(manager, id)
