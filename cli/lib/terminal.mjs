// What a stream can show. Colours are left out where NO_COLOR is set (https://no-color.org).

const STYLES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39], cyan: [36, 39] }

/** `isTerminal`, and `paint` with a function per style, which changes nothing where there are no colours. */
export function terminal(stream, env = process.env) {
  const isTerminal = Boolean(stream.isTTY) && env.TERM !== 'dumb'
  const colours = isTerminal && !env.NO_COLOR
  const style = ([on, off]) => (colours ? (text) => `\x1b[${on}m${text}\x1b[${off}m` : String)
  return {
    isTerminal,
    paint: Object.fromEntries(Object.entries(STYLES).map(([name, codes]) => [name, style(codes)])),
  }
}

const OF_STATE = { completed: 'green', failed: 'red', running: 'cyan', paused: 'yellow', cancelled: 'yellow' }

/** The painter for the state of a job. */
export const paintState = (paint, state) => paint[OF_STATE[state]] ?? String
