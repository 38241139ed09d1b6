// What this machine can do; a test that needs more is skipped and says why.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { freemem } from 'node:os'
import { moduleOf } from './scripts.mjs'

export const runs = (program, args, options) => spawnSync(program, args, { stdio: 'ignore', ...options }).status === 0

const once = (check) => {
  let known
  return () => (known ??= { reason: check() }).reason
}

/** Each gives undefined where the machine is able, else the reason why it is not. */
export const abilities = {
  proc: once(() => (existsSync('/proc/self/stat') ? undefined : 'there is no /proc here')),
  mount: once(() =>
    runs('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs -o size=1m tmpfs /tmp'])
      ? undefined
      : '`unshare -rm` may not mount a tmpfs here',
  ),
  otherUser: once(() => {
    const options = unprivileged()
    return runs(process.execPath, ['--input-type=module', '-e', moduleOf('lib.INFRASTRUCTURE_VERSION')], options)
      ? undefined
      : 'the package cannot be loaded by an unprivileged user here'
  }),
  terminal: once(() =>
    runs('python3', ['-c', 'import pty']) ? undefined : 'there is no python3, which makes terminals',
  ),
  faults: once(() => {
    if (process.platform !== 'linux') return 'faults are brought in through LD_PRELOAD, on Linux'
    return runs('cc', ['--version']) ? undefined : 'there is no C compiler `cc`'
  }),
  clock: once(() => (runs('faketime', ['--version']) ? undefined : 'there is no faketime, which sets clocks')),
  memory: () => (freemem() > 3e9 ? undefined : 'less than 3 GB of memory are free'),
  browser: once(() => (runs('chromium', ['--version']) ? undefined : 'there is no `chromium` on the PATH')),
  ffmpeg: once(() => (ffmpegPath() ? undefined : 'no ffmpeg on PATH and @ffmpeg-installer/ffmpeg is not installed')),
}

/** Skips the running test unless the machine has the ability. */
export function need(context, ability) {
  const reason = abilities[ability]()
  if (reason === undefined) return
  process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`)
  context.skip(reason)
}

/** Spawn options of a user whom permissions bind: nobody if we are root, else ourselves. */
export const unprivileged = () => (process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {})

let ffmpeg
/** An ffmpeg to test with: the one on PATH, else that of the npm package; undefined if there is none. */
export function ffmpegPath() {
  if (ffmpeg === undefined) {
    ffmpeg = null
    if (runs('ffmpeg', ['-version'])) ffmpeg = 'ffmpeg'
    else {
      try {
        ffmpeg = createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg').path
      } catch {
        // Not installed.
      }
    }
  }
  return ffmpeg ?? undefined
}
