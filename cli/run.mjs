// run: submits the job of a file and runs it here.

import { mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, relative, resolve } from 'node:path'
import { duration, shared, wholeNumber } from './lib/arguments.mjs'
import { usage } from './lib/failure.mjs'
import { readJobFile } from './lib/job-file.mjs'
import { runJob } from './lib/runner.mjs'

/** Options about how chunks are run, which `resume` has, too. */
export const runOptions = {
  concurrency: { value: 'N', short: 'c', help: 'how many chunks at once', read: wholeNumber(1) },
  retries: { value: 'N', help: 'how often a chunk is tried again', read: wholeNumber(0) },
  'retry-delay': { value: 'TIME', help: 'the pause before that, which doubles each time', read: duration },
  timeout: { value: 'TIME', help: 'how long all of it may take; then it is cancelled', read: duration },
  'chunk-timeout': { value: 'TIME', help: 'how long an attempt at a chunk may take', read: duration },
  'stall-timeout': { value: 'TIME', help: 'how long an attempt may show no sign of life', read: duration },
  json: shared.jsonLines,
}

/** The options of a job that are given on the command line, under the names of the package. */
export function jobOptions({ concurrency, retries, retryDelay, chunkTimeout, stallTimeout }) {
  const given = { concurrency, retries, retryDelay, chunkTimeout, stallTimeout }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

const described = (name, value) => ({ ...runOptions[name], help: `${runOptions[name].help} (default: ${value})` })

export default {
  name: 'run',
  takes: ['<job.json>'],
  summary: 'Runs the job of a file on this machine, and shows how far it is',
  details: `The job file is what \`helios render --emit-job\` writes. Commands run in its folder, unless --dir names another one.
With --output the chunks are joined by ffmpeg, without encoding pictures again, and it is proven that the video is whole;
without it the merge command of the job runs, if there is one. Times are 500ms, 30s, 10m, 12h, 7d.

Ctrl-C cancels the job and waits until nothing of it runs any more; SIGTERM and SIGHUP pause it, so that \`resume\` goes on.`,
  options: {
    output: { value: 'FILE', short: 'o', help: 'the video that the chunks are joined into' },
    dir: { value: 'DIR', help: 'the folder that the commands run in (default: that of the job file)' },
    ...runOptions,
    concurrency: described('concurrency', `${availableParallelism()}, what this machine can run in parallel`),
    retries: described('retries', '2'),
    'retry-delay': described('retry-delay', '1s'),
    'keep-going': { help: 'render the other chunks, too, when one has failed for good' },
    'no-merge': { help: 'leave the chunks apart' },
  },

  async run({ jobs, rest: [file], output, dir, json, timeout, keepGoing, noMerge, ...given }) {
    if (output !== undefined && noMerge) throw usage('--output and --no-merge cannot be given together')
    if (output === '') throw usage('--output must name a file')
    const spec = await readJobFile(file)
    const jobDir = resolve(dir ?? dirname(file))
    if (dir !== undefined) mkdirSync(jobDir, { recursive: true })
    const options = {
      concurrency: availableParallelism(),
      retries: 2,
      retryBackoff: {},
      ...jobOptions(given),
      jobDir,
      ...(keepGoing && { failFast: false }),
      ...(noMerge && { merge: false }),
      // It is meant from where the command is given, not from the folder of the job.
      ...(output !== undefined && { outputFile: resolve(output) }),
    }
    if (output !== undefined) mkdirSync(dirname(resolve(output)), { recursive: true })
    return runJob({
      folder: jobs,
      spec,
      options,
      json,
      timeout,
      stitches: output !== undefined,
      begin: (manager, all) => manager.submitJob(spec, all),
      first: {
        event: 'submitted',
        at: Date.now(),
        name: spec.id,
        chunks: spec.chunks.length,
        concurrency: options.concurrency,
        jobDir,
        ...(output !== undefined && { outputFile: relative('', resolve(output)) }),
      },
    })
  },
}
