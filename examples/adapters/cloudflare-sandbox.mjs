// Chunks by sandboxes of Cloudflare, made by ../workers/sandbox.mjs. Their image has ../workers/chunk.mjs.
import {
  FfmpegStitcher,
  FileJobRepository,
  CloudflareSandboxAdapter,
  JobExecutor,
  JobManager,
} from '@helios-project/infrastructure'
import { film, finish, outputUrl, prepare } from '../lib/film.mjs'
import { setting, storageAt } from '../lib/settings.mjs'

// A sandbox cannot tell where it has stored the file of its chunk; so it is said for it, and the file is brought here.
class Renderer extends CloudflareSandboxAdapter {
  /** @param {import('@helios-project/infrastructure').WorkerJob} job */
  async execute(job) {
    return { ...(await super.execute(job)), outputUrl: outputUrl(job) }
  }
}

const storage = storageAt()
const adapter = new Renderer({
  accountId: setting('CLOUDFLARE_ACCOUNT_ID'),
  apiToken: setting('CLOUDFLARE_API_TOKEN'),
  namespace: setting('NAMESPACE', 'films'),
  renderCommand: setting('RENDER_COMMAND', 'node /opt/helios/workers/chunk.mjs'),
  pollIntervalMs: Number(setting('POLL_INTERVAL_MS', '5000')),
  // The Worker, such as https://sandboxes.films.workers.dev.
  apiUrl: setting('CLOUDFLARE_API_URL'),
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
