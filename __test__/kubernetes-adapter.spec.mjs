// KubernetesAdapter against an API server of the test's own: what must hold whatever a cluster does.
import { execFile, fork } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { JobExecutor, KubernetesAdapter } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { spec } from './support/jobs.mjs'
import { kubeconfig, startApi } from './support/kubernetes.mjs'
import { gate, rejection, until, within } from './support/wait.mjs'

/** Locally an answer of the API takes a millisecond or so. */
const AT_ONCE = 100
const durationMs = expect.any(Number)
const make = (api, more) =>
  new KubernetesAdapter({ kubeconfigPath: api.kubeconfig, image: 'render:1', pollIntervalMs: 20, ...more })
const job = (more) => ({ command: 'render', args: ['7'], meta: { chunkId: 7 }, ...more })
/** A pod that runs until the test says otherwise. */
const runs = (pod) => pod.create().start()
const refusal = (api, code, reason, message, more) => (_, response) => (
  api.refuse(response, code, reason, message, more),
  true
)
/** `answer` for the first `times` requests. */
const first = (times, answer) => {
  let left = times
  return (...args) => left-- > 0 && answer(...args)
}

afterEach(() => vi.unstubAllEnvs())

describe('a new KubernetesAdapter', () => {
  it.each([
    [{}, Error, 'KubernetesAdapter requires an image option'],
    [{ image: '' }, Error, 'KubernetesAdapter requires an image option'],
    [{ image: 'i', kubeconfigPath: '/no/such/file' }, Error, "ENOENT: no such file or directory, open '/no/such/file'"],
    [undefined, TypeError, 'config must be an object'],
    [{ image: 'i', volumes: {} }, TypeError, 'volumes must be an array'],
    [{ image: 'i', resources: [] }, TypeError, 'resources must be an object'],
    [{ image: 'i', podTemplate: 'x' }, TypeError, 'podTemplate must be an object'],
    [{ image: 'i', forwardEnv: 'HOME' }, TypeError, 'forwardEnv must be an array of strings, or true'],
    [{ image: 7 }, TypeError, 'image must be a string'],
    [{ image: 'i', namespace: ['a'] }, TypeError, 'namespace must be a string'],
    [{ image: 'i', ttlSecondsAfterFinished: '60' }, TypeError, 'ttlSecondsAfterFinished must be a number'],
    [{ image: 'i', podTemplate: { toJSON: () => 5n } }, TypeError, 'podTemplate must be a value that JSON can hold'],
  ])('refuses %o', (options, type, message) => {
    let error
    try {
      new KubernetesAdapter(options)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(type)
    expect(error.message).toBe(message)
    if (message.startsWith('ENOENT')) expect(error.code).toBe('ENOENT')
  })

  it('asks nobody before the first command', async () => {
    const api = await startApi()
    make(api)
    expect(api.server.connections).toBe(0)
  })
})

describe('the Job of a chunk', () => {
  it('has the command, and only what it should of the environment', async () => {
    const api = await startApi()
    vi.stubEnv('SECRET', 'hush')
    vi.stubEnv('FONTS', '/fonts')
    const adapter = make(api, {
      forwardEnv: ['FONTS'],
      namespace: 'farm',
      jobNamePrefix: 'Film_',
      serviceAccountName: 'renderer',
      workingDir: '/job',
      resources: { limits: { cpu: 2 } },
      nodeSelector: { pool: 'render' },
      volumes: [{ name: 'job', emptyDir: {} }],
      volumeMounts: [{ name: 'job', mountPath: '/job' }],
      envFrom: [{ secretRef: { name: 'keys' } }],
      imagePullSecrets: [{ name: 'registry' }],
      podTemplate: { spec: { hostNetwork: true, containers: [{ name: 'worker', imagePullPolicy: 'Never' }] } },
      ttlSecondsAfterFinished: 60,
    })
    const env = { ...process.env, SCENE: '$(5)' }
    const result = await adapter.execute(job({ meta: { chunkId: 0 }, env, cwd: '/here', timeout: 1500 }))
    expect(result).toEqual({ exitCode: 0, stdout: 'done\n', stderr: '', durationMs })
    const [{ metadata, spec: of }] = api.manifests
    expect(metadata.name).toMatch(/^film-0-[0-9a-f]{10}$/)
    expect(metadata.labels['helios-chunk']).toBe('0')
    expect(of).toEqual({
      backoffLimit: 0,
      ttlSecondsAfterFinished: 60,
      activeDeadlineSeconds: 2,
      template: {
        metadata: { labels: metadata.labels },
        spec: {
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: 5,
          serviceAccountName: 'renderer',
          hostNetwork: true,
          nodeSelector: { pool: 'render' },
          volumes: [{ name: 'job', emptyDir: {} }],
          imagePullSecrets: [{ name: 'registry' }],
          containers: [
            {
              name: 'worker',
              image: 'render:1',
              imagePullPolicy: 'Never',
              command: ['render'],
              args: ['7'],
              env: [
                { name: 'FONTS', value: '/fonts' },
                { name: 'SCENE', value: '$$(5)' },
              ],
              envFrom: [{ secretRef: { name: 'keys' } }],
              workingDir: '/job',
              resources: { limits: { cpu: 2 } },
              volumeMounts: [{ name: 'job', mountPath: '/job' }],
              terminationMessagePolicy: 'FallbackToLogsOnError',
            },
          ],
        },
      },
    })
    expect(api.server.requests[0].url).toContain('/namespaces/farm/')
  })

  it.each([
    ['success', (pod) => pod.succeed()],
    ['a failure', (pod) => runs(pod).end(1)],
    ['a container that cannot start', (pod) => pod.create().wait('InvalidImageName', 'no')],
  ])('is deleted after %s, with what belongs to it', async (_, behave) => {
    const api = await startApi(behave)
    await make(api).execute(job())
    expect(api.deletions).toEqual([[api.manifests[0].metadata.name, 'Background']])
    expect([api.jobs.size, api.pods.size]).toEqual([0, 0])
  })

  it('is deleted although the API fails at first', async () => {
    const api = await startApi()
    api.faults.delete = first(3, refusal(api, 500, 'InternalError', 'etcd is gone'))
    await make(api).execute(job())
    expect([api.jobs.size, api.asked('delete')]).toEqual([0, 4])
  })

  it('that cannot be deleted is only warned of', async () => {
    const lines = captureConsole()
    const api = await startApi()
    api.faults.delete = refusal(api, 403, 'Forbidden', 'you may not')
    expect((await make(api).execute(job())).exitCode).toBe(0)
    const [name] = api.jobs.keys()
    await until(() => lines.length > 0, 'the warning')
    expect(printed(lines, 'warn')).toEqual([`Warning: Job ${name} could not be deleted: you may not`])
  })
})

describe('what a container writes', () => {
  it('is heard as it is written', async () => {
    const api = await startApi(runs)
    const heard = []
    const running = make(api).execute(job({ onStdout: (text) => void heard.push(text) }))
    const pod = await until(() => [...api.pods.values()][0]?.control, 'the pod')
    pod.write('frame 1\n')
    await until(() => heard.join('') === 'frame 1\n', 'the first line')
    pod.write('frame 2 ü')
    await until(() => heard.join('').endsWith('ü'), 'the second')
    pod.end(0)
    expect((await running).stdout).toBe('frame 1\nframe 2 ü')
    expect(heard.join('')).toBe('frame 1\nframe 2 ü')
  })

  it('is heard once, whole, although the connection breaks', async () => {
    const api = await startApi(runs)
    const heard = []
    const running = make(api).execute(job({ onStdout: (text) => void heard.push(text) }))
    const entry = await until(() => [...api.pods.values()][0], 'the pod')
    let all = ''
    for (const piece of ['one ', 'two ', '€€€ ', 'four']) {
      entry.control.write(piece)
      all += piece
      await until(() => heard.join('') === all, piece)
      for (const reader of entry.readers) reader.socket.resetAndDestroy()
      await until(() => entry.readers.size === 0, 'the end of the connection')
    }
    entry.control.end(0)
    expect((await running).stdout).toBe(all)
    expect(heard.join('')).toBe(all)
    expect(api.asked('log')).toBeGreaterThan(4)
  })

  it('has whole characters, although the connection breaks within one', async () => {
    const api = await startApi((pod) => pod.succeed('a€b'))
    api.faults.log = first(1, (_, response) => {
      response.writeHead(200).write(Buffer.from('a€b').subarray(0, 2), () => response.socket.resetAndDestroy())
      return true
    })
    const heard = []
    const result = await make(api).execute(job({ onStdout: (text) => void heard.push(text) }))
    expect([result.exitCode, result.stdout, heard.join('')]).toEqual([0, 'a€b', 'a€b'])
    expect(api.asked('log')).toBe(2)
  })

  it('says so when a part is lost, as the node has begun another file', async () => {
    const api = await startApi(runs)
    const heard = []
    const running = make(api).execute(job({ onStdout: (text) => void heard.push(text) }))
    const entry = await until(() => [...api.pods.values()][0], 'the pod')
    entry.control.write('a long first file')
    await until(() => heard.length > 0, 'the first file')
    entry.log = 'short'
    for (const reader of entry.readers) reader.socket.resetAndDestroy()
    entry.control.end(0)
    expect(await running).toMatchObject({
      exitCode: 0,
      stdout: 'a long first file',
      stderr: 'the log could not be read: a part is lost, as its node has begun another file',
    })
  })

  it('is asked for once, at the end, where nobody listens', async () => {
    const api = await startApi((pod) => pod.succeed('x'.repeat(300_000)))
    expect((await make(api).execute(job())).stdout).toBe('x'.repeat(300_000))
    expect(api.asked('log')).toBe(1)
    expect(api.server.requests.find(({ url }) => url.includes('/log')).url).not.toContain('follow')
  })

  it('is cut where the result may not be longer', async () => {
    const api = await startApi((pod) => pod.succeed('x'.repeat(300_000)))
    const { stdout } = await make(api).execute(job({ maxOutputBytes: 1000 }))
    expect(stdout.length).toBeLessThan(1200)
  })

  it('does not matter for the exit code when it may not be read', async () => {
    const api = await startApi()
    api.faults.log = refusal(api, 403, 'Forbidden', 'no logs for you')
    expect(await make(api).execute(job())).toMatchObject({
      exitCode: 0,
      stdout: '',
      stderr: 'the log could not be read: no logs for you',
    })
  })

  it('is read again when it does not end with its container', { timeout: 30_000 }, async () => {
    const api = await startApi((pod) => pod.succeed('whole'))
    api.faults.log = first(1, (_, response) => (response.writeHead(200).write('who'), true))
    const heard = []
    const result = await make(api).execute(job({ onStdout: (text) => void heard.push(text) }))
    expect([result.exitCode, result.stdout, result.stderr, heard.join('')]).toEqual([0, 'whole', '', 'whole'])
  })
})

describe('a failure', () => {
  it.each([
    ['an exit code', (pod) => runs(pod).write('no font').end(3, { message: 'no font' }), 3, 'no font'],
    ['too little memory', (pod) => runs(pod).end(137, { reason: 'OOMKilled' }), 137, 'OOMKilled'],
    [
      'no such command',
      (pod) => pod.create().end(127, { reason: 'ContainerCannotRun', message: 'not found' }),
      127,
      'ContainerCannotRun: not found',
    ],
    [
      'a bad name',
      (pod) => pod.create().wait('InvalidImageName', 'Up:Per'),
      1,
      'InvalidImageName: Up:Per',
      { kind: 'fatal' },
    ],
    [
      'no image',
      (pod) => pod.create().wait('ErrImagePull', 'not there'),
      1,
      'ErrImagePull: not there',
      { kind: 'transient' },
    ],
    ['no image again', (pod) => pod.create().wait('ImagePullBackOff'), 1, 'ImagePullBackOff', { kind: 'transient' }],
    [
      'no secret',
      (pod) => pod.create().wait('CreateContainerConfigError', 'secret "k"'),
      1,
      'CreateContainerConfigError: secret "k"',
      { kind: 'fatal' },
    ],
    ['its pod’s deadline', (pod) => pod.create().fail('DeadlineExceeded', 'too long'), 1, 'DeadlineExceeded: too long'],
    [
      'an eviction',
      (pod) => pod.create().start().fail('Evicted', 'low on memory'),
      1,
      'Evicted: low on memory',
      { kind: 'transient', afterMs: 1000 },
    ],
  ])('says why: %s', async (_, behave, exitCode, stderr, retry) => {
    const api = await startApi(behave)
    const heard = []
    const result = await make(api).execute(job({ onStderr: (text) => void heard.push(text) }))
    expect(result).toMatchObject({ exitCode, stderr })
    expect(result.retry).toEqual(retry)
    expect(heard.join('')).toBe(stderr)
    expect(api.jobs.size).toBe(0)
  })

  it.each(['taken away', 'replaced'])('is not the chunk’s when its pod is %s', async (how) => {
    captureConsole()
    let number = 0
    const api = await startApi(async (pod, { metadata }) => {
      if (++number > 1) return pod.succeed()
      runs(pod)
      await until(() => api.watchers.size > 0, 'the watch')
      if (how === 'taken away') return pod.leave().remove()
      api.pods.get(pod.name).object.metadata.uid = 'another'
      pod.update({})
      expect(api.jobs.has(metadata.name)).toBe(true)
    })
    const results = []
    await new JobExecutor(make(api)).execute(spec(['render 1']), {
      retryDelay: 0,
      onChunkComplete: (_, { stdout }) => void results.push(stdout),
    })
    expect([number, results, api.jobs.size]).toEqual([2, ['done\n'], 0])
  })

  it.each([
    ['while its pod runs', (pod) => runs(pod)],
    ['while its pod has no node', (pod) => pod.create()],
    ['while there is no pod', () => {}],
  ])('says that somebody else has deleted the Job, %s', async (_, behave) => {
    const api = await startApi(behave)
    const running = make(api).execute(job())
    const name = await until(() => [...api.jobs.keys()][0], 'the Job')
    await until(() => api.watchers.size > 0, 'the watch')
    api.drop(name)
    const result = await within(5000, running)
    expect(result).toMatchObject({ exitCode: 1, stderr: `Job ${name} was deleted by somebody else` })
    expect(result.retry).toBeUndefined()
  })

  it('says so although its pod takes long to go', async () => {
    const api = await startApi(runs)
    const running = make(api).execute(job())
    const [[name], entry] = await until(
      () => api.pods.size > 0 && [[...api.jobs.keys()], [...api.pods.values()][0]],
      'the pod',
    )
    await until(() => api.watchers.size > 0, 'the watch')
    api.jobs.delete(name)
    entry.control.leave()
    expect((await within(5000, running)).stderr).toBe(`Job ${name} was deleted by somebody else`)
  })

  it('comes when no node takes the pod, with the reason', async () => {
    const conditions = [
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/3 nodes: too little cpu' },
    ]
    const api = await startApi((pod) => pod.create().update({ conditions }))
    const result = await make(api, { schedulingTimeoutMs: 100 }).execute(job())
    const { name } = api.manifests[0].metadata
    expect(result).toMatchObject({
      exitCode: 1,
      stderr: `Job ${name} was not scheduled within 100ms: Unschedulable: 0/3 nodes: too little cpu`,
      retry: { kind: 'transient' },
    })
    expect(api.jobs.size).toBe(0)
  })

  it('comes when there is no pod, with what the cluster warns of', async () => {
    const api = await startApi(() => {})
    api.events = [{ metadata: {}, involvedObject: {}, reason: 'FailedCreate', message: 'exceeded quota' }]
    const result = await make(api, { schedulingTimeoutMs: 100 }).execute(job())
    expect(result.stderr).toMatch(/was not scheduled within 100ms: there is no pod: FailedCreate: exceeded quota$/)
  })
})

describe('the watch', () => {
  it('is one for 300 chunks, 64 at a time', async () => {
    captureConsole()
    const api = await startApi((pod) => void setImmediate(() => pod.create().start().end(0)))
    const done = []
    await new JobExecutor(make(api, { pollIntervalMs: 2000 })).execute(
      spec(Array.from({ length: 300 }, (_, i) => `render ${i}`)),
      {
        concurrency: 64,
        onChunkComplete: (id) => void done.push(id),
      },
    )
    expect([done.length, api.manifests.length, api.deletions.length]).toEqual([300, 300, 300])
    expect([api.asked('list'), api.asked('watch'), api.asked('job')]).toEqual([1, 1, 0])
  })

  it.each([
    ['breaks', (api) => api.breakWatches()],
    ['ends', (api) => api.endWatches()],
    [
      'is too old (410)',
      (api) => {
        api.oldest = api.version + 1
        api.endWatches()
      },
    ],
  ])('is begun again when it %s, and nothing is missed', async (_, spoil) => {
    const api = await startApi((pod) => pod.create())
    const running = make(api).execute(job())
    await until(() => api.watchers.size > 0 && api.pods.size > 0, 'the watch')
    const [{ control }] = api.pods.values()
    spoil(api)
    await until(() => api.watchers.size === 0, 'its end')
    control.start().write('late\n').end(0)
    api.oldest = 0
    expect(await within(5000, running)).toMatchObject({ exitCode: 0, stdout: 'late\n' })
  })

  it('is a poll where watching is not allowed', async () => {
    const api = await startApi(runs)
    api.faults.watch = refusal(api, 403, 'Forbidden', 'no watching')
    const running = make(api).execute(job())
    await until(() => api.asked('list') > 3, 'some lists')
    const [{ control }] = api.pods.values()
    control.end(4)
    expect((await within(5000, running)).exitCode).toBe(4)
  })

  it('goes on when what it was allowed is refused for a while', async () => {
    const api = await startApi(runs)
    const running = make(api).execute(job())
    await until(() => api.watchers.size > 0 && api.pods.size > 0, 'the watch')
    api.faults.list = first(3, refusal(api, 403, 'Forbidden', 'rights are given anew'))
    api.breakWatches()
    await until(() => api.asked('list') > 3, 'the refusals')
    const [{ control }] = api.pods.values()
    control.end(0)
    expect((await within(5000, running)).exitCode).toBe(0)
  })

  it('notices a pod that went while nobody looked', async () => {
    const api = await startApi(runs)
    const running = make(api).execute(job())
    await until(() => api.watchers.size > 0 && api.pods.size > 0, 'the watch')
    const look = gate()
    api.faults.list = () => look.promise.then(() => false)
    api.breakWatches()
    await until(() => api.asked('list') > 1, 'another list')
    const [name] = api.jobs.keys()
    api.drop(name)
    look.open()
    expect((await within(5000, running)).stderr).toBe(`Job ${name} was deleted by somebody else`)
  })

  it.each([
    [500, 'InternalError', 29],
    [429, 'TooManyRequests', 29],
  ])('survives %i for a while', async (code, reason, times) => {
    const api = await startApi()
    api.faults.list = first(times, refusal(api, code, reason, 'not now'))
    expect((await make(api).execute(job())).exitCode).toBe(0)
  })

  it.each([
    [403, 'Forbidden', 'fatal'],
    [503, 'ServiceUnavailable', 'transient'],
    [429, 'TooManyRequests', 'throttled'],
  ])('that stays broken (%i) is the end of the attempt, not of the adapter', async (code, reason, kind) => {
    const api = await startApi()
    api.faults.list = refusal(api, code, reason, 'pods: no')
    const heard = []
    const adapter = make(api, { pollIntervalMs: 5 })
    const result = await adapter.execute(job({ onStderr: (text) => void heard.push(text) }))
    expect(result).toMatchObject({ exitCode: 1, stderr: 'Job monitoring failed: pods: no', retry: { kind } })
    expect([heard, api.jobs.size]).toEqual([['Job monitoring failed: pods: no'], 0])
    api.faults.list = undefined
    expect((await adapter.execute(job())).exitCode).toBe(0)
  })
})

describe('a Job that is created', () => {
  it.each([
    [500, 'InternalError'],
    [429, 'TooManyRequests'],
    [503, 'ServiceUnavailable'],
  ])('is created although the API says %i at first', async (code, reason) => {
    const api = await startApi()
    api.faults.create = first(3, refusal(api, code, reason, 'not now'))
    expect((await make(api).execute(job())).exitCode).toBe(0)
    expect([api.asked('create'), api.jobs.size]).toEqual([4, 0])
  })

  it('is taken for its own when only the answer was lost', async () => {
    const api = await startApi()
    api.faults.create = first(1, ({ socket }, response, { body }) => {
      const made = JSON.parse(body)
      api.jobs.set(made.metadata.name, made)
      socket.resetAndDestroy()
      return true
    })
    const running = make(api).execute(job({ timeout: 3000 }))
    await until(() => api.asked('create') === 2, 'the second attempt')
    expect((await running).stderr).toBe('Worker job timed out after 3000ms')
    expect([api.jobs.size, api.deletions.length]).toEqual([0, 1])
  })

  it('is deleted when its answer was lost and the next attempt is refused', async () => {
    const api = await startApi()
    api.faults.create = ({ socket }, response, { body, number }) => {
      if (number > 1) return (api.refuse(response, 403, 'Forbidden', 'no more'), true)
      const made = JSON.parse(body)
      api.jobs.set(made.metadata.name, made)
      socket.resetAndDestroy()
      return true
    }
    expect((await make(api).execute(job())).stderr).toBe('Failed to create Job: no more')
    expect([api.jobs.size, api.asked('delete')]).toEqual([0, 1])
  })

  it.each([
    [503, '{"message":"upstream"}'],
    [502, '[]'],
    [429, '{}'],
  ])('survives a gateway in front of the API that says %i and %s', async (status, body) => {
    const api = await startApi((pod) => pod.succeed('out'))
    const gateway = () =>
      first(1, (_, response) => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(body)
        return true
      })
    Object.assign(api.faults, { create: gateway(), delete: gateway() })
    expect(await make(api, { pollIntervalMs: 2 }).execute(job())).toMatchObject({ exitCode: 0, stdout: 'out' })
    expect(api.jobs.size).toBe(0)
  })

  it.each([
    [403, 'Forbidden', 'jobs.batch is forbidden: User "x" cannot create', 'fatal', 1],
    [422, 'Invalid', 'Job.batch "x" is invalid', 'fatal', 1],
    [401, 'Unauthorized', 'Unauthorized', 'fatal', 1],
    [429, 'TooManyRequests', 'too many', 'throttled', 12],
    [500, 'InternalError', 'etcd is gone', 'transient', 12],
  ])('is a failure that says so after %i', async (code, reason, message, kind, times) => {
    const api = await startApi()
    api.faults.create = refusal(api, code, reason, message)
    const heard = []
    const result = await make(api, { pollIntervalMs: 2 }).execute(job({ onStderr: (text) => void heard.push(text) }))
    const stderr = `Failed to create Job: ${message}`
    expect(result).toEqual({ exitCode: 1, stdout: '', stderr, durationMs, retry: { kind } })
    expect([heard, api.asked('create')]).toEqual([[stderr], times])
  })

  it('waits as long as the API asks for', async () => {
    const api = await startApi()
    api.faults.create = first(1, refusal(api, 429, 'TooManyRequests', 'later', { details: { retryAfterSeconds: 1 } }))
    const started = performance.now()
    expect((await make(api).execute(job())).exitCode).toBe(0)
    expect(performance.now() - started).toBeGreaterThan(990)
  })

  it.each([
    ['what is no YAML', 'users: [{token: hush-hush', /the kubeconfig is not valid/],
    ['no context', 'apiVersion: v1\nkind: Config\n', /context/],
    ['a context of no cluster', 'current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n', /cluster/],
  ])('needs a kubeconfig, and says nothing of what is in it: %s', async (_, text, message) => {
    const file = join(tempFolder(), 'kubeconfig')
    writeFileSync(file, text)
    const result = await make({ kubeconfig: file }).execute(job())
    expect(result).toMatchObject({ exitCode: 1, retry: { kind: 'fatal' } })
    expect(result.stderr).toMatch(/^Failed to create Job: /)
    expect(result.stderr).toMatch(message)
    expect(result.stderr).not.toContain('hush')
  })

  it('does not send a token that no header can have', async () => {
    const file = kubeconfig('http://127.0.0.1:9', { token: 'hush\n' })
    const result = await make({ kubeconfig: file }).execute(job())
    expect(result.stderr).toBe('Failed to create Job: the token of the kubeconfig cannot be sent in a header')
  })

  it('says nothing of what a program prints that logs in', async () => {
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: 'sh',
      args: ['-c', 'echo token: hush-hush; exit 3'],
      interactiveMode: 'Never',
    }
    const file = kubeconfig('http://127.0.0.1:9', { exec })
    const result = await make({ kubeconfig: file }).execute(job())
    expect(result.stderr).toBe('Failed to create Job: the program that logs in failed with exit status: 3')
  })

  it('goes through the proxy of the environment, but to those who need none', async () => {
    // The environment is read when a cluster is first reached: in a process of its own.
    const api = await startApi()
    const proxy = await startApi()
    const script = `
      import { KubernetesAdapter } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      const adapter = new KubernetesAdapter({ kubeconfigPath: process.argv[1], image: 'i' })
      console.log((await adapter.execute({ command: 'render' })).exitCode)`
    const run = (env) =>
      promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, api.kubeconfig], {
        env: { PATH: process.env.PATH, HTTP_PROXY: proxy.server.url, ...env },
      })
    expect((await run({})).stdout).toBe('0\n')
    expect([api.manifests.length, proxy.manifests.length]).toEqual([0, 1])
    expect((await run({ NO_PROXY: '127.0.0.1' })).stdout).toBe('0\n')
    expect([api.manifests.length, proxy.manifests.length]).toEqual([1, 1])
  })
})

describe('an abort', () => {
  const aborted = { exitCode: 1, stdout: '', stderr: 'Job aborted', durationMs }

  it('before the start creates nothing', async () => {
    const api = await startApi()
    expect(await make(api).execute(job({ signal: AbortSignal.abort() }))).toEqual(aborted)
    expect(api.server.connections).toBe(0)
  })

  it.each([
    ['runs', runs],
    ['waits for a node', (pod) => pod.create()],
    ['has no pod', () => {}],
  ])('deletes a Job that %s, at once', async (_, behave) => {
    const api = await startApi(behave)
    const stop = new AbortController()
    const running = make(api).execute(job({ signal: stop.signal, onStdout: () => {} }))
    await until(() => api.jobs.size > 0 && api.watchers.size > 0, 'the Job')
    const started = performance.now()
    stop.abort(new Error('changed my mind'))
    expect(await running).toEqual(aborted)
    expect(performance.now() - started).toBeLessThan(AT_ONCE)
    // The answer to its creation may have been on its way.
    await until(() => api.jobs.size === 0, 'the deletion')
    await until(() => api.watchers.size === 0, 'the end of the watch')
  })

  it('while the Job is being created does not wait, and leaves none', async () => {
    const api = await startApi(runs)
    const answer = gate()
    api.faults.create = async (_, __, { go }) => (await answer.promise, go(), true)
    const stop = new AbortController()
    const running = make(api).execute(job({ signal: stop.signal }))
    await until(() => api.asked('create') > 0, 'the request')
    const started = performance.now()
    stop.abort()
    expect(await running).toEqual(aborted)
    expect(performance.now() - started).toBeLessThan(AT_ONCE)
    answer.open()
    await until(() => api.deletions.length === 1, 'the deletion')
    expect(api.jobs.size).toBe(0)
  })

  it('does not create a Job again that the API has not taken', async () => {
    const api = await startApi()
    api.faults.create = refusal(api, 503, 'ServiceUnavailable', 'not now')
    const stop = new AbortController()
    const running = make(api, { pollIntervalMs: 2000 }).execute(job({ signal: stop.signal }))
    await until(() => api.asked('create') > 1, 'two attempts')
    stop.abort()
    expect(await running).toEqual(aborted)
    await until(() => api.asked('delete') === 1, 'the deletion of what may be there')
    const asked = api.asked('create')
    await make(await startApi()).execute(job())
    expect(api.asked('create')).toBe(asked)
  })

  it('keeps the process alive until the Job is deleted', async () => {
    const api = await startApi(runs)
    const answer = gate()
    api.faults.create = async (_, __, { go }) => (await answer.promise, go(), true)
    const script = `
      import { KubernetesAdapter } from ${JSON.stringify(new URL('../index.js', import.meta.url).href)}
      const adapter = new KubernetesAdapter({ kubeconfigPath: process.argv[2], image: 'i' })
      const stop = new AbortController()
      process.once('message', () => (stop.abort(), process.disconnect()))
      console.log((await adapter.execute({ command: 'render', signal: stop.signal })).stderr)`
    const file = join(tempFolder(), 'run.mjs')
    writeFileSync(file, script)
    const child = fork(file, [api.kubeconfig], { silent: true })
    child.stdout.setEncoding('utf8')
    let said = ''
    child.stdout.on('data', (text) => (said += text))
    const ended = new Promise((resolve) => child.once('close', resolve))
    try {
      await until(() => api.asked('create') > 0, 'the request')
      child.send('abort')
      await until(() => said === 'Job aborted\n', 'the result')
      expect([child.exitCode, api.deletions.length]).toEqual([null, 0])
      answer.open()
      expect(await within(5000, ended)).toBe(0)
      expect([api.deletions.length, api.jobs.size]).toEqual([1, 0])
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('of a job ends all its chunks', async () => {
    captureConsole()
    const api = await startApi(runs)
    const stop = new AbortController()
    const commands = Array.from({ length: 6 }, (_, i) => `render ${i}`)
    const running = rejection(() =>
      new JobExecutor(make(api)).execute(spec(commands), { concurrency: 4, signal: stop.signal }),
    )
    await until(() => api.jobs.size === 4, 'four Jobs')
    stop.abort()
    expect((await running).name).toBe('AbortError')
    await until(() => api.jobs.size === 0, 'the deletions')
    expect(api.manifests.length).toBe(4)
  })
})

describe('a timeout', () => {
  it('deletes the Job and says so, with what was written', async () => {
    const api = await startApi((pod) => runs(pod).write('frame 1\n'))
    const result = await make(api).execute(job({ timeout: 2000, onStdout: () => {} }))
    expect(result).toEqual({
      exitCode: 1,
      stdout: 'frame 1\n',
      stderr: 'Worker job timed out after 2000ms',
      durationMs,
      timedOut: true,
    })
    expect([api.jobs.size, api.manifests[0].spec.activeDeadlineSeconds]).toEqual([0, 2])
  })

  it('also ends waiting for the API', async () => {
    const api = await startApi()
    api.faults.create = () => true
    const result = await make(api).execute(job({ timeout: 100 }))
    expect(result).toMatchObject({ exitCode: 1, stderr: 'Worker job timed out after 100ms', timedOut: true })
    api.server.close()
  })

  it('longer than Kubernetes counts is as long as it counts', async () => {
    const api = await startApi()
    const adapter = make(api, { ttlSecondsAfterFinished: 2 ** 40 })
    expect((await adapter.execute(job({ timeout: Number.MAX_SAFE_INTEGER }))).exitCode).toBe(0)
    const { activeDeadlineSeconds, ttlSecondsAfterFinished } = api.manifests[0].spec
    expect([activeDeadlineSeconds, ttlSecondsAfterFinished]).toEqual([2 ** 31 - 1, 2 ** 31 - 1])
  })

  it.each(['Failed', 'FailureTarget'])('comes from the cluster where it has ended the Job (%s)', async (type) => {
    const api = await startApi((pod, { metadata }) => {
      runs(pod)
      api.jobs.get(metadata.name).status = {
        conditions: [{ type, status: 'True', reason: 'DeadlineExceeded', message: 'Job was active too long' }],
      }
      pod.leave().remove()
    })
    expect(await make(api).execute(job())).toMatchObject({
      exitCode: 1,
      stderr: 'DeadlineExceeded: Job was active too long',
      timedOut: true,
    })
  })
})
