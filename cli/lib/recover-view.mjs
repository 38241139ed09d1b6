// Shows several jobs at once: one bar for all of them, and a line for each.

import { plain, plural } from './format.mjs'
import { startProgress } from './progress.mjs'
import { nameOf, shortIds } from './records.mjs'
import { paintState, terminal } from './terminal.mjs'

/** The view of jobs that go on, from their records. */
export function recoverView(records) {
  const { paint } = terminal(process.stdout)
  const short = shortIds(records.map(({ id }) => id))
  const jobs = new Map(
    records.map(({ id, completedChunks: done = 0, totalChunks: total = 0, ...record }) => {
      return [id, { id, done, total, name: plain(nameOf(record)), state: 'running' }]
    }),
  )
  const sum = (field) => [...jobs.values()].reduce((all, job) => all + job[field], 0)
  process.stdout.write(`Going on with ${plural(jobs.size, 'job')}: ${[...jobs.keys()].join(', ')}\n`)
  const progress = startProgress({
    label: 'Recovering',
    total: sum('total'),
    chunks: sum('total'),
    from: sum('done'),
    details: () =>
      [...jobs.values()].map(({ id, name, done, total, state }) => [
        [`  ${short(id)}  `, paint.dim],
        [`${done}/${total} `.padStart(10)],
        [state.padEnd(10), paintState(paint, state)],
        [name, paint.dim],
      ]),
  })
  const update = () => progress.update({ frames: sum('done'), chunks: sum('done') })
  update()
  return {
    event({ event, job, done }) {
      if (event === 'chunkDone') jobs.get(job).done = done
      update()
    },
    /** A job is over, or paused; undefined if it was deleted. */
    end(record, { id }) {
      const { state = 'deleted', error, completedChunks, totalChunks } = record ?? {}
      Object.assign(jobs.get(id), { state, ...(completedChunks !== undefined && { done: completedChunks }) })
      const reason = state === 'failed' && error ? `: ${plain(error)}` : ''
      const counts = totalChunks === undefined ? '' : `, ${completedChunks} of ${plural(totalChunks, 'chunk')}`
      progress.note(`Job ${id} ${paintState(paint, state)(state)}${counts}${reason}`)
    },
    close: () => progress.stop(),
  }
}
