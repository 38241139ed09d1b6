// Describes where and on what the benchmarks ran, without names of hosts, users or folders.
import { execFileSync } from 'node:child_process'
import { statfsSync } from 'node:fs'
import { arch, cpus, loadavg, platform, release, tmpdir, totalmem } from 'node:os'

const FILE_SYSTEMS = {
  0xef53: 'ext4',
  0x01021994: 'tmpfs',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x794c7630: 'overlayfs',
}

export function describeMachine({ startedAt, idleLoopMs }) {
  const processors = cpus()
  return {
    startedAt,
    idleLoopMs,
    date: startedAt.toISOString().slice(0, 10),
    machine: `${processors.length} × ${processors[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()} ${arch()}`,
    node: process.version,
    commit: commit(),
    fileSystem: fileSystem(),
    load: loadavg().map((value) => value.toFixed(1)),
  }
}

function fileSystem() {
  const { type } = statfsSync(tmpdir())
  return FILE_SYSTEMS[type] ?? `type 0x${type.toString(16)}`
}

function commit() {
  const git = (...args) =>
    execFileSync('git', args, {
      cwd: new URL('.', import.meta.url),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  try {
    const changed = git('status', '--porcelain', '--', ':/', ':!RESULTS.md').trim() !== ''
    return git('rev-parse', '--short', 'HEAD').trim() + (changed ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}
