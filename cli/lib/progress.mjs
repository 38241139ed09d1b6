// A progress bar on a terminal, with lines below it that say what is going on; plain lines anywhere else.

import { clip, clock, width } from './format.mjs'
import { terminal } from './terminal.mjs'

const REDRAW_MS = 100
const BAR_WIDTH = 40

/**
 * Shows the progress of `total` frames in `chunks` chunks under the name `label`, until `stop()` is called. `from` frames
 * were done before. `details()` gives the lines below the bar, each a list of `[text, paint]`.
 */
export function startProgress({ label, total, chunks, from = 0, details, stream = process.stdout, env = process.env }) {
  const started = performance.now()
  const state = { label, frames: from, chunks: 0, drawn: 0 }
  const { isTerminal, paint } = terminal(stream, env)

  const describe = () => {
    const fraction = total > 0 ? Math.min(1, state.frames / total) : 0
    const elapsed = performance.now() - started
    const fresh = state.frames - from
    // What remains takes as long as what was done since the start did; before anything is done nobody knows.
    const remaining = fresh > 0 ? (elapsed / fresh) * Math.max(0, total - state.frames) : undefined
    const percent = `${Math.floor(fraction * 100)}%`.padStart(4)
    return { fraction, percent, elapsed: clock(elapsed), remaining: clock(remaining) }
  }

  const headline = (space) => {
    const { fraction, percent, elapsed, remaining } = describe()
    const parts = [state.label, percent, ` ${state.chunks}/${chunks} chunks`, ` ${elapsed}`, ` ETA ${remaining}`]
    const room = Math.min(BAR_WIDTH, space - parts.join(' ').length - 1)
    if (room >= 5) parts.splice(1, 0, bar(fraction, room, paint))
    else while (parts.length > 1 && parts.join(' ').length > space) parts.pop()
    return parts.join(' ')
  }

  const draw = () => {
    // One column stays free: a terminal wraps the line when the last one is written to.
    const space = (stream.columns || 80) - 1
    // What does not fit on the screen could not be taken away again.
    const most = Math.max(0, (stream.rows || 24) - 2)
    const below = (details?.() ?? []).slice(0, most).map((line) => fit(line, space))
    const lines = [headline(space), ...below]
    stream.write(`${upTo(state.drawn)}${lines.map((line) => `${line}\x1b[K`).join('\n')}\x1b[J`)
    state.drawn = lines.length
  }

  const erase = () => {
    if (state.drawn > 0) stream.write(`${upTo(state.drawn)}\x1b[J`)
    state.drawn = 0
  }

  const timer = isTerminal ? setInterval(draw, REDRAW_MS) : undefined
  if (isTerminal) draw()

  return {
    update({ frames = state.frames, chunks: done = state.chunks, label: name = state.label }) {
      const another = done > state.chunks
      // Rendering again what failed would take the count back.
      state.frames = Math.max(state.frames, frames)
      state.chunks = done
      state.label = name
      if (isTerminal || !another) return
      const { percent, elapsed, remaining } = describe()
      stream.write(`${name}: ${done}/${chunks} chunks, ${percent.trim()}, ${elapsed} elapsed, ETA ${remaining}\n`)
    },
    /** Prints a line that stays, above the bar. */
    note(text) {
      erase()
      stream.write(`${text}\n`)
      if (isTerminal) draw()
    },
    /** Takes the bar away and leaves an empty line for whatever is written next. */
    stop() {
      clearInterval(timer)
      erase()
    },
  }
}

/** The codes that take the cursor to the beginning of the first of the lines that end where it is. */
const upTo = (lines) => (lines > 1 ? `\r\x1b[${lines - 1}A` : '\r')

/** A line of `[text, paint]` in at most `space` columns. */
function fit(parts, space) {
  let left = space
  return parts
    .map(([text, paint = String]) => {
      const shown = clip(text, Math.max(0, left))
      left -= width(shown)
      return shown && paint(shown)
    })
    .join('')
}

/** A bar of which a fraction is filled. */
export function bar(fraction, length, paint) {
  const filled = Math.round(fraction * length)
  return paint.cyan('█'.repeat(filled)) + paint.dim('░'.repeat(length - filled))
}
