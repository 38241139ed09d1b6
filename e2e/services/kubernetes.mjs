// A real cluster for tests: that of KUBECONFIG, or one of a single node that is started from the programs in the folder
// HELIOS_KUBERNETES_BINARIES (kube-apiserver, kube-controller-manager, kube-scheduler, kubelet of 1.20), on Debian with etcd,
// dockerd, busybox and openssl, as root.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { join } from 'node:path'
import { makeFolder } from '../../__test__/support/files.mjs'
import { until } from '../../__test__/support/wait.mjs'
import { startDocker, unmountAll } from './docker.mjs'
import { freePort } from './process.mjs'

const { KUBECONFIG, HELIOS_KUBERNETES_BINARIES: BINARIES, HELIOS_KUBERNETES_IMAGE = 'busybox' } = process.env
const PROGRAMS = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet']
const NEEDED = ['etcd', 'dockerd', 'docker', 'runc', 'busybox', 'openssl', 'ip']
/** Where the node is. The API server does not take 127.0.0.1 for one. */
const NODE = '198.51.100.7'
const IMAGE = 'helios-test:1'

/** What is missing for tests with a cluster; nothing, if there can be one. */
export function missing() {
  if (KUBECONFIG) return ''
  if (!BINARIES) return 'neither KUBECONFIG nor HELIOS_KUBERNETES_BINARIES is set'
  const lost = PROGRAMS.filter((name) => !existsSync(join(BINARIES, name)))
  const unknown = NEEDED.filter(
    (name) => spawnSync('sh', ['-c', `PATH=$PATH:/usr/sbin command -v ${name}`]).status !== 0,
  )
  if (process.getuid?.() !== 0) unknown.push('root')
  return [...lost, ...unknown].length > 0 ? `there is no ${[...lost, ...unknown].join(', no ')}` : ''
}

/**
 * Gives a cluster: `kubeconfig`, `options` for adapters (an image with a shell), `ask(method, path, body)` of its API, `stop()`;
 * and, where it is one of our own, `isOwn`, `url`, `stranger` (a kubeconfig of somebody who may do nothing) and `restartApi()`.
 */
export async function startKubernetes() {
  if (KUBECONFIG) {
    const options = { image: HELIOS_KUBERNETES_IMAGE }
    return { isOwn: false, kubeconfig: KUBECONFIG, options, stop: async () => {} }
  }
  const folder = makeFolder('helios-kubernetes-')
  const ends = []
  const stop = async () => {
    for (const end of ends.splice(0).reverse()) await end()
    // kubelet mounts its own folder, and volumes into it.
    unmountAll(folder)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    return { ...(await start(folder, ends)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Arguments as one writes them. */
const words = (text) => text.trim().split(/\s+/)

async function start(folder, ends) {
  const path = (name) => join(folder, name)
  const run = (program, args, options) => execFileSync(program, args, { stdio: 'pipe', ...options })
  const server = (program, args, more) => {
    const log = openSync(path(`${program.split('/').at(-1)}.log`), 'a')
    const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, ...more }
    const child = spawn(program, args, { stdio: ['ignore', log, log], cwd: folder, env })
    const ended = new Promise((resolve) => child.once('close', resolve).once('error', resolve))
    return async (signal = 'SIGKILL') => (child.kill(signal), await ended)
  }

  const { reason, host, docker, stop: stopDocker } = await startDocker()
  if (reason) throw new Error(reason)
  ends.push(stopDocker)
  makeImage(path('image'), docker)

  // ---- who may ask ----
  const [api, etcd, peer, kubelet, health] = await Promise.all(Array.from({ length: 5 }, freePort))
  const openssl = (...args) => run('openssl', args, { cwd: folder })
  openssl('genrsa', '-out', 'sa.key', '2048')
  openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-days',
    '2',
    '-subj',
    '/CN=test-ca',
  )
  const certificate = (name, subject, extension) => {
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject)
    writeFileSync(path(`${name}.ext`), extension)
    const sign = ['x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial']
    openssl(...sign, '-days', '2', '-out', `${name}.crt`, '-extfile', `${name}.ext`)
  }
  certificate('server', '/CN=127.0.0.1', 'subjectAltName=IP:127.0.0.1,IP:10.0.0.1,DNS:localhost')
  certificate('client', '/O=system:masters/CN=apiserver-kubelet-client', 'extendedKeyUsage=clientAuth')
  const url = `https://127.0.0.1:${api}`
  writeFileSync(path('tokens.csv'), 'admintoken,admin,1,"system:masters"\nstranger,stranger,2\n')
  const kubeconfig = (user, token) => {
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: url, 'certificate-authority': path('ca.crt') } }],
      users: [{ name: 'u', user: { token } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }
    writeFileSync(path(user), JSON.stringify(config))
    return path(user)
  }
  const admin = kubeconfig('admin', 'admintoken')

  // ---- the cluster ----
  const own = (name, args) => server(join(BINARIES, name), args)
  const endpoint = `http://127.0.0.1:${etcd}`
  const peers = `http://127.0.0.1:${peer}`
  const etcdArgs = words(`--data-dir etcd --unsafe-no-fsync
    --listen-client-urls ${endpoint} --advertise-client-urls ${endpoint}
    --listen-peer-urls ${peers} --initial-advertise-peer-urls ${peers} --initial-cluster default=${peers}`)
  ends.push(server('etcd', etcdArgs))
  const apiArgs = words(`--etcd-servers=${endpoint} --bind-address=127.0.0.1 --advertise-address=10.255.0.1
    --secure-port=${api} --insecure-port=0 --service-cluster-ip-range=10.0.0.0/24 --cert-dir=certs
    --tls-cert-file=server.crt --tls-private-key-file=server.key --client-ca-file=ca.crt
    --token-auth-file=tokens.csv --authorization-mode=RBAC --service-account-key-file=sa.key
    --service-account-signing-key-file=sa.key --service-account-issuer=${url}
    --disable-admission-plugins=ServiceAccount --endpoint-reconciler-type=none
    --kubelet-client-certificate=client.crt --kubelet-client-key=client.key
    --kubelet-preferred-address-types=InternalIP --runtime-config=api/all=true --feature-gates=TTLAfterFinished=true`)
  let endApi = own('kube-apiserver', apiArgs)
  ends.push(() => endApi())
  const ask = (method, where, body) => askApi(api, method, where, body)
  const isUp = () =>
    ask('GET', '/readyz').then(
      ({ status }) => status === 200,
      () => false,
    )
  await until(isUp, 'the API server', 60_000)
  const [managerPort, schedulerPort] = [await freePort(), await freePort()]
  const common = `--kubeconfig=${admin} --leader-elect=false --port=0 --bind-address=127.0.0.1`
  const managerArgs = words(`${common} --secure-port=${managerPort} --cert-dir=manager-certs
    --controllers=*,-nodeipam,-route,-service,-cloud-node-lifecycle,-persistentvolume-binder,-attachdetach
    --feature-gates=TTLAfterFinished=true --service-account-private-key-file=sa.key --root-ca-file=ca.crt`)
  ends.push(own('kube-controller-manager', managerArgs))
  const schedulerArgs = words(`${common} --secure-port=${schedulerPort} --cert-dir=scheduler-certs`)
  ends.push(own('kube-scheduler', schedulerArgs))
  if (!String(run('ip', ['addr', 'show', 'dev', 'lo'])).includes(NODE)) {
    run('ip', ['addr', 'add', `${NODE}/32`, 'dev', 'lo'])
    ends.push(() => void run('ip', ['addr', 'del', `${NODE}/32`, 'dev', 'lo']))
  }
  const node = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: false },
      x509: { clientCAFile: path('ca.crt') },
    },
    authorization: { mode: 'AlwaysAllow' },
    address: NODE,
    port: kubelet,
    readOnlyPort: 0,
    healthzPort: health,
    healthzBindAddress: '127.0.0.1',
    cgroupDriver: 'cgroupfs',
    cgroupsPerQOS: false,
    enforceNodeAllocatable: [],
    failSwapOn: false,
    resolvConf: '/etc/resolv.conf',
    evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    makeIPTablesUtilChains: false,
    maxOpenFiles: 20_000,
    maxPods: 200,
    serializeImagePulls: false,
  }
  writeFileSync(path('kubelet.json'), JSON.stringify(node))
  const nodeArgs = words(`--config=kubelet.json --kubeconfig=${admin} --container-runtime=docker
    --docker-endpoint=${host} --pod-infra-container-image=helios-pause:1 --root-dir=${path('kubelet')}
    --cert-dir=kubelet-certs --hostname-override=node1 --node-ip=${NODE}`)
  ends.push(own('kubelet', nodeArgs))
  const isReady = async () => {
    const { body } = await ask('GET', '/api/v1/nodes/node1')
    const untainted = (body.spec?.taints ?? []).length === 0
    return untainted && body.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
  }
  await until(isReady, 'the node', 120_000)
  const pod = { hostNetwork: true, containers: [{ name: 'worker', imagePullPolicy: 'IfNotPresent' }] }
  return {
    isOwn: true,
    url,
    kubeconfig: admin,
    stranger: kubeconfig('stranger', 'stranger'),
    options: { image: IMAGE, podTemplate: { spec: pod } },
    ask,
    async restartApi() {
      await endApi()
      endApi = own('kube-apiserver', apiArgs)
      await until(isUp, 'the API server', 60_000)
    },
  }
}

/** An image with a shell, in which the programs of this machine run that are mounted into it, and one that only sleeps. */
function makeImage(root, docker) {
  for (const name of ['bin', 'etc', 'tmp', 'usr']) mkdirSync(join(root, name), { recursive: true })
  cpSync(String(execFileSync('sh', ['-c', 'command -v busybox'])).trim(), join(root, 'bin/busybox'), {
    dereference: true,
  })
  for (const name of ['sh', 'cat', 'echo', 'env', 'false', 'ls', 'mkdir', 'sleep', 'true']) {
    symlinkSync('busybox', join(root, 'bin', name))
  }
  for (const name of ['lib', 'lib64']) symlinkSync(`usr/${name}`, join(root, name))
  const archive = `${root}.tar`
  execFileSync('tar', ['cf', archive, '-C', root, '.'])
  docker('import', '-c', 'ENV PATH=/bin:/usr/bin', archive, IMAGE)
  docker('import', '-c', 'ENTRYPOINT ["/bin/busybox","sleep","2147483647"]', archive, 'helios-pause:1')
}

function askApi(port, method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = { authorization: 'Bearer admintoken', 'content-type': 'application/json' }
    const options = { host: '127.0.0.1', port, method, path, headers, rejectUnauthorized: false, agent: false }
    const request = https.request(options, async (response) => {
      let text = ''
      for await (const piece of response.setEncoding('utf8')) text += piece
      resolve({ status: response.statusCode, body: text.startsWith('{') ? JSON.parse(text) : text })
    })
    request.on('error', reject)
    request.end(body && JSON.stringify(body))
  })
}
