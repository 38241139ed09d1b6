// Chunks by a Lambda function. What is deployed: ../workers/lambda.mjs.
import {
  AwsLambdaAdapter,
  FfmpegStitcher,
  FileJobRepository,
  JobExecutor,
  JobManager,
} from '@helios-project/infrastructure'
import { film, finish, prepare } from '../lib/film.mjs'
import { setting, storageAt } from '../lib/settings.mjs'

const storage = storageAt()
const adapter = new AwsLambdaAdapter({
  functionName: setting('FUNCTION_NAME', 'helios-render'),
  region: setting('AWS_REGION', 'eu-central-1'),
  storage,
})
const manager = new JobManager(new FileJobRepository('jobs'), new JobExecutor(adapter), storage)
const id = await manager.submitJob(film, {
  jobDir: prepare(setting('JOB_DIR', 'film')),
  concurrency: 64,
  retries: 2,
  chunkTimeout: 15 * 60_000,
  stitcher: new FfmpegStitcher(),
  outputFile: 'film.mp4',
  onProgress: (done, total) => console.log(`${done} of ${total} chunks`),
})
await finish(manager, id)
