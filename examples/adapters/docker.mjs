// Chunks in containers of this machine. The image has ffmpeg; nothing else is deployed.
import {
  DockerAdapter,
  FfmpegStitcher,
  FileJobRepository,
  JobExecutor,
  JobManager,
} from '@helios-project/infrastructure'
import { film, finish, prepare } from '../lib/film.mjs'
import { setting } from '../lib/settings.mjs'

const adapter = new DockerAdapter({
  image: setting('IMAGE', 'linuxserver/ffmpeg'),
  // Files of chunks belong to who runs this.
  dockerArgs: ['--user', `${process.getuid?.() ?? 0}`, '--entrypoint', ''],
})
const manager = new JobManager(new FileJobRepository('jobs'), new JobExecutor(adapter))
const id = await manager.submitJob(film, {
  jobDir: prepare(setting('JOB_DIR', 'film')),
  concurrency: 4,
  stitcher: new FfmpegStitcher(),
  outputFile: 'film.mp4',
  onProgress: (done, total) => console.log(`${done} of ${total} chunks`),
})
await finish(manager, id)
