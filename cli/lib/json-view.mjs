// Shows a job as lines of JSON on standard output, for programs.

import { plain } from './format.mjs'

/** Prints events as they are; warnings go to standard error. */
export const jsonView = () => ({
  event: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
  output() {},
  stitching() {},
  stopping() {},
  warn: (text) => process.stderr.write(`helios-jobs: ${plain(text)}\n`),
  end() {},
  close() {},
})
