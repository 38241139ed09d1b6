// The command line of the demo.

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'

const HELP = `Renders a video of 12 seconds with sound in 12 chunks and stitches them.

Usage: npm run demo -- [options]

  --out DIR          where everything goes (default: out/demo)
  --concurrency N    how many chunks at once (default: ${availableParallelism()}, what this machine can run in parallel)
  --frames           also write a picture with the first and the last frame of each chunk
  --no-compare       do not render the chunks a second time, one after the other
  --help             show this text
`

/** Reads the arguments; shows the help or says what is wrong with them and ends the process. */
export function readOptions(args = process.argv.slice(2)) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        out: { type: 'string', default: 'out/demo' },
        concurrency: { type: 'string', default: String(availableParallelism()) },
        frames: { type: 'boolean', default: false },
        'no-compare': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(HELP)
      process.exit(0)
    }
    const concurrency = Number(values.concurrency)
    if (!(Number.isInteger(concurrency) && concurrency > 0)) {
      throw new Error(`--concurrency must be a whole number from 1 on, not '${values.concurrency}'`)
    }
    return { out: values.out, concurrency, frames: values.frames, compare: !values['no-compare'] }
  } catch (error) {
    console.error(`${error.message}\n\n${HELP}`)
    process.exit(2)
  }
}
