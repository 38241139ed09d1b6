// A progress bar on a terminal, plain lines anywhere else.

const REDRAW_MS = 100
const BAR_WIDTH = 40

/**
 * Shows the progress of `total` frames in `chunks` chunks under the name `label`, until `stop()` is called.
 * Colours are left out where NO_COLOR is set (https://no-color.org).
 */
export function startProgress({ label, total, chunks, stream = process.stdout, env = process.env }) {
  const started = performance.now()
  const state = { frames: 0, chunks: 0 }
  const terminal = Boolean(stream.isTTY) && env.TERM !== 'dumb'

  const describe = () => {
    const fraction = Math.min(1, state.frames / total)
    const elapsed = performance.now() - started
    // What remains takes as long as what is done did; before anything is done nobody knows.
    const remaining = fraction > 0 ? (elapsed / fraction) * (1 - fraction) : undefined
    return {
      fraction,
      percent: `${Math.floor(fraction * 100)}%`.padStart(4),
      elapsed: clock(elapsed),
      remaining: clock(remaining),
    }
  }

  const draw = () => {
    const { fraction, percent, elapsed, remaining } = describe()
    const parts = [label, percent, ` ${state.chunks}/${chunks} chunks`, ` ${elapsed}`, ` ETA ${remaining}`]
    // One column stays free: a terminal wraps the line when the last one is written to.
    const space = (stream.columns || 80) - 1
    const width = Math.min(BAR_WIDTH, space - parts.join(' ').length - 1)
    if (width >= 5) parts.splice(1, 0, bar(fraction, width, !env.NO_COLOR))
    else while (parts.length > 1 && parts.join(' ').length > space) parts.pop()
    stream.write(`\r${parts.join(' ')}\x1b[K`)
  }

  const timer = terminal ? setInterval(draw, REDRAW_MS) : undefined
  if (terminal) draw()

  return {
    update({ frames, chunks: done }) {
      const another = done > state.chunks
      // Rendering again what failed would take the count back.
      state.frames = Math.max(state.frames, frames)
      state.chunks = done
      if (terminal || !another) return
      const { percent, elapsed, remaining } = describe()
      stream.write(`${label}: ${done}/${chunks} chunks, ${percent.trim()}, ${elapsed} elapsed, ETA ${remaining}\n`)
    },
    /** Takes the bar away and leaves an empty line for whatever is written next. */
    stop() {
      clearInterval(timer)
      if (terminal) stream.write('\r\x1b[K')
    },
  }
}

function bar(fraction, width, colours) {
  const filled = Math.round(fraction * width)
  const [full, rest] = ['█'.repeat(filled), '░'.repeat(width - filled)]
  return colours ? `\x1b[36m${full}\x1b[2m${rest}\x1b[0m` : full + rest
}

/** `1:05` for 65,000 ms. */
function clock(ms) {
  if (ms === undefined) return '-:--'
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
