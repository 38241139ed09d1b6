// Processes whose calls on one folder fail, or kill them, at a chosen one: see faults.c.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { need } from './abilities.mjs'
import { tempFolder } from './files.mjs'

const source = fileURLToPath(new URL('faults.c', import.meta.url))

/**
 * Gives the environment of a process with a fault in `dir`: `do` is `kill-before`, `kill-after`, `short` or the name of an
 * error, `at` the call it strikes, `times` how many from there, `of` the kinds of calls that count, `log` a file for all.
 */
export function faultsFor(context) {
  need(context, 'faults')
  const shim = join(tempFolder(), 'faults.so')
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, source, '-ldl', '-lpthread'], { stdio: 'inherit' })
  return (dir, { do: action, at, times, of, log }) => {
    const env = { LD_PRELOAD: shim, HELIOS_FAULT_DIR: dir }
    if (action) env.HELIOS_FAULT_DO = String(constants.errno[action] ?? action)
    if (at) env.HELIOS_FAULT_AT = String(at)
    if (times) env.HELIOS_FAULT_FOR = String(times)
    if (of) env.HELIOS_FAULT_OF = of.join(',')
    if (log) env.HELIOS_FAULT_LOG = log
    return env
  }
}

/** What stands in a log: calls `{ kind, inode, name, place, data }`, and notes `{ note }` of the process itself. */
export function readLog(path) {
  const lines = existsSync(path) ? readFileSync(path, 'latin1').split('\n').filter(Boolean) : []
  return lines.map((line) => {
    if (line.startsWith('note ')) return { note: line.slice('note '.length) }
    const [kind, inode, name, place, data] = line.split(' ')
    return { kind, inode: Number(inode), name, place: Number(place), data: Buffer.from(data, 'hex') }
  })
}
