// The ES module entry: hands the realm it is loaded into to the addon, and gives the addon's exports their names.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const native = require('./native.cjs')
native.enterRealm(globalThis)

export const {
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
  GcsStorageAdapter,
  HetznerCloudAdapter,
  INFRASTRUCTURE_VERSION,
  InMemoryJobRepository,
  JobExecutor,
  JobManager,
  KubernetesAdapter,
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
} = native
