// Interfaces of @helios-project/infrastructure. The classes below them are generated from src/bindings/classes.

/** A command for a worker to run. */
export interface WorkerJob {
  /** The program: a path, or a name to look up in the `PATH` of the command's own environment. */
  command: string
  /** Its arguments. No shell is involved. */
  args?: string[]
  /** Changes to the environment it inherits; `undefined` unsets a variable. */
  env?: Record<string, string>
  /** The folder it runs in. Default `process.cwd()`. */
  cwd?: string
  /** The longest it may take, in milliseconds. Default: no limit. */
  timeout?: number
  /**
   * How many bytes of each stream the result holds: where there is more, beginning and end, with a line between that says
   * how much was left out, and no more than that is held in memory. Callbacks hear everything. Default: all.
   */
  maxOutputBytes?: number
  /** What adapters for workers elsewhere need to know, such as `chunkId` and `jobDefUrl`. */
  meta?: Record<string, any>
  /** Ends it before its time. */
  signal?: AbortSignal
  /** Hears standard output while it is written, never cut inside a character. A throw ends the command. */
  onStdout?: (data: string) => void
  /** Hears standard error, likewise. */
  onStderr?: (data: string) => void
}

/** What an adapter, or the owner of a job, makes of a failure. */
export interface RetryHint {
  /**
   * `transient`: it may go well the next time, as any failure. `throttled`: whoever was asked has too much to do; the
   * chunk is put off, which uses up no retry, and half as many chunks run at once, until successes show that there may be
   * more again. `fatal`: it will go wrong every time, there is no further attempt.
   */
  kind: 'transient' | 'throttled' | 'fatal'
  /** When to try again, in milliseconds. With it a transient failure is treated as a throttled one. */
  afterMs?: number
}

/** A rule about failures: what they look like (all that is given must fit), and what to make of them. */
export interface RetryRule extends RetryHint {
  /** The exit code, or one of several. */
  exitCode?: number | number[]
  /** The name of the signal that ended the command, or one of several. */
  signal?: string | string[]
  /** What message, standard output or standard error have in them. */
  text?: string | RegExp
}

/** How a command ended. */
export interface WorkerResult {
  /** Its exit code; -1 when a signal ended it. */
  exitCode: number
  /** What it wrote to standard output. */
  stdout: string
  /** What it wrote to standard error. */
  stderr: string
  /** How long it took, in milliseconds. */
  durationMs: number
  /** The name of the signal that ended it. */
  signal?: string
  /** Whether it took too long. For adapters that report this as a result; ours reject. */
  timedOut?: boolean
  /** Where in the storage a worker elsewhere put the chunk's file. */
  outputUrl?: string
  /** What the executor should make of a failure. A rejection may carry it too, as `error.retry`. */
  retry?: RetryHint
}

/**
 * What a rejection carries besides its message when a command was started and failed, or was ended: by an adapter of this
 * package, and by a job whose chunk or merge it was.
 */
export interface CommandFailure extends Error {
  /** The command, on one line. */
  command: string
  /** The id of its process, if it ran here. */
  pid?: number
  /** Its exit code, once it has one; -1 when a signal ended it. */
  exitCode?: number
  /** The name of that signal. */
  signal?: string
  /** Whether it took too long. */
  timedOut?: boolean
  /** What it wrote to standard output until then; beginning and end of more than `maxLogBytes`. Not enumerable. */
  stdout: string
  /** What it wrote to standard error, likewise. */
  stderr: string
}

/** Runs commands somewhere: in a process here, in a container, in a cloud. */
export interface WorkerAdapter {
  /** Runs one command. A command that ran and failed gives a result; a rejection means that it could not be run. */
  execute(job: WorkerJob): Promise<WorkerResult>
}

/** A part of a job. Other fields than these travel through unchanged. */
export interface RenderJobChunk {
  /** Its number; chunks are joined in the order of their numbers. */
  id: number
  /** The first frame it renders. */
  startFrame: number
  /** How many frames it renders. */
  frameCount: number
  /** The file it writes, relative to `jobDir`. */
  outputFile: string
  /** The command that renders it: split on white space outside quotes, run without a shell. */
  command: string
}

/** A video to render, in chunks. Other fields than these travel through unchanged. */
export interface JobSpec {
  /** The owner's own name for it. */
  id: string
  /** Where its assets are. Set by `JobManager` when it uploads them. */
  assetsUrl?: string
  /** What the video will be. */
  metadata: {
    /** How many frames it has. */
    totalFrames: number
    /** How many of them are shown per second. */
    fps: number
    /** How wide they are, in pixels. */
    width: number
    /** How high they are, in pixels. */
    height: number
    /** How long it lasts, in seconds. */
    duration: number
  }
  /** Its parts, in the order in which they start. */
  chunks: RenderJobChunk[]
  /** The command that joins the chunks, where no stitcher does. */
  mergeCommand: string
}

/** Where a job is in its life. */
export type JobState = 'pending' | 'running' | 'completed' | 'failed' | 'cancelled' | 'paused'

/** The record of a job. Other fields than these travel through unchanged. */
export interface JobStatus {
  /** The id that `submitJob` gave. */
  id: string
  /** The job. */
  spec: JobSpec
  /** Where it is in its life. */
  state: JobState
  /** How much of it is done, in percent. */
  progress: number
  /** How many chunks it has. */
  totalChunks: number
  /** How many of them are done. */
  completedChunks: number
  /** Why it failed. */
  error?: string
  /** When it was submitted, in milliseconds since the epoch. */
  createdAt: number
  /** When it last changed, in milliseconds since the epoch. */
  updatedAt: number
  /** When it was first run, in milliseconds since the epoch. */
  startedAt?: number
  /** When it completed, failed or was cancelled, in milliseconds since the epoch. */
  finishedAt?: number
  /** What is being done for it, or was when it failed, was cancelled or paused. */
  phase?: JobPhase
  /** What came of it: a `VideoProof`, where an `FfmpegStitcher` has joined the chunks on this machine. */
  result?: any
  /** What it took. */
  metrics?: {
    /** How long its chunks took together, in milliseconds. */
    totalDurationMs: number
  }
  /** `jobDefUrl`: where its definition was uploaded to. */
  meta?: Record<string, any>
  /** What its chunks wrote, one entry per chunk. */
  logs?: Array<{
    /** The number of the chunk. */
    chunkId: number
    /** How long it took, in milliseconds. */
    durationMs: number
    /** What it wrote to standard output; beginning and end of more than `maxLogBytes`. */
    stdout: string
    /** What it wrote to standard error, likewise. */
    stderr: string
  }>
  /** What was seen of the chunks' files when they were done, by chunk. */
  outputs?: Record<
    string,
    {
      /** How long the file was, in bytes. */
      size: number
      /** When it was last written, in milliseconds since the epoch. */
      modifiedMs: number
    }
  >
  /** How often chunks were tried, by chunk; the attempt that is running does not count. */
  attempts?: Record<string, number>
  /** In a `FileJobRepository`: what it was submitted with, as far as that has a JSON form, for `resumeJob` and `recover`. */
  options?: Record<string, any>
  /** In a `FileJobRepository`: the name of the manager that runs it. */
  manager?: string
}

/** What is being done for a running job. */
export type JobPhase = 'uploading' | 'rendering' | 'merging' | 'verifying'

/** Settings of a `JobManager`. */
export interface JobManagerOptions {
  /**
   * How many chunks of all its jobs together run at once. Those of the job that has the least running come first. Default: as
   * many as the jobs ask for. Not for executors of your own.
   */
  maxConcurrency?: number
}

/** How a job is run. */
export interface JobExecutionOptions {
  /** How many chunks run at once. Default 1. */
  concurrency?: number
  /** The folder the commands run in. Default `process.cwd()`. */
  jobDir?: string
  /** Whether the chunks are joined. Default `true`. */
  merge?: boolean
  /** How often a chunk is tried again. Default 0. */
  retries?: number
  /** The pause before a chunk is tried again, in milliseconds. Default 1000. */
  retryDelay?: number
  /** How that pause grows from one attempt to the next. Default: it is always `retryDelay`. */
  retryBackoff?: {
    /** How many times as long as the one before each pause is. Default 2. */
    factor?: number
    /** The longest pause, in milliseconds. Default 60000. */
    maxDelayMs?: number
    /** Which part of a pause, at most, is left out at random: 0 to 1. Default 0.5. */
    jitter?: number
  }
  /**
   * What to make of a failed attempt: rules, of which the first that fits counts, or a function that gets the error (often
   * a `CommandFailure`) and gives a hint, its kind, `true` (`transient`), `false` (`fatal`) or nothing. Where it says nothing,
   * the adapter's own hint counts. What it throws fails the job.
   */
  retryOn?:
    RetryRule[] | ((error: any, attempt: { chunkId: number; attempt: number }) => RetryVerdict | Promise<RetryVerdict>)
  /**
   * Whether the job ends as soon as a chunk has failed for good. Default `true`. Otherwise the other chunks are rendered first;
   * the job fails with the first failure, without a merge.
   */
  failFast?: boolean
  /** Called when a chunk is done. A throw, here and below, fails the job with that very value. */
  onProgress?: (completedChunks: number, totalChunks: number) => void
  /** Called after `onProgress` and waited for. */
  onChunkComplete?: (chunkId: number, result: WorkerResult) => void | Promise<void>
  /** Hears the standard output of the chunks while it is written. */
  onChunkStdout?: (chunkId: number, data: string) => void
  /** Hears the standard error of the chunks, likewise. */
  onChunkStderr?: (chunkId: number, data: string) => void
  /** Ends the job before its time. */
  signal?: AbortSignal
  /** Who runs the merge command. Default: the adapter of the chunks. */
  mergeAdapter?: WorkerAdapter
  /** Who joins the chunks, together with `outputFile`, in the place of the merge command. */
  stitcher?: VideoStitcher
  /** The video, relative to `jobDir`. */
  outputFile?: string
  /** Chunks that are done already and do not run. */
  completedChunkIds?: number[]
  /** Passed to adapters, under the fields of the chunk. */
  meta?: Record<string, any>
  /** Whether the chunks are left apart. Default `false`. */
  skipMerge?: boolean
  /**
   * Where workers elsewhere find what they need and leave what they have rendered: the files of chunks whose result has an
   * `outputUrl` are brought from here into `jobDir`, while others render, and looked at. Default: the storage of the
   * manager. An executor whose adapter leaves its files elsewhere, and that finds no `meta.jobDefUrl`, puts `jobDir`, if
   * that is given, and the definition there itself, under an id of their own, and removes all of it when the job has ended.
   */
  storage?: ArtifactStorage
  /**
   * Whether `jobDir` is stored, when the definition is. Default `true`. What goes up is all of it but `.env*`,
   * `node_modules`, `.git`, the files of chunks, `outputFile` and what a `.heliosignore` in it names, in the format of
   * `.gitignore`. A storage of your own is given the folder and decides itself.
   */
  uploadAssets?: boolean
  /**
   * How long work may take to end by itself once it was told to, in milliseconds, before it is killed. Default 5000. An
   * abort, a timeout and a failure settle when all that came of a command is gone, wherever it went.
   */
  killGraceMs?: number
  /**
   * The longest an attempt at a chunk may take, in milliseconds. Default: no limit. Adapters of your own get it as
   * `job.timeout`, with a `job.signal` of its own that aborts then; what they settle with after that does not count.
   */
  chunkTimeout?: number
  /**
   * The longest an attempt may show no sign of life, in milliseconds: no output, no growth of its `outputFile`, no use of
   * the processor by any of its processes. Noticed within half as long again. Default: no limit. Seen by
   * `LocalWorkerAdapter` and `DockerAdapter` only; the latter knows the use of the processor in whole seconds.
   */
  stallTimeout?: number
  /**
   * How many bytes of each stream of a chunk are kept in the job's `logs` and in errors: beginning and end, with a line
   * between that says how much was left out. Default 1 MiB.
   */
  maxLogBytes?: number
  /** As `maxOutputBytes` of a `WorkerJob`, for each chunk and the merge command. */
  maxOutputBytes?: number
  /**
   * Whether the file of a chunk is looked at before the chunk counts, with adapters whose files are on this machine
   * (`LocalWorkerAdapter`, `DockerAdapter` with the folder of the job mounted). What is wrong with it is a
   * failed attempt. `true`: it must exist, be a video that can be read to its end, and have `frameCount` frames, where the
   * chunk says so. `false`: it is not looked at. Default `'auto'`: as `true` where an `FfmpegStitcher` will join the chunks
   * on this machine; else only a file that is there and empty is a failure, as commands need not write one.
   *
   * Likewise, unless this is `false`, a merge command must leave `outputFile` behind, where that is given.
   */
  verifyChunks?: 'auto' | boolean
}

/** What `retryOn` may say. */
export type RetryVerdict = RetryHint | RetryHint['kind'] | boolean | null | undefined | void

/** Keeps the records of jobs. */
export interface JobRepository {
  /** Stores a record in the place of the one before. */
  save(job: JobStatus): Promise<void>
  /** The record of a job, or undefined. */
  get(id: string): Promise<JobStatus | undefined>
  /** All records. */
  list(): Promise<JobStatus[]>
  /** Removes a record, if there is one. */
  delete(id: string): Promise<void>
}

/** Settings of a `FileJobRepository`. */
export interface FileJobRepositoryOptions {
  /** Whether a save survives a power cut. Default `true`; without it a save survives a crash of the process only. */
  fsync?: boolean
}

/** Joins videos. */
export interface VideoStitcher {
  /** Joins `inputs`, in their order, into `output`. */
  stitch(inputs: string[], output: string): Promise<void>
}

/** Settings of an `FfmpegStitcher`. With an adapter of your own only `ffmpegPath` and `signal` count. */
export interface FfmpegStitcherOptions {
  /** The ffmpeg to use, 4.1 or newer. Default: what the variable `FFMPEG_PATH` names, else `ffmpeg` on the `PATH`. */
  ffmpegPath?: string
  /**
   * The ffprobe to use. Default: what the variable `FFPROBE_PATH` names, else the one beside ffmpeg where that is a path,
   * else `ffprobe` on the `PATH`. Where there is none, ffmpeg alone finds out the same.
   */
  ffprobePath?: string
  /** How many frames the inputs must have together. Default: whatever they have. */
  expectedFrames?: number
  /** How many frames per second all inputs must have; 29.97 means 30000/1001. Default: what the first one has. */
  fps?: number
  /** Hears how far a stitch has come. What it throws ends the stitch, which rejects with it. */
  onProgress?: (progress: StitchProgress) => void
  /** Ends every stitch of this stitcher, beside the signal of a job. */
  signal?: AbortSignal
  /** Whether only a plan is made: `stitch` resolves with it and writes nothing. Such a stitcher fails a job. Default `false`. */
  dryRun?: boolean
  /**
   * Whether the output is looked into before it is put in its place. Default `true`. Without it, chunks of jobs are not
   * looked into either, and records get no `result`.
   */
  verify?: boolean
}

/** How far a stitch has come. */
export interface StitchProgress {
  /** Looking into the inputs, writing the output, looking into the output. */
  phase: 'probe' | 'join' | 'verify'
  /** How much of that is done: inputs, frames, outputs. */
  done: number
  /** How much there is to do. */
  total: number
}

/** A stream of a video. */
export type VideoStream =
  | {
      /** Pictures. */
      type: 'video'
      /** Their codec, by ffmpeg's name, such as `h264`. */
      codec: string
      /** How wide they are, in pixels. */
      width: number
      /** How high they are, in pixels. */
      height: number
      /** Their pixel format, by ffmpeg's name, such as `yuv420p`. */
      pixelFormat: string
      /** How many there are per second, where they follow each other steadily. */
      frameRate?: number
    }
  | {
      /** Sound. */
      type: 'audio'
      /** Its codec, by ffmpeg's name, such as `aac`. */
      codec: string
      /** How many samples it has per second. */
      sampleRate: number
      /** How many channels it has. */
      channels: number
    }

/** How inputs become one video. */
export interface StitchPlan {
  /**
   * `copy`: all streams are copied. `remux`: the same, after inputs with another time base were copied into it.
   * `encode-audio`: pictures are copied, the sound is decoded, cut or filled to the length of its pictures, and encoded.
   */
  kind: 'copy' | 'remux' | 'encode-audio'
  /** The file that would be written, absolute. */
  outputFile: string
  /** How many frames it would have. */
  frames: number
  /** How long it would last, in seconds. */
  duration: number
  /** What would be in it. */
  streams: VideoStream[]
  /** The inputs, in order. */
  inputs: Array<{
    /** The file, absolute. */
    file: string
    /** How many frames it has. */
    frames: number
    /** How long it lasts, in seconds. */
    duration: number
    /** Whether its time base has to be changed. */
    remux: boolean
  }>
  /** What would be cut off or filled with silence, for people. */
  notes: string[]
}

/** That a video is whole: what was counted in its parts, and found again in the whole. */
export interface VideoProof {
  /** The video, absolute. */
  outputFile: string
  /** How many frames it has. */
  frames: number
  /** How long it lasts, in seconds. */
  duration: number
  /** What is in it. */
  streams: VideoStream[]
  /** What it was made of, in order. */
  chunks: Array<{
    /** The number of the chunk. */
    chunkId: number
    /** How many frames it has. */
    frames: number
  }>
}

/** Keeps the files that workers elsewhere need. */
export interface ArtifactStorage {
  /** Stores the folder of a job; gives its URL. */
  uploadAssetBundle(jobId: string, localDir: string): Promise<string>
  /** Brings what `uploadAssetBundle` stored into a folder. */
  downloadAssetBundle(jobId: string, remoteUrl: string, targetDir: string): Promise<void>
  /** Removes what `uploadAssetBundle` stored, if it is there. */
  deleteAssetBundle(jobId: string, remoteUrl: string): Promise<void>
  /** Stores the definition of a job; gives its URL. */
  uploadJobSpec(jobId: string, spec: JobSpec): Promise<string>
  /** Removes what `uploadJobSpec` stored, if it is there. */
  deleteJobSpec(jobId: string, remoteUrl: string): Promise<void>
  /** Fetches and parses what `uploadJobSpec` stored. */
  downloadJobSpec?(jobId: string, remoteUrl: string): Promise<JobSpec>
  /** Stores the file of one chunk; gives its URL. */
  uploadChunkOutput?(jobId: string, chunkId: number, localFile: string): Promise<string>
  /** Brings the file of one chunk here. */
  downloadChunkOutput?(jobId: string, remoteUrl: string, localFile: string): Promise<void>
  /** Tells the workers that render a chunk of the job defined at `specUrl` to stop. */
  markCancelled?(specUrl: string, chunkId: number): Promise<void>
  /**
   * What `markCancelled` left last, if anything: each time something else, so that a worker sees what is new. `'deleted'` where
   * there is no such definition any more.
   */
  cancelMark?(specUrl: string, chunkId: number): Promise<string | undefined>
}

/** Settings of a `LocalStorageAdapter`. */
export interface LocalStorageAdapterOptions {
  /** The folder that has a folder for each job. */
  storageDir: string
}

/** What storages in buckets are told beside the options of their cloud. */
export interface BucketStorageOptions {
  /** The bucket, which must exist. */
  bucket: string
  /** How many objects are sent or fetched at once. Default 16. */
  concurrency?: number
  /** How often a request is made before it has failed. Default 3. */
  maxAttempts?: number
  /**
   * Whether files that the bucket has of another job are copied there, and not sent. Every job keeps a copy of its own. It
   * costs two small requests per file. Default false.
   */
  dedupe?: boolean
}

/** A key of Amazon's. */
export interface AwsCredentials {
  /** Its id. */
  accessKeyId: string
  /** The secret that requests are signed with. */
  secretAccessKey: string
  /** What comes with keys that expire. Default: none. */
  sessionToken?: string
  /** When it expires. Of a function's answer: it is asked again before. */
  expiration?: Date
}

/** Settings of an `S3StorageAdapter`. Other options of the AWS SDK's client are taken, and ignored. */
export interface S3StorageAdapterOptions extends BucketStorageOptions {
  /** Default: that of the environment or the profile. */
  region?: string
  /** Where the service is, also with `http:`. Default: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`, Amazon's own. */
  endpoint?: string | URL
  /** Whether URLs name the bucket in the path, not in the host. Default false, but for hosts that are addresses. */
  forcePathStyle?: boolean
  /**
   * `AwsCredentials`, or a function that gives them or a promise for them. Default: those of the environment, the profile,
   * SSO, the container or the instance, in the order of the AWS SDK.
   */
  credentials?: any
  [option: string]: any
}

/** Settings of an `R2StorageAdapter`. */
export interface R2StorageAdapterOptions extends BucketStorageOptions {
  /** The account that the bucket belongs to. */
  accountId: string
  /** The id of an API token of R2's. */
  accessKeyId: string
  /** The secret that comes with it. */
  secretAccessKey: string
  /** Default `https://${accountId}.r2.cloudflarestorage.com`. */
  endpoint?: string | URL
  [option: string]: any
}

/** Settings of a `GcsStorageAdapter`. Other options of `@google-cloud/storage` are taken, and ignored. */
export interface GcsStorageAdapterOptions extends BucketStorageOptions {
  /** Taken, and of no use here. */
  projectId?: string
  /** The file with the key of a service account. */
  keyFilename?: string
  /** The content of such a file, at least `client_email` and `private_key`. It goes before `keyFilename`. */
  credentials?: any
  /** Where the service is; it must speak the XML API. Default: `STORAGE_EMULATOR_HOST`, Google's own. */
  apiEndpoint?: string
  /** Whether an `http:` endpoint is sent a token where no key is given. Default false. */
  useAuthWithCustomEndpoint?: boolean
  [option: string]: any
}

/** Settings of a `WorkerRuntime`. */
export interface WorkerRuntimeConfig {
  /** The folder that assets are put into and commands run in. */
  workspaceDir: string
  /** Where assets, definitions and outputs are. Default: nowhere; a job that needs assets fails. */
  storage?: ArtifactStorage
}

/** Settings of `createAwsHandler`. */
export interface AwsHandlerConfig {
  /** The folder that has a folder for each run with assets; commands of others run in it. Default `/tmp`. */
  workspaceDir?: string
  /** Where assets, definitions and outputs are. Default: nowhere; a job that needs assets fails. */
  storage?: ArtifactStorage
}

/** Settings of `createCloudRunServer`. */
export interface CloudRunServerConfig {
  /** The folder that has a folder for each run with assets; commands of others run in it. Default `/tmp`. */
  workspaceDir?: string
  /** Where to listen; 0 is any free port. Default: what the variable `PORT` says, else 8080. */
  port?: number
  /** Where assets, definitions and outputs are. Default: nowhere; a job that needs assets fails. */
  storage?: ArtifactStorage
  /**
   * What the paths of jobs must be, or be below: URLs (`https://host/jobs`, `s3://bucket/jobs/`) or folders. Others get a
   * 403, and redirects are not followed. Default: all are let in, so whoever reaches the server has it run any command.
   */
  allowedJobPaths?: string[]
  /** How many chunks run at once; others get a 429 with `Retry-After`. Default: as many as come. */
  maxConcurrentChunks?: number
}

/**
 * Makes an HTTP server for Cloud Run, or any other place, that runs one chunk per `POST` of `{ jobPath, chunkIndex }`; see
 * `WorkerRuntime.run`. `listen` starts it and gives the server, whose `error` event has what goes wrong with that.
 *
 * Answers 200 when the command ended with 0, else 500, with `{ exitCode, stdout, stderr, outputUrl? }`; 400, 403, 405, 413
 * (1 MiB), 429 and 500 have a `{ message }`. Of output that does not fit into the 32 MiB of an answer the middle is left
 * out. `GET /healthz` is 200. A connection that is closed ends its chunk. While the server listens, SIGTERM ends all chunks,
 * with a 503, and closes it; the process then ends when nothing else keeps it alive. Throws a `TypeError` for wrong settings.
 */
export declare function createCloudRunServer(config?: CloudRunServerConfig): {
  /** The server, which does not listen yet. */
  server: import('node:http').Server
  /** Starts it and gives it; `callback` is called once it listens. */
  listen: (callback?: () => void) => import('node:http').Server
}

/** What `syncWorkspaceDependencies` works on. */
export interface SyncOptions {
  /** The folder that has `packages` in it. */
  rootDir: string
}

/** Which Lambda function renders the chunks. */
export interface AwsLambdaAdapterConfig {
  /** Its region. Default: that of `AWS_REGION` or of the profile; without any every chunk fails. */
  region?: string
  /** Its name, partial ARN or ARN, also with a version or alias. */
  functionName: string
  /** Where the definition of the job is, for jobs whose `meta.jobDefUrl` does not say it. */
  jobDefUrl?: string
  /** Where requests go, such as `http://127.0.0.1:4002`. Default: `AWS_ENDPOINT_URL_LAMBDA`, `AWS_ENDPOINT_URL`, Lambda. */
  endpoint?: string
  /** Where the workers look for marks that their chunk is no longer wanted, after an abort or a timeout. Default: none. */
  storage?: ArtifactStorage
}

/** Which Cloud Run service renders the chunks. */
export interface CloudRunAdapterConfig {
  /** Its URL, which is also the audience of the ID tokens. */
  serviceUrl: string
  /** Where the definition of the job is; goes before `meta.jobDefUrl`. */
  jobDefUrl?: string
  /** Whether requests carry an ID token. Default `true`; `false` for services that all may call, and local ones. */
  auth?: boolean
  /** Where the workers look for marks that their chunk is no longer wanted, after an abort or a timeout. Default: none. */
  storage?: ArtifactStorage
}

/** Which function of Azure Functions renders the chunks. */
export interface AzureFunctionsAdapterConfig {
  /** Its URL. */
  serviceUrl: string
  /** Its key, sent as `x-functions-key`. Default: none. */
  functionKey?: string
  /** Where the definition of the job is, for jobs without `meta.jobDefUrl`. */
  jobDefUrl?: string
  /** Where the workers look for marks that their chunk is no longer wanted, after an abort or a timeout. Default: none. */
  storage?: ArtifactStorage
}

/** Which Cloudflare Worker renders the chunks. */
export interface CloudflareWorkersAdapterConfig {
  /** Its URL. */
  serviceUrl: string
  /** A bearer token. Default: none. */
  authToken?: string
  /** Where the definition of the job is; goes before `meta.jobDefUrl`. */
  jobDefUrl?: string
  /** Where the workers look for marks that their chunk is no longer wanted, after an abort or a timeout. Default: none. */
  storage?: ArtifactStorage
}

/** Which deployment on Deno Deploy renders the chunks. */
export interface DenoDeployAdapterConfig {
  /** Its URL. */
  serviceUrl: string
  /** A bearer token. Default: none. */
  authToken?: string
  /** Where the workers look for marks that their chunk is no longer wanted, after an abort or a timeout. Default: none. */
  storage?: ArtifactStorage
}

/** Which Vercel function renders the chunks. */
export interface VercelAdapterConfig {
  /** Its URL. */
  serviceUrl: string
  /** A bearer token. Default: none. */
  authToken?: string
  /** Where the definition of the job is, for jobs without `meta.jobDefUrl`. */
  jobDefUrl?: string
  /** Where the workers look for marks that their chunk is no longer wanted, after an abort or a timeout. Default: none. */
  storage?: ArtifactStorage
}

/** Which web function on Modal runs the commands. */
export interface ModalAdapterConfig {
  /** Its URL. */
  endpointUrl: string
  /** A bearer token. Default: none. */
  authToken?: string
  /** Which variables of this process it gets, beside those that a job sets for itself; `true` for all. Default: none. */
  forwardEnv?: string[] | true
  /** Where the workers look for marks that their chunk is no longer wanted, after an abort or a timeout. Default: none. */
  storage?: ArtifactStorage
}

/** What the machines of Fly.io are made of that render the chunks. */
export interface FlyMachinesAdapterConfig {
  /** A token that may make and delete machines in the app. */
  apiToken: string
  /** The app they belong to. */
  appName: string
  /** The image they run. */
  imageRef: string
  /** Where they run, such as `fra`. Default: where the platform likes. */
  region?: string
  /** Where the API is. Default `https://api.machines.dev/v1`. */
  apiUrl?: string
}

/** What the servers at Hetzner are made of that run the commands. */
export interface HetznerCloudAdapterConfig {
  /** A token that may make and delete servers in the project. */
  apiToken: string
  /** Their type, such as `cx22`. */
  serverType: string
  /** The image they start with. It needs cloud-init, and curl or wget. */
  image: string
  /** The id of a key that may log in. Default: none. */
  sshKeyId?: number
  /** Where they are, such as `fsn1`. Default: where Hetzner likes. */
  location?: string
  /** The pause between two looks at a server, in milliseconds. Default 5000. */
  pollIntervalMs?: number
  /** The longest a command may take, with the start of its server, in milliseconds. Default 300000. */
  timeoutMs?: number
  /** Where the API is. Default `https://api.hetzner.cloud/v1`. */
  apiUrl?: string
  /** An S3, R2 or GCS storage of ours, through which servers hand in what came of their command. */
  storage?: ArtifactStorage
  /**
   * Where they hand it in without such a storage: a URL that takes a `PUT` of a name below it, and gives it back with `GET`.
   * Its query is kept.
   */
  resultUrl?: string
  /** Which variables of this process commands get, beside those that a job sets for itself; `true` for all. Default: none. */
  forwardEnv?: string[] | true
}

/** Which sandboxes on Cloudflare render the chunks. */
export interface CloudflareSandboxAdapterConfig {
  /** Whose they are. */
  accountId: string
  /** A token that may make and destroy them. */
  apiToken: string
  /** What they are made in. */
  namespace: string
  /** A command that they run in the place of the chunks' own. `meta.renderCommand` goes before it. */
  renderCommand?: string
  /** The pause between two looks at a sandbox, in milliseconds. Default 30000. */
  pollIntervalMs?: number
  /** How often it is looked before the chunk has failed. Default 60. */
  maxPollAttempts?: number
  /** Where logs are kept, as `logs/<id of the sandbox>`. Default: nowhere. */
  logStorage?: ArtifactStorage
  /** Where the API is. Default `https://api.cloudflare.com/client/v4`. */
  apiUrl?: string
}

/** In which containers a `DockerAdapter` runs commands. */
export interface DockerAdapterOptions {
  /** The image they are made from. */
  image: string
  /** More arguments of `docker run`. They come after those of the adapter, so that they win. Default: none. */
  dockerArgs?: string[]
  /**
   * The variables of `process.env` that they get besides what a job sets for itself: by name, or `true` for all. Default: none.
   */
  forwardEnv?: string[] | true
  /**
   * Whether they have the folder of the job (`job.cwd`, a job's `jobDir`), under its own name: files that are written there
   * are on this machine, so that chunks are looked at and joined here. The daemon must be on this machine, too. Default
   * `true`. With `false` that folder is used where a mount in `dockerArgs` puts it into the container.
   */
  mountJobDir?: boolean
}

/** How Jobs of a Kubernetes cluster render the chunks. */
export interface KubernetesAdapterOptions {
  /** The kubeconfig file. Default: `KUBECONFIG`, `~/.kube/config`, else the service account of the pod this runs in. */
  kubeconfigPath?: string
  /** Where Jobs are created. Default `default`. */
  namespace?: string
  /** The image of the container that runs the command. */
  image: string
  /** What the names of Jobs begin with: `${jobNamePrefix}-${chunkId}-${random}`. Default `helios-worker`. */
  jobNamePrefix?: string
  /** The service account of the pods. Default: that of the namespace. */
  serviceAccountName?: string
  /** The longest pause, in milliseconds, before a watch that broke, or a request that failed, is tried again. Default `2000`. */
  pollIntervalMs?: number
  /**
   * How long, in milliseconds, a chunk may wait for a pod that has a node; then it has failed, and may be retried. Default
   * 5 minutes.
   */
  schedulingTimeoutMs?: number
  /**
   * Variables of this process that go to the pods, beside those that a job sets to something else; `true`: all. Default: none.
   */
  forwardEnv?: string[] | true
  /** The folder that the command runs in. Default: that of the image; never the folder of this process. */
  workingDir?: string
  /** What the container asks for and may use, such as `{ requests: { cpu: '4' }, limits: { memory: '8Gi' } }`. */
  resources?: {
    /** What a node must have free: by name, such as `cpu` and `memory`, in the units of Kubernetes. */
    requests?: Record<string, string>
    /** What it may use at most, likewise. */
    limits?: Record<string, string>
    [field: string]: unknown
  }
  /** Labels of the nodes that may be used. */
  nodeSelector?: Record<string, string>
  /** Taints of nodes that do not matter. */
  tolerations?: Record<string, unknown>[]
  /** Volumes of the pod. */
  volumes?: Record<string, unknown>[]
  /** Where they are in the container. */
  volumeMounts?: Record<string, unknown>[]
  /** ConfigMaps and Secrets of the cluster that the container has as variables. */
  envFrom?: Record<string, unknown>[]
  /** Secrets to pull the image with. */
  imagePullSecrets?: {
    /** The name of the Secret. */
    name: string
  }[]
  /**
   * What else the pods should be: `{ metadata, spec }`. The container that runs the command is named `worker`. The other
   * options, the command and `restartPolicy` go before it; lists are merged by `name` (mounts by `mountPath`).
   */
  podTemplate?: Record<string, unknown>
  /** When the cluster removes a finished Job that this process is not there any more to delete. Default `3600`. */
  ttlSecondsAfterFinished?: number
}
