// Chunks by Jobs of a Kubernetes cluster, with a volume that this machine mounts, too. The image has ffmpeg.
import {
  FfmpegStitcher,
  FileJobRepository,
  JobExecutor,
  JobManager,
  KubernetesAdapter,
} from '@helios-project/infrastructure'
import { film, finish, prepare } from '../lib/film.mjs'
import { setting } from '../lib/settings.mjs'

const mountPath = setting('MOUNT_PATH', '/job')
const adapter = new KubernetesAdapter({
  image: setting('IMAGE', 'linuxserver/ffmpeg'),
  namespace: setting('NAMESPACE', 'render'),
  resources: { requests: { cpu: '2', memory: '2Gi' }, limits: { memory: '4Gi' } },
  workingDir: mountPath,
  volumes: [{ name: 'job', persistentVolumeClaim: { claimName: setting('CLAIM', 'film') } }],
  volumeMounts: [{ name: 'job', mountPath }],
})
const manager = new JobManager(new FileJobRepository('jobs'), new JobExecutor(adapter))
const id = await manager.submitJob(film, {
  // The same folder, as this machine sees it.
  jobDir: prepare(setting('JOB_DIR')),
  concurrency: 32,
  retries: 2,
  chunkTimeout: 10 * 60_000,
  stitcher: new FfmpegStitcher(),
  outputFile: 'film.mp4',
  onProgress: (done, total) => console.log(`${done} of ${total} chunks`),
})
await finish(manager, id)
