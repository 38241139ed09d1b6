// The package as a whole: its names, its version, its classes.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as lib from '../index.js'
import { captureConsole } from './support/console.mjs'

const storage = [
  'uploadAssetBundle',
  'downloadAssetBundle',
  'deleteAssetBundle',
  'uploadJobSpec',
  'downloadJobSpec',
  'deleteJobSpec',
  'uploadChunkOutput',
  'downloadChunkOutput',
  'markCancelled',
  'cancelMark',
]
const classes = {
  LocalWorkerAdapter: ['execute'],
  AwsLambdaAdapter: ['execute'],
  CloudRunAdapter: ['execute'],
  FlyMachinesAdapter: ['execute'],
  HetznerCloudAdapter: ['execute'],
  CloudflareSandboxAdapter: ['execute'],
  AzureFunctionsAdapter: ['execute'],
  CloudflareWorkersAdapter: ['execute'],
  DenoDeployAdapter: ['execute'],
  VercelAdapter: ['execute'],
  ModalAdapter: ['execute'],
  DockerAdapter: ['execute'],
  KubernetesAdapter: ['execute'],
  JobExecutor: ['execute'],
  JobManager: [
    'submitJob',
    'getJob',
    'listJobs',
    'cancelJob',
    'pauseJob',
    'resumeJob',
    'deleteJob',
    'recover',
    'waitForJob',
    'close',
  ],
  FileJobRepository: ['save', 'get', 'list', 'delete'],
  InMemoryJobRepository: ['save', 'get', 'list', 'delete'],
  FfmpegStitcher: ['stitch'],
  LocalStorageAdapter: storage,
  S3StorageAdapter: storage,
  R2StorageAdapter: storage,
  GcsStorageAdapter: storage,
  RenderExecutor: ['executeChunk'],
  WorkerRuntime: ['run'],
}
const functions = ['createAwsHandler', 'createCloudRunServer', 'syncWorkspaceDependencies', 'initInfrastructure']
const r2 = { bucket: 'b', accountId: 'a', accessKeyId: 'k', secretAccessKey: 's' }
const fly = { apiToken: 't', appName: 'a', imageRef: 'i' }
const sandbox = { accountId: 'a', apiToken: 't', namespace: 'n' }
const hetzner = { apiToken: 't', serverType: 'cx22', image: 'debian-12' }
const make = {
  FlyMachinesAdapter: () => new lib.FlyMachinesAdapter(fly),
  CloudflareSandboxAdapter: () => new lib.CloudflareSandboxAdapter(sandbox),
  HetznerCloudAdapter: () => new lib.HetznerCloudAdapter(hetzner),
  AwsLambdaAdapter: () => new lib.AwsLambdaAdapter({ functionName: 'render' }),
  CloudRunAdapter: () => new lib.CloudRunAdapter({ serviceUrl: 'http://127.0.0.1:9' }),
  AzureFunctionsAdapter: () => new lib.AzureFunctionsAdapter({ serviceUrl: 'http://127.0.0.1:9' }),
  CloudflareWorkersAdapter: () => new lib.CloudflareWorkersAdapter({ serviceUrl: 'http://127.0.0.1:9' }),
  DenoDeployAdapter: () => new lib.DenoDeployAdapter({ serviceUrl: 'http://127.0.0.1:9' }),
  VercelAdapter: () => new lib.VercelAdapter({ serviceUrl: 'http://127.0.0.1:9' }),
  ModalAdapter: () => new lib.ModalAdapter({ endpointUrl: 'http://127.0.0.1:9' }),
  DockerAdapter: () => new lib.DockerAdapter({ image: 'film' }),
  KubernetesAdapter: () => new lib.KubernetesAdapter({ image: 'render' }),
  JobExecutor: () => new lib.JobExecutor(new lib.LocalWorkerAdapter()),
  JobManager: () => new lib.JobManager(new lib.InMemoryJobRepository(), make.JobExecutor()),
  FileJobRepository: () => new lib.FileJobRepository('/nowhere'),
  LocalStorageAdapter: () => new lib.LocalStorageAdapter({ storageDir: '/nowhere' }),
  S3StorageAdapter: () => new lib.S3StorageAdapter({ bucket: 'b' }),
  R2StorageAdapter: () => new lib.R2StorageAdapter(r2),
  GcsStorageAdapter: () => new lib.GcsStorageAdapter({ bucket: 'b' }),
  RenderExecutor: () => new lib.RenderExecutor('/nowhere'),
  WorkerRuntime: () => new lib.WorkerRuntime({ workspaceDir: '/nowhere' }),
}

describe('the package', () => {
  it('has the version of its package.json', () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    expect(lib.INFRASTRUCTURE_VERSION).toBe(version)
    expect(version).toMatch(/^0\.25\.\d+$/)
  })

  it('says hello', () => {
    const lines = captureConsole()
    expect(lib.initInfrastructure()).toBeUndefined()
    expect(lines).toEqual([['log', 'Infrastructure initialized']])
  })

  it.each([...Object.keys(classes), ...functions])('exports %s', (name) => {
    expect(typeof lib[name]).toBe('function')
    expect(lib[name].name).toBe(name)
  })
})

describe.each(Object.entries(classes))('%s', (name, methods) => {
  const one = () => (make[name] ?? (() => new lib[name]()))()

  it('throws a TypeError when called without new', () => {
    const call = lib[name]
    expect(() => call()).toThrow(TypeError)
  })

  it('has its methods on the prototype, where only who asks sees them', () => {
    const instance = one()
    expect(instance).toBeInstanceOf(lib[name])
    for (const method of methods) expect([method, typeof lib[name].prototype[method]]).toEqual([method, 'function'])
    const seen = []
    for (const key in instance) seen.push(key)
    expect([seen, Object.keys(instance)]).toEqual([[], []])
  })

  it('can be extended', () => {
    class Own extends lib[name] {
      own = 1
    }
    const needed = {
      FlyMachinesAdapter: [fly],
      HetznerCloudAdapter: [hetzner],
      CloudflareSandboxAdapter: [sandbox],
      AwsLambdaAdapter: [{ functionName: 'render' }],
      CloudRunAdapter: [{ serviceUrl: 'http://127.0.0.1:9' }],
      AzureFunctionsAdapter: [{ serviceUrl: 'http://127.0.0.1:9' }],
      CloudflareWorkersAdapter: [{ serviceUrl: 'http://127.0.0.1:9' }],
      DenoDeployAdapter: [{ serviceUrl: 'http://127.0.0.1:9' }],
      VercelAdapter: [{ serviceUrl: 'http://127.0.0.1:9' }],
      ModalAdapter: [{ endpointUrl: 'http://127.0.0.1:9' }],
      DockerAdapter: [{ image: 'film' }],
      KubernetesAdapter: [{ image: 'render' }],
      JobManager: [new lib.InMemoryJobRepository(), {}],
      JobExecutor: [{}],
      FileJobRepository: ['/nowhere'],
      LocalStorageAdapter: [{ storageDir: '/nowhere' }],
      S3StorageAdapter: [{ bucket: 'b' }],
      R2StorageAdapter: [r2],
      GcsStorageAdapter: [{ bucket: 'b' }],
      RenderExecutor: ['/nowhere'],
      WorkerRuntime: [{ workspaceDir: '/nowhere' }],
    }
    const instance = new Own(...(needed[name] ?? []))
    expect(instance).toBeInstanceOf(lib[name])
    expect(instance.constructor).toBe(Own)
    expect(instance.own).toBe(1)
  })

  it.each(methods)('%s refuses a foreign `this`, by a rejection or a TypeError', async (method) => {
    const call = async () => lib[name].prototype[method].call({})
    await expect(call()).rejects.toBeInstanceOf(TypeError)
  })
})
