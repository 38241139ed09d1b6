// Measures one piece of work in this process: time, CPU, the longest stall of the event loop, peak memory.
import { readFileSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

const RESOLUTION_MS = 1
export const MB = 2 ** 20

/**
 * Runs `work` and returns its value with what it took.
 *
 * - `loopMs`: a timer fires every millisecond on the event loop; this is the longest gap between two firings, less that
 *   millisecond. One more firing is awaited before and after the work, so that a stall at either end counts too.
 * - `cpuMs`: user and system time of this process with all its threads, without its children.
 * - `peakMb`: the peak of the resident set during the work above what it was just before (Linux: VmHWM, reset before
 *   the work; elsewhere `maxRSS`, the peak of the whole process).
 */
export async function measure(work) {
  await collectGarbage()
  await sleep(20)
  resetPeak()
  const startRss = residentBytes()
  const loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  loop.enable()
  await sleep(10)
  const startCpu = process.cpuUsage()
  const start = performance.now()
  const value = await work()
  const ms = performance.now() - start
  const cpu = process.cpuUsage(startCpu)
  await sleep(5)
  loop.disable()
  return {
    value,
    ms,
    cpuMs: (cpu.user + cpu.system) / 1000,
    loopMs: Math.max(0, loop.max / 1e6 - RESOLUTION_MS),
    peakMb: (peakBytes() - startRss) / MB,
  }
}

/** Two rounds with a turn of the event loop between them: finalizers of native objects run in such a turn. */
export async function collectGarbage() {
  globalThis.gc()
  await nextTurn()
  globalThis.gc()
  await nextTurn()
}

export function residentBytes() {
  return statusNumber('VmRSS') * 1024 || process.memoryUsage.rss()
}

function peakBytes() {
  return (statusNumber('VmHWM') || process.resourceUsage().maxRSS) * 1024
}

function resetPeak() {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {
    // Not Linux, or not allowed: the peak is then that of the whole process.
  }
}

/** One number of /proc/self/status; 0 where there is no such file. */
export function statusNumber(name) {
  try {
    return Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
