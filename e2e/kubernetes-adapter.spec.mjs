// KubernetesAdapter with a real cluster.
import { randomUUID } from 'node:crypto'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { FileJobRepository, JobExecutor, JobManager, KubernetesAdapter, LocalWorkerAdapter } from '../index.js'
import { captureConsole } from '../__test__/support/console.mjs'
import { makeFolder, removeFolder, tempFolder } from '../__test__/support/files.mjs'
import { spec } from '../__test__/support/jobs.mjs'
import { kubeconfig } from '../__test__/support/kubernetes.mjs'
import { rejection, until, within } from '../__test__/support/wait.mjs'
import { CHUNKS, FRAMES, film, frameHashes, prepare, submission, tools } from './scene.mjs'
import { missing, startKubernetes } from './services/kubernetes.mjs'

const reason = missing()
if (reason) console.log(`The tests with a Kubernetes cluster are skipped: ${reason}.`)
const durationMs = expect.any(Number)
const jobs = '/apis/batch/v1/namespaces/default/jobs'
const pods = '/api/v1/namespaces/default/pods'

describe.skipIf(reason)('a cluster', () => {
  let cluster
  beforeAll(async () => void (cluster = await startKubernetes()), 300_000)
  afterAll(() => cluster?.stop(), 120_000)
  const adapters = (more) => {
    const { kubeconfig, options } = cluster
    const template = { ...options.podTemplate?.spec, terminationGracePeriodSeconds: 1 }
    return new KubernetesAdapter({ kubeconfigPath: kubeconfig, ...options, podTemplate: { spec: template }, ...more })
  }
  const sh = (script, more) => ({ command: 'sh', args: ['-c', script], meta: { chunkId: 3 }, ...more })
  /** What is there, and is not going away. */
  const items = async (path) =>
    (await cluster.ask('GET', path)).body.items.filter(({ metadata }) => !metadata.deletionTimestamp)
  const names = async (path) => (await items(path)).map(({ metadata }) => metadata.name)
  const runningPod = async () => (await items(pods)).find(({ status }) => status.phase === 'Running')?.metadata.name
  // No test leaves anything behind but what the cluster itself is ending.
  afterEach(async () => {
    vi.unstubAllEnvs()
    if (!cluster?.isOwn) return
    expect(await names(jobs)).toEqual([])
    await until(async () => (await names(pods)).length === 0, 'the end of all pods', 30_000)
  }, 60_000)

  it('runs a command', { timeout: 60_000 }, async () => {
    const result = await adapters().execute(
      sh('echo "$SCENE" \'$(SCENE)\' "$$" >&2; echo out', { env: { SCENE: '$(HOME) 1' } }),
    )
    // Both streams are one log of the pod, in whatever order its node reads them.
    const lines = result.stdout.split('\n').toSorted()
    expect(lines).toEqual(['', '$(HOME) 1 $(SCENE) 1', 'out'])
    expect(result).toMatchObject({ exitCode: 0, stderr: '', durationMs })
  })

  it.each([
    ['exit 7', 7, ''],
    ['echo no font; exit 3', 3, 'no font'],
    ['sh -c "kill -9 \\$\\$"; exit $?', 137, undefined],
  ])('gives the exit code and the end of the log: %s', { timeout: 60_000 }, async (script, exitCode, stderr) => {
    const result = await adapters().execute(sh(script))
    expect(result.exitCode).toBe(exitCode)
    if (stderr !== undefined) expect(result.stderr).toBe(stderr)
  })

  it('says that there is no such command', { timeout: 60_000 }, async () => {
    const result = await adapters().execute({ command: 'no-such-command', meta: { chunkId: 0 } })
    expect(result.exitCode).toBeGreaterThan(0)
    expect(result.stderr).toMatch(/no-such-command/)
  })

  it('lets the log be heard while it is written', { timeout: 60_000 }, async () => {
    const [heard, stop] = [[], new AbortController()]
    const running = adapters().execute(
      sh('for i in 1 2 3; do echo line $i; done; sleep 600', {
        signal: stop.signal,
        onStdout: (text) => void heard.push(text),
      }),
    )
    await until(() => heard.join('') === 'line 1\nline 2\nline 3\n', 'three lines', 30_000)
    stop.abort()
    expect(await running).toMatchObject({ exitCode: 1, stderr: 'Job aborted' })
  })

  it('gives a long log whole', { timeout: 60_000 }, async () => {
    const heard = []
    const script = 'i=0; while [ $i -lt 20000 ]; do echo "frame $i of many, many more"; i=$((i+1)); done'
    const { stdout } = await adapters().execute(sh(script, { onStdout: (text) => void heard.push(text) }))
    const expected = Array.from({ length: 20_000 }, (_, i) => `frame ${i} of many, many more\n`).join('')
    expect(stdout === expected).toBe(true)
    expect(heard.join('') === expected).toBe(true)
  })

  it('ends a Job at its timeout, and a pod at its deadline', { timeout: 60_000 }, async () => {
    const late = await adapters().execute(sh('sleep 600', { timeout: 3000 }))
    expect(late).toMatchObject({ exitCode: 1, stderr: 'Worker job timed out after 3000ms', timedOut: true })
    const podTemplate = { spec: { ...cluster.options.podTemplate?.spec, activeDeadlineSeconds: 3 } }
    const dead = await adapters({ podTemplate }).execute(sh('sleep 600'))
    expect(dead.exitCode).not.toBe(0)
    expect(dead.stderr).toMatch(/DeadlineExceeded/)
  })

  it.each([
    ['no-registry.invalid/no-image:1', /^(ErrImagePull|ImagePullBackOff)/, 'transient'],
    ['Not An Image', /^InvalidImageName/, 'fatal'],
  ])('fails early without an image: %s', { timeout: 60_000 }, async (image, message, kind) => {
    const result = await adapters({ image }).execute(sh('true'))
    expect(result).toMatchObject({ exitCode: 1, retry: { kind } })
    expect(result.stderr).toMatch(message)
  })

  it('fails early without what the container needs', { timeout: 60_000 }, async () => {
    const result = await adapters({ envFrom: [{ secretRef: { name: 'no-such-secret' } }] }).execute(sh('true'))
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
    expect(result.stderr).toMatch(/^CreateContainerConfigError: .*no-such-secret/)
  })

  it('says why no node takes a pod', { timeout: 60_000 }, async () => {
    const adapter = adapters({ nodeSelector: { pool: 'none' }, schedulingTimeoutMs: 3000 })
    const result = await adapter.execute(sh('true'))
    expect(result.stderr).toMatch(/was not scheduled within 3000ms: Unschedulable: 0\/1 nodes are available/)
    expect(result.retry).toEqual({ kind: 'transient' })
  })

  describe.runIf(!reason && !process.env.KUBECONFIG)('of our own', () => {
    it('ends everything on an abort', { timeout: 60_000 }, async () => {
      const stop = new AbortController()
      const running = adapters().execute(sh('sleep 600', { signal: stop.signal }))
      await until(async () => (await names(pods)).length === 1, 'the pod', 30_000)
      const started = performance.now()
      stop.abort()
      expect(await running).toEqual({ exitCode: 1, stdout: '', stderr: 'Job aborted', durationMs })
      expect(performance.now() - started).toBeLessThan(1000)
    })

    it('says that a Job was deleted by somebody else', { timeout: 60_000 }, async () => {
      const running = adapters().execute(sh('sleep 600'))
      await until(runningPod, 'the pod to run', 30_000)
      const [name] = await names(jobs)
      await cluster.ask('DELETE', `${jobs}/${name}?propagationPolicy=Background`)
      expect((await within(10_000, running)).stderr).toBe(`Job ${name} was deleted by somebody else`)
    })

    it('renders a chunk again whose pod is taken away', { timeout: 90_000 }, async () => {
      captureConsole()
      const results = []
      const command = `sh -c "[ -e /tmp/x ] || sleep 5; echo whole"`
      const running = new JobExecutor(adapters()).execute(spec([command]), {
        onChunkComplete: (_, { stdout }) => void results.push(stdout),
      })
      const name = await until(runningPod, 'the pod to run', 30_000)
      await cluster.ask('DELETE', `${pods}/${name}?gracePeriodSeconds=0`)
      await running
      expect(results).toEqual(['whole\n'])
    })

    it('may go away and come back', { timeout: 120_000 }, async () => {
      const heard = []
      const running = adapters().execute(
        sh('echo before; sleep 15; echo after; exit 5', { onStdout: (text) => void heard.push(text) }),
      )
      await until(() => heard.join('') === 'before\n', 'the pod to run', 30_000)
      await cluster.restartApi()
      expect(await running).toMatchObject({ exitCode: 5, stdout: 'before\nafter\n' })
      expect(heard.join('')).toBe('before\nafter\n')
    })

    it('tells somebody who may do nothing so, and needs no more than it says', { timeout: 60_000 }, async () => {
      const adapter = () => adapters({ kubeconfigPath: cluster.stranger })
      const refused = await adapter().execute(sh('true'))
      expect(refused).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
      expect(refused.stderr).toMatch(/^Failed to create Job: .*forbidden.*"stranger" cannot create/)
      const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default'
      const metadata = { name: 'renderer' }
      const rules = [
        { apiGroups: ['batch'], resources: ['jobs'], verbs: ['create', 'get', 'delete'] },
        { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
        { apiGroups: [''], resources: ['pods/log'], verbs: ['get'] },
      ]
      await cluster.ask('POST', `${rbac}/roles`, { metadata, rules })
      await cluster.ask('POST', `${rbac}/rolebindings`, {
        metadata,
        subjects: [{ kind: 'User', name: 'stranger', apiGroup: 'rbac.authorization.k8s.io' }],
        roleRef: { kind: 'Role', name: 'renderer', apiGroup: 'rbac.authorization.k8s.io' },
      })
      const allowed = await until(async () => {
        const result = await adapter().execute(sh('echo allowed'))
        return result.exitCode === 0 && result
      }, 'the rules to count')
      expect(allowed).toMatchObject({ stdout: 'allowed\n', stderr: '' })
    })

    it('does not know a wrong token', { timeout: 60_000 }, async () => {
      const { port } = new URL(cluster.url)
      const file = kubeconfig(`https://127.0.0.1:${port}`, { token: 'wrong' }, { 'insecure-skip-tls-verify': true })
      const result = await adapters({ kubeconfigPath: file }).execute(sh('true'))
      expect(result).toMatchObject({
        exitCode: 1,
        stderr: 'Failed to create Job: Unauthorized',
        retry: { kind: 'fatal' },
      })
    })

    it('is not trusted without its certificate', { timeout: 60_000 }, async () => {
      const file = kubeconfig(cluster.url, { token: 'admintoken' })
      const result = await adapters({ kubeconfigPath: file, pollIntervalMs: 10 }).execute(sh('true'))
      expect(result.stderr).toMatch(/^Failed to create Job: .*certificate/i)
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
      expect((await adapters({ kubeconfigPath: file }).execute(sh('true'))).exitCode).toBe(0)
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', undefined)
      vi.stubEnv('NODE_EXTRA_CA_CERTS', join(dirname(cluster.kubeconfig), 'ca.crt'))
      expect((await adapters({ kubeconfigPath: file }).execute(sh('true'))).exitCode).toBe(0)
    })

    it('runs 200 chunks, 32 at a time', { timeout: 600_000 }, async () => {
      captureConsole()
      const done = []
      const started = performance.now()
      await new JobExecutor(adapters()).execute(spec(Array.from({ length: 200 }, (_, i) => `echo chunk ${i}`)), {
        concurrency: 32,
        onChunkComplete: (_, { stdout }) => void done.push(stdout),
      })
      const seconds = (performance.now() - started) / 1000
      process.stdout.write(`200 Jobs, 32 at a time: ${seconds.toFixed(1)} s\n`)
      expect(new Set(done).size).toBe(200)
    })

    it('renders a video that is proven, frame for frame that of a local render', { timeout: 300_000 }, async () => {
      captureConsole()
      const render = async (adapter, jobDir) => {
        const manager = new JobManager(new FileJobRepository(tempFolder()), new JobExecutor(adapter))
        try {
          const id = await manager.submitJob(film(), { ...submission(prepare(jobDir)), concurrency: 4, retries: 1 })
          return await manager.waitForJob(id)
        } finally {
          await manager.close()
        }
      }
      const [here, there] = [makeFolder(), makeFolder()]
      try {
        const local = await render(new LocalWorkerAdapter(), here)
        expect(local.state).toBe('completed')
        // The node is this machine: folder and programs are where they are here.
        const shared = [there, '/usr', dirname(tools.ffmpeg)].filter(
          (path, i) => i < 2 || (path.startsWith('/') && !path.startsWith('/usr/')),
        )
        const volumes = shared.map((path, i) => ({ name: `v${i}`, hostPath: { path } }))
        const volumeMounts = shared.map((mountPath, i) => ({ name: `v${i}`, mountPath, readOnly: i > 0 }))
        const remote = await render(adapters({ volumes, volumeMounts, workingDir: there }), there)
        expect(remote).toMatchObject({ state: 'completed', completedChunks: CHUNKS, result: { frames: FRAMES } })
        expect(frameHashes(there)).toEqual(frameHashes(here))
      } finally {
        removeFolder(here)
        removeFolder(there)
      }
    })

    it('is left without a trace by a job that is aborted', { timeout: 90_000 }, async () => {
      captureConsole()
      const stop = new AbortController()
      const commands = Array.from({ length: 12 }, () => `sleep 600 ${randomUUID()}`)
      const running = rejection(() =>
        new JobExecutor(adapters()).execute(spec(commands), { concurrency: 8, signal: stop.signal }),
      )
      await until(async () => (await names(jobs)).length === 8, 'eight Jobs', 30_000)
      stop.abort()
      expect((await running).name).toBe('AbortError')
      await until(async () => (await names(jobs)).length === 0, 'the deletions')
    })
  })
})
