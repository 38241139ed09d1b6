// How long it takes until an aborted command, and all that came of it, is certainly over.
import { readFileSync } from 'node:fs'
import { assertEqual, makeSpec } from './fixtures.mjs'

/** Aborts a chunk that is a tree of `processes`, which obey SIGTERM or ignore it for `graceMs`. */
export function killTree({ JobExecutor, LocalWorkerAdapter }, { processes, obey, graceMs }) {
  const leaf = obey ? 'sleep 60' : `sh -c "trap \\"\\" TERM; sleep 60 & wait; sleep 60"`
  // A leaf that ignores SIGTERM is two processes; the shell that starts them is one.
  const leaves = obey ? processes - 1 : Math.floor((processes - 1) / 2)
  const stubborn = obey ? '' : `trap '' TERM; `
  const script = `${stubborn}i=0; while [ $i -lt ${leaves} ]; do ${leaf} & i=$((i+1)); done; echo $$; wait; wait`
  const controller = new AbortController()
  const executor = new JobExecutor(new LocalWorkerAdapter())
  let leader
  let ended
  const heard = new Promise((resolve) => {
    const options = {
      killGraceMs: graceMs,
      signal: controller.signal,
      onChunkStdout: (_, text) => resolve((leader = Number(text))),
    }
    const spec = makeSpec(1, () => 'sh -c "eval \\"$HELIOS_BENCH_SCRIPT\\""')
    process.env.HELIOS_BENCH_SCRIPT = script
    ended = executor.execute(spec, { merge: false, ...options }).then(
      () => 'completed',
      (error) => error.name,
    )
  })
  const children = () => readFileSync(`/proc/${leader}/task/${leader}/children`, 'utf8').split(' ').length - 1
  return {
    warmUp: async () => {
      await heard
      while (children() < leaves) await new Promise((resolve) => setTimeout(resolve, 5))
      // Until the last of them has set its trap.
      await new Promise((resolve) => setTimeout(resolve, 300))
    },
    run: () => {
      controller.abort()
      return ended
    },
    check: (outcome) => assertEqual('how the job ended', outcome, 'AbortError'),
  }
}
