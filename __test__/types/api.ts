// Uses every export and every member of the public surface as a user's code does. It is compiled, never run.
import type { Server } from 'node:http'
import * as lib from '../../index.js'
import {
  AwsLambdaAdapter,
  AzureFunctionsAdapter,
  CloudRunAdapter,
  CloudflareSandboxAdapter,
  CloudflareWorkersAdapter,
  DenoDeployAdapter,
  DockerAdapter,
  FfmpegStitcher,
  FileJobRepository,
  FlyMachinesAdapter,
  HetznerCloudAdapter,
  INFRASTRUCTURE_VERSION,
  InMemoryJobRepository,
  JobExecutor,
  JobManager,
  KubernetesAdapter,
  GcsStorageAdapter,
  LocalStorageAdapter,
  LocalWorkerAdapter,
  ModalAdapter,
  R2StorageAdapter,
  RenderExecutor,
  S3StorageAdapter,
  VercelAdapter,
  WorkerRuntime,
  createAwsHandler,
  createCloudRunServer,
  initInfrastructure,
  syncWorkspaceDependencies,
} from '../../index.js'
import type {
  ArtifactStorage,
  AwsCredentials,
  AwsHandlerConfig,
  CloudRunServerConfig,
  CommandFailure,
  DockerAdapterOptions,
  JobExecutionOptions,
  JobRepository,
  JobSpec,
  JobState,
  JobStatus,
  KubernetesAdapterOptions,
  RenderJobChunk,
  StitchPlan,
  StitchProgress,
  SyncOptions,
  VideoProof,
  VideoStitcher,
  WorkerAdapter,
  WorkerJob,
  RetryHint,
  RetryRule,
  WorkerResult,
  WorkerRuntimeConfig,
} from '../../index.js'

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(check: Same<A, B>): void => void check

// ---- values ----
same<typeof INFRASTRUCTURE_VERSION, string>(true)
same<ReturnType<typeof initInfrastructure>, void>(true)
same<Parameters<typeof initInfrastructure>, []>(true)
same<typeof lib.JobManager, typeof JobManager>(true)

// ---- what travels ----
const smallJob: WorkerJob = { command: 'render' }
const signal: AbortSignal = new AbortController().signal
const fullJob: Required<Pick<WorkerJob, 'command' | 'args' | 'env' | 'cwd' | 'timeout' | 'meta' | 'signal'>> &
  WorkerJob = {
  command: 'render',
  args: ['--from', '0'],
  env: { KEY: 'value' },
  cwd: '/jobs/1',
  timeout: 1000,
  meta: { chunkId: 1, anything: { goes: [true] } },
  signal,
  onStdout: (data) => void data.trim(),
  onStderr: (data: string) => console.log(data),
}
same<WorkerJob['command'], string>(true)
same<WorkerJob['args'], string[] | undefined>(true)
same<WorkerJob['env'], Record<string, string> | undefined>(true)
same<WorkerJob['cwd'], string | undefined>(true)
same<WorkerJob['timeout'], number | undefined>(true)
same<WorkerJob['meta'], Record<string, any> | undefined>(true)
same<WorkerJob['signal'], AbortSignal | undefined>(true)
same<WorkerJob['onStdout'], ((data: string) => void) | undefined>(true)
same<WorkerJob['onStderr'], ((data: string) => void) | undefined>(true)

const smallResult: WorkerResult = { exitCode: 0, stdout: '', stderr: '', durationMs: 1 }
const fullResult: WorkerResult = {
  ...smallResult,
  signal: 'SIGKILL',
  outputUrl: 's3://bucket/chunk',
  retry: { kind: 'throttled', afterMs: 100 },
}
const otherRetries: WorkerResult['retry'][] = [undefined, { kind: 'transient' }, { kind: 'fatal' }]
same<WorkerResult['exitCode'], number>(true)
same<WorkerResult['stdout'], string>(true)
same<WorkerResult['stderr'], string>(true)
same<WorkerResult['durationMs'], number>(true)
same<WorkerResult['signal'], string | undefined>(true)
same<WorkerResult['outputUrl'], string | undefined>(true)

const chunk: RenderJobChunk = { id: 1, startFrame: 0, frameCount: 10, outputFile: '1.mp4', command: 'render' }
const smallSpec: JobSpec = {
  id: 'film',
  metadata: { totalFrames: 10, fps: 30, width: 64, height: 64, duration: 1 / 3 },
  chunks: [chunk],
  mergeCommand: '',
}
const fullSpec: JobSpec = { ...smallSpec, assetsUrl: 's3://bucket/assets' }
same<JobSpec['id'], string>(true)
same<JobSpec['assetsUrl'], string | undefined>(true)
same<JobSpec['chunks'], RenderJobChunk[]>(true)
same<JobSpec['mergeCommand'], string>(true)
for (const field of ['totalFrames', 'fps', 'width', 'height', 'duration'] as const) {
  const value: number = smallSpec.metadata[field]
  void value
}
for (const field of ['id', 'startFrame', 'frameCount'] as const) same<RenderJobChunk[typeof field], number>(true)
for (const field of ['outputFile', 'command'] as const) same<RenderJobChunk[typeof field], string>(true)

same<JobState, 'pending' | 'running' | 'completed' | 'failed' | 'cancelled' | 'paused'>(true)
const smallStatus: JobStatus = {
  id: 'a',
  spec: smallSpec,
  state: 'pending',
  progress: 0,
  totalChunks: 1,
  completedChunks: 0,
  createdAt: Date.now(),
  updatedAt: Date.now(),
}
const fullStatus: JobStatus = {
  ...smallStatus,
  error: 'message',
  result: { anything: 1 },
  metrics: { totalDurationMs: 1 },
  meta: { jobDefUrl: 's3://bucket/job.json' },
  logs: [{ chunkId: 1, durationMs: 2, stdout: '', stderr: '' }],
}
same<JobStatus['spec'], JobSpec>(true)
same<JobStatus['state'], JobState>(true)
for (const field of ['progress', 'totalChunks', 'completedChunks', 'createdAt', 'updatedAt'] as const) {
  same<JobStatus[typeof field], number>(true)
}
same<JobStatus['error'], string | undefined>(true)
same<JobStatus['result'], any>(true)
same<JobStatus['meta'], Record<string, any> | undefined>(true)
const total: number | undefined = fullStatus.metrics?.totalDurationMs
const log: { chunkId: number; durationMs: number; stdout: string; stderr: string } | undefined = fullStatus.logs?.[0]

// ---- interfaces, implemented by classes and by plain objects ----
class OwnAdapter implements WorkerAdapter {
  async execute(job: WorkerJob): Promise<WorkerResult> {
    job.onStdout?.('out')
    job.signal?.addEventListener('abort', () => {})
    return { ...smallResult, stdout: job.args?.join(' ') ?? '' }
  }
}
class OwnRepository implements JobRepository {
  private readonly records = new Map<string, JobStatus>()
  async save(job: JobStatus): Promise<void> {
    this.records.set(job.id, job)
  }
  async get(id: string): Promise<JobStatus | undefined> {
    return this.records.get(id)
  }
  async list(): Promise<JobStatus[]> {
    return [...this.records.values()]
  }
  async delete(id: string): Promise<void> {
    this.records.delete(id)
  }
}
const ownStitcher: VideoStitcher = {
  stitch: async (inputs: string[], output: string): Promise<void> => void [inputs, output],
}
const smallStorage: ArtifactStorage = {
  uploadAssetBundle: async (jobId: string, localDir: string) => `${jobId}/${localDir}`,
  downloadAssetBundle: async (jobId: string, remoteUrl: string, targetDir: string) =>
    void [jobId, remoteUrl, targetDir],
  deleteAssetBundle: async (jobId: string, remoteUrl: string) => void [jobId, remoteUrl],
  uploadJobSpec: async (jobId: string, spec: JobSpec) => `${jobId}/${spec.id}`,
  deleteJobSpec: async (jobId: string, remoteUrl: string) => void [jobId, remoteUrl],
}
const fullStorage: ArtifactStorage = {
  ...smallStorage,
  downloadJobSpec: async (jobId: string, remoteUrl: string): Promise<JobSpec> => ({
    ...smallSpec,
    id: jobId + remoteUrl,
  }),
  uploadChunkOutput: async (jobId: string, chunkId: number, localFile: string) => `${jobId}/${chunkId}/${localFile}`,
  downloadChunkOutput: async (jobId: string, remoteUrl: string, localFile: string) =>
    void [jobId, remoteUrl, localFile],
}

// ---- options ----
const noOptions: JobExecutionOptions = {}
const allOptions: JobExecutionOptions = {
  concurrency: 2,
  jobDir: '/jobs/1',
  merge: true,
  retries: 1,
  retryDelay: 0,
  onProgress: (done, all) => void (done + all),
  onChunkComplete: async (chunkId: number, result: WorkerResult) => void [chunkId, result.outputUrl],
  onChunkStdout: (chunkId, data) => void [chunkId.toFixed(), data.trim()],
  onChunkStderr: (chunkId: number, data: string) => void [chunkId, data],
  signal,
  mergeAdapter: new OwnAdapter(),
  stitcher: ownStitcher,
  outputFile: 'film.mp4',
  completedChunkIds: [1, 2],
  meta: { jobDefUrl: 's3://bucket/job.json' },
  skipMerge: false,
  storage: fullStorage,
}
const limits: JobExecutionOptions = {
  chunkTimeout: 1,
  verifyChunks: 'auto',
  stallTimeout: 1,
  maxLogBytes: 1,
  maxOutputBytes: 1,
  killGraceMs: 1,
}
const rules: RetryRule[] = [
  { kind: 'fatal', exitCode: [1, 2] },
  { kind: 'throttled', text: /busy/, signal: 'SIGTERM', afterMs: 1 },
]
const retries: JobExecutionOptions[] = [
  { retryBackoff: {}, retryOn: rules, failFast: false },
  { retryBackoff: { factor: 2, maxDelayMs: 1, jitter: 0 }, retryOn: (error: CommandFailure) => error.exitCode === 75 },
  { retryOn: async (_error, { chunkId, attempt }) => (chunkId + attempt > 1 ? 'fatal' : undefined) },
  { retryOn: (): RetryHint => ({ kind: 'transient', afterMs: 1 }) },
  { retryOn: () => {} },
]
void [limits, retries]
const syncCallback: JobExecutionOptions = { onChunkComplete: () => {} }

// ---- classes ----
async function uses(): Promise<void> {
  const adapter = new LocalWorkerAdapter()
  const adapters: WorkerAdapter[] = [adapter, new OwnAdapter(), { execute: async () => fullResult }]
  same<Awaited<ReturnType<typeof adapter.execute>>, WorkerResult>(true)
  same<Parameters<typeof adapter.execute>, [job: WorkerJob]>(true)
  const { exitCode, durationMs }: { exitCode: number; durationMs: number } = await adapter.execute(smallJob)

  const executor = new JobExecutor(adapter)
  same<ConstructorParameters<typeof JobExecutor>, [adapter: WorkerAdapter]>(true)
  const nothing: void = await executor.execute(smallSpec)
  await new JobExecutor(adapters[1]!).execute(fullSpec, allOptions)
  await executor.execute(smallSpec, undefined)

  const files = new FileJobRepository('/jobs')
  const repositories: JobRepository[] = [files, new InMemoryJobRepository(), new OwnRepository()]
  for (const repository of repositories) {
    const saved: void = await repository.save(smallStatus)
    const got: JobStatus | undefined = await repository.get('a')
    const all: JobStatus[] = await repository.list()
    const deleted: void = await repository.delete('a')
    void [saved, got, all, deleted]
  }
  new FileJobRepository('/jobs', { fsync: false })

  const managers = [new JobManager(files, executor), new JobManager(new OwnRepository(), executor, fullStorage)]
  managers.push(new JobManager(files, executor, undefined, { maxConcurrency: 4 }))
  for (const manager of managers) {
    const id: string = await manager.submitJob(smallSpec)
    await manager.submitJob(fullSpec, allOptions)
    const job: JobStatus | undefined = await manager.getJob(id)
    const jobs: JobStatus[] = await manager.listJobs()
    const voids: void[] = [await manager.cancelJob(id), await manager.pauseJob(id), await manager.deleteJob(id)]
    const recovered: string[] = [...(await manager.recover()), ...(await manager.recover(noOptions))]
    const ended: JobStatus | undefined = await manager.waitForJob(id)
    await manager.waitForJob(id, { signal: new AbortController().signal })
    const closed: void = await manager.close()
    const phase: 'uploading' | 'rendering' | 'merging' | 'verifying' | undefined = ended?.phase
    const times: Array<number | undefined> = [ended?.startedAt, ended?.finishedAt, ended?.attempts?.['1']]
    void [recovered, closed, phase, times]
    const resumed: void[] = [await manager.resumeJob(id), await manager.resumeJob(id, noOptions)]
    void [job, jobs, voids, resumed]
  }

  const local = new LocalStorageAdapter({ storageDir: '/share' })
  const s3 = new S3StorageAdapter({
    bucket: 'b',
    region: 'eu-west-1',
    endpoint: new URL('http://localhost'),
    credentials: async (): Promise<AwsCredentials> => ({
      accessKeyId: 'a',
      secretAccessKey: 's',
      expiration: new Date(),
    }),
    retryMode: 'adaptive',
    dedupe: true,
    concurrency: 8,
  })
  const r2: S3StorageAdapter = new R2StorageAdapter({
    bucket: 'b',
    accountId: 'a',
    accessKeyId: 'k',
    secretAccessKey: 's',
  })
  const gcs = new GcsStorageAdapter({
    bucket: 'b',
    projectId: 'p',
    keyFilename: 'key.json',
    apiEndpoint: 'http://localhost',
  })
  const storages: ArtifactStorage[] = [local, fullStorage, s3, r2, gcs]
  const url: string = await local.uploadChunkOutput('a', 1, '1.mp4')
  const stored: JobSpec = await local.downloadJobSpec('a', url)
  const brought: void = await local.downloadChunkOutput('a', url, '1.mp4')
  void [storages, stored, brought]

  const stitchers: VideoStitcher[] = [
    new FfmpegStitcher(),
    new FfmpegStitcher(adapter),
    new FfmpegStitcher(undefined, { ffmpegPath: '/usr/bin/ffmpeg' }),
    ownStitcher,
  ]
  for (const stitcher of stitchers) await stitcher.stitch(['1.mp4'], 'film.mp4')

  const planner = new FfmpegStitcher(undefined, {
    ffmpegPath: 'ffmpeg',
    ffprobePath: 'ffprobe',
    expectedFrames: 30,
    fps: 29.97,
    onProgress: ({ phase, done, total }: StitchProgress): string => `${phase} ${done}/${total}`,
    signal: new AbortController().signal,
    dryRun: true,
    verify: true,
  })
  const plan: StitchPlan = await planner.stitch(['1.mp4'], 'film.mp4')
  const kinds: Array<'copy' | 'remux' | 'encode-audio'> = [plan.kind]
  const proof: VideoProof | undefined = (await new InMemoryJobRepository().get('id'))?.result
  const stream = proof?.streams[0]
  const rate: number | undefined = stream?.type === 'video' ? stream.frameRate : stream?.sampleRate
  void [kinds, rate, proof?.chunks[0].frames, plan.inputs[0].file, plan.notes[0]]

  const lambda: WorkerAdapter = new AwsLambdaAdapter({ functionName: 'render', region: 'eu-central-1', storage: local })
  const cloudRun: WorkerAdapter = new CloudRunAdapter({ serviceUrl: 'https://render.run.app', auth: false })
  const serviceUrl = 'https://render.example'
  const jobDefUrl = 's3://bucket/a/job.json'
  const services: WorkerAdapter[] = [
    new AzureFunctionsAdapter({ serviceUrl, functionKey: 'key', jobDefUrl, storage: local }),
    new CloudflareWorkersAdapter({ serviceUrl, authToken: 'token', jobDefUrl, storage: local }),
    new DenoDeployAdapter({ serviceUrl, authToken: 'token', storage: local }),
    new VercelAdapter({ serviceUrl, authToken: 'token', jobDefUrl, storage: local }),
    new ModalAdapter({ endpointUrl: serviceUrl, authToken: 'token', forwardEnv: ['TOKEN'], storage: local }),
    new ModalAdapter({ endpointUrl: serviceUrl, forwardEnv: true }),
    new FlyMachinesAdapter({ apiToken: 't', appName: 'film', imageRef: 'film:1', region: 'fra', apiUrl: serviceUrl }),
    new CloudflareSandboxAdapter({
      accountId: 'a',
      apiToken: 't',
      namespace: 'films',
      renderCommand: 'node render.mjs',
      pollIntervalMs: 1000,
      maxPollAttempts: 10,
      logStorage: local,
      apiUrl: serviceUrl,
    }),
    new HetznerCloudAdapter({
      apiToken: 't',
      serverType: 'cx22',
      image: 'debian-12',
      sshKeyId: 1,
      location: 'fsn1',
      pollIntervalMs: 1000,
      timeoutMs: 60_000,
      apiUrl: serviceUrl,
      storage: local,
      resultUrl: serviceUrl,
      forwardEnv: ['TOKEN'],
    }),
  ]
  const dockerOptions: DockerAdapterOptions = { image: 'film', dockerArgs: ['--cpus', '2'], mountJobDir: false }
  const docker: WorkerAdapter = new DockerAdapter({ ...dockerOptions, forwardEnv: ['HOME'] })
  const containers = new DockerAdapter({ image: 'film', forwardEnv: true })
  const kubernetesOptions: KubernetesAdapterOptions = {
    kubeconfigPath: '/kubeconfig',
    namespace: 'render',
    image: 'render:1',
    jobNamePrefix: 'film',
    serviceAccountName: 'renderer',
    pollIntervalMs: 1000,
    schedulingTimeoutMs: 60_000,
    forwardEnv: ['FONTS'],
    workingDir: '/job',
    resources: { requests: { cpu: '4' }, limits: { memory: '8Gi' } },
    nodeSelector: { pool: 'render' },
    tolerations: [{ key: 'spot', operator: 'Exists' }],
    volumes: [{ name: 'job', persistentVolumeClaim: { claimName: 'job' } }],
    volumeMounts: [{ name: 'job', mountPath: '/job' }],
    envFrom: [{ secretRef: { name: 'keys' } }],
    imagePullSecrets: [{ name: 'registry' }],
    podTemplate: { metadata: { annotations: { a: 'b' } }, spec: { hostNetwork: true } },
    ttlSecondsAfterFinished: 60,
  }
  const kubernetes: WorkerAdapter[] = [new KubernetesAdapter(kubernetesOptions), new KubernetesAdapter({ image: 'a' })]
  void [lambda, cloudRun, services, docker, containers, kubernetes, new JobExecutor(lambda)]

  const rendered: WorkerResult = await new RenderExecutor('/workspace').executeChunk(smallSpec, 1)

  const runtimeConfig: WorkerRuntimeConfig = { workspaceDir: '/workspace', storage: local }
  const ran: WorkerResult = await new WorkerRuntime(runtimeConfig).run('s3://bucket/a/job.json', 1)
  const handlerConfig: AwsHandlerConfig = { workspaceDir: '/tmp', storage: fullStorage }
  const handler: (event: unknown) => Promise<{ statusCode: number; body: string }> = createAwsHandler(handlerConfig)
  const answered = await createAwsHandler()(
    { jobPath: '/job.json', chunkIndex: 1 },
    { getRemainingTimeInMillis: () => 1 },
  )
  const serverConfig: CloudRunServerConfig = {
    workspaceDir: '/tmp',
    port: 0,
    storage: local,
    allowedJobPaths: ['s3://bucket/jobs/'],
    maxConcurrentChunks: 2,
  }
  const { server, listen } = createCloudRunServer(serverConfig)
  const listening: Server[] = [server, listen(), listen(() => console.log('up')), createCloudRunServer().server]
  void [ran.outputUrl, handler, answered.statusCode + answered.body, listening]

  const options: SyncOptions = { rootDir: '/repo' }
  const synced: void = await syncWorkspaceDependencies(options)
  void [exitCode, durationMs, nothing, rendered, synced]
}

// ---- subclasses of ours ----
class LoudAdapter extends LocalWorkerAdapter {
  override async execute(job: WorkerJob): Promise<WorkerResult> {
    const result = await super.execute(job)
    return { ...result, stdout: result.stdout.toUpperCase() }
  }
}
class CountingRepository extends FileJobRepository {
  saves = 0
  override async save(job: JobStatus): Promise<void> {
    this.saves += 1
    await super.save(job)
  }
}
class OwnMemory extends InMemoryJobRepository {}
class OwnFfmpeg extends FfmpegStitcher {
  override async stitch(inputs: string[], output: string): Promise<void> {
    await super.stitch(inputs, output)
  }
}
class OwnExecutor extends JobExecutor {
  override async execute(job: JobSpec, options?: JobExecutionOptions): Promise<void> {
    await super.execute(job, options)
  }
}
class OwnManager extends JobManager {
  override async submitJob(job: JobSpec, options?: JobExecutionOptions): Promise<string> {
    return super.submitJob(job, options)
  }
}
class OwnRenderer extends RenderExecutor {}
class OwnRuntime extends WorkerRuntime {
  override async run(jobPath: string, chunkId: number): Promise<WorkerResult> {
    return super.run(jobPath, chunkId)
  }
}

// ---- what must not compile ----
// @ts-expect-error: a job needs a command
const noCommand: WorkerJob = { args: [] }
// @ts-expect-error: arguments are strings
const numbers: WorkerJob = { command: 'x', args: [1] }
// @ts-expect-error: a result needs its outputs
const noOutput: WorkerResult = { exitCode: 0 }
// @ts-expect-error: there is no such state
const noState: JobState = 'done'
// @ts-expect-error: there is no such kind of retry
const noRetry: WorkerResult['retry'] = { kind: 'maybe' }
// @ts-expect-error: a chunk needs a command
const noChunk: RenderJobChunk = { id: 1, startFrame: 0, frameCount: 1, outputFile: 'x' }
// @ts-expect-error: an executor needs an adapter
new JobExecutor()
// @ts-expect-error: a manager needs an executor
new JobManager(new OwnRepository())
// @ts-expect-error: a repository of files needs a folder
new FileJobRepository()
// @ts-expect-error: a renderer needs a workspace
new RenderExecutor()
// @ts-expect-error: a function has a name
new AwsLambdaAdapter({ region: 'eu-central-1' })
// @ts-expect-error: a service has a URL
new CloudRunAdapter({})
// @ts-expect-error: only the URL of the job decides where the definition is
new DenoDeployAdapter({ serviceUrl: 'https://render.example', jobDefUrl: 's3://bucket/a/job.json' })
// @ts-expect-error: all or some, by name
new ModalAdapter({ endpointUrl: 'https://render.example', forwardEnv: 'PATH' })
// @ts-expect-error: containers need an image
new DockerAdapter({})
// @ts-expect-error: a Job has an image
new KubernetesAdapter({ namespace: 'render' })
// @ts-expect-error: a runtime needs a workspace
new WorkerRuntime({})
// @ts-expect-error: ports are numbers
createCloudRunServer({ port: '8080' })
// @ts-expect-error: the root folder is needed
void syncWorkspaceDependencies({})
// @ts-expect-error: an adapter executes
const noAdapter: WorkerAdapter = {}
// @ts-expect-error: ids of chunks are numbers
void new RenderExecutor('/workspace').executeChunk(smallSpec, '1')

export { CountingRepository, LoudAdapter, OwnExecutor, OwnFfmpeg, OwnManager, OwnMemory, OwnRenderer, OwnRuntime, uses }
export const used = [fullJob, otherRetries, fullSpec, total, log, syncCallback, smallStorage, noAdapter, noChunk]
export const refused = [noCommand, numbers, noOutput, noState, noRetry]
