// A real Docker daemon, with a folder, a socket and images of its own; nothing of another one is touched.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

// Where Debian puts the daemon, and what it needs, is not on every PATH.
const PATH = [process.env.PATH, '/usr/sbin', '/sbin'].join(delimiter)

/** The file of a program; undefined where there is none. */
const find = (program) =>
  PATH.split(delimiter)
    .map((folder) => resolve(folder, program))
    .find(existsSync)

/** Lets go of a priority that only the mighty may give: without CAP_SYS_RESOURCE no container would start. */
const RUNTIME = `#!/bin/sh
bundle= before=
for word; do
  [ "$before" = --bundle ] && bundle=$word
  case $word in --bundle=*) bundle=\${word#--bundle=} ;; esac
  before=$word
done
[ -n "$bundle" ] && sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$bundle/config.json"
exec runc "$@"
`

/**
 * Starts a daemon. Gives its `host` for DOCKER_HOST, `docker(...args)`, which gives what that prints, and `stop()`; or the `reason`
 * why there is none.
 */
export async function startDocker() {
  if (process.platform !== 'linux') return { reason: 'Docker daemons run on Linux' }
  if (process.getuid() !== 0) return { reason: 'a Docker daemon needs root' }
  for (const program of ['docker', 'dockerd', 'containerd', 'runc'])
    if (!find(program)) return { reason: `there is no ${program} (Debian: docker.io)` }
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'helios-docker-')))
  const at = (name) => join(folder, name)
  writeFileSync(at('runtime'), RUNTIME, { mode: 0o755 })
  const host = `unix://${at('docker.sock')}`
  const limits = Object.fromEntries(['nofile', 'nproc'].map((Name) => [Name, { Name, Hard: 1000, Soft: 1000 }]))
  const config = {
    hosts: [host],
    'data-root': at('data'),
    'exec-root': at('exec'),
    pidfile: at('docker.pid'),
    bridge: 'none',
    iptables: false,
    ip6tables: false,
    'userland-proxy': false,
    'exec-opts': ['native.cgroupdriver=cgroupfs'],
    runtimes: { own: { path: at('runtime') } },
    'default-runtime': 'own',
    'default-ulimits': limits,
  }
  writeFileSync(at('daemon.json'), JSON.stringify(config))
  const child = spawn('dockerd', ['--config-file', at('daemon.json')], {
    env: { ...process.env, PATH },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-4000)))
  let over = false
  const ended = new Promise((end) => child.once('close', end).once('error', end)).then(() => (over = true))
  const stop = async () => {
    if (!over) {
      const ids = execFileSync('docker', ['ps', '-aq'], { env, encoding: 'utf8' }).split('\n').filter(Boolean)
      if (ids.length > 0) execFileSync('docker', ['rm', '-f', ...ids], { env, stdio: 'ignore' })
      child.kill('SIGTERM')
      await Promise.race([ended, pause(20_000, undefined, { ref: false }).then(() => child.kill('SIGKILL'))])
      await ended
    }
    // Namespaces of networks that containers share with this machine.
    unmountAll(folder)
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  const env = { ...process.env, DOCKER_HOST: host }
  for (const until = Date.now() + 30_000; !answers(env); await pause(50)) {
    if (!over && Date.now() < until) continue
    child.kill('SIGKILL')
    await ended
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    return { reason: `dockerd does not start here: ${said.trim().split('\n').at(-1)}` }
  }
  const docker = (...args) => execFileSync('docker', args, { env, encoding: 'utf8' })
  return { host, docker, stop }
}

/** Unmounts all that is mounted in a folder. */
export function unmountAll(folder) {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n')
  const own = mounts.map((line) => line.split(' ')[1]).filter((path) => path?.startsWith(`${folder}/`))
  for (const path of own.reverse()) execFileSync('umount', [path])
}

const answers = (env) => spawnSync('docker', ['version'], { env, stdio: 'ignore' }).status === 0

/** Makes an image of programs of this machine, under their own names, with the libraries that they need. */
export function makeImage({ host }, name, programs) {
  const files = new Set(['/etc/ld.so.cache'].filter(existsSync))
  for (const program of programs) {
    const path = find(program)
    if (!path) throw new Error(`there is no ${program} to put into an image`)
    files.add(path)
    // What is not linked to anything makes it fail.
    const { stdout } = spawnSync('ldd', [path], { encoding: 'utf8' })
    for (const [library] of stdout.matchAll(/\/[^ )]+(?= \(0x)/g)) files.add(library)
  }
  const names = [...files].map((file) => file.slice(1))
  const tar = spawnSync('tar', ['--create', '--dereference', '--directory', '/', ...names], { maxBuffer: 2 ** 31 - 1 })
  if (tar.status !== 0) throw new Error(`no image could be made: ${tar.stderr}`)
  const env = { ...process.env, DOCKER_HOST: host }
  execFileSync('docker', ['import', '-', name], { env, input: tar.stdout, stdio: ['pipe', 'ignore', 'pipe'] })
}
