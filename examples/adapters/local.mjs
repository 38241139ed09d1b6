// Chunks by processes of this machine. Nothing is deployed.
import { availableParallelism } from 'node:os'
import {
  FfmpegStitcher,
  FileJobRepository,
  JobExecutor,
  JobManager,
  LocalWorkerAdapter,
} from '@helios-project/infrastructure'
import { film, finish, prepare } from '../lib/film.mjs'
import { setting } from '../lib/settings.mjs'

const manager = new JobManager(new FileJobRepository('jobs'), new JobExecutor(new LocalWorkerAdapter()))
process.once('SIGINT', () => manager.close())
const id = await manager.submitJob(film, {
  jobDir: prepare(setting('JOB_DIR', 'film')),
  concurrency: availableParallelism(),
  stitcher: new FfmpegStitcher(),
  outputFile: 'film.mp4',
  onProgress: (done, total) => console.log(`${done} of ${total} chunks`),
})
await finish(manager, id)
