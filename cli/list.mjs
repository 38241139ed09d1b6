// list: the jobs of a folder.

import { FileJobRepository } from '../index.js'
import { listOf, shared } from './lib/arguments.mjs'
import { exitCodes } from './lib/failure.mjs'
import { age, clip, plain, span, table } from './lib/format.mjs'
import { STATES, nameOf, shareDone, shortIds, tookOf } from './lib/records.mjs'
import { paintState, terminal } from './lib/terminal.mjs'

const COLUMNS = [
  { title: 'ID' },
  { title: 'NAME' },
  { title: 'STATE' },
  { title: 'DONE', right: true },
  { title: 'CHUNKS', right: true },
  { title: 'AGE', right: true },
  { title: 'TOOK', right: true },
]

export default {
  name: 'list',
  summary: 'Lists the jobs, the oldest first',
  details: `A job is \`running\` when its record says so, also when its process has died since; \`recover\` finds out.
With --json a list of objects: id, name, state, progress, completedChunks, totalChunks, createdAt, startedAt, finishedAt,
updatedAt (milliseconds since 1970), phase and error, as far as the job has them.`,
  options: {
    state: { value: 'STATE', help: `only jobs in this state, or several: ${STATES.join(', ')}`, read: listOf(STATES) },
    json: shared.json,
  },

  async run({ jobs, state, json }) {
    const all = await new FileJobRepository(jobs).list()
    const shown = state ? all.filter((record) => state.includes(record.state)) : all
    if (json) process.stdout.write(`${JSON.stringify(shown.map(essence), null, 2)}\n`)
    else if (shown.length === 0) process.stdout.write(`No ${state ? `${state.join(' or ')} ` : ''}jobs in ${jobs}\n`)
    else process.stdout.write(tableOf(shown, shortIds(all.map(({ id }) => String(id)))))
    return exitCodes.ok
  },
}

function tableOf(records, short) {
  const { paint } = terminal(process.stdout)
  const now = Date.now()
  const rows = records.map((record) => {
    const { id, state = 'unknown', completedChunks = 0, totalChunks = 0, createdAt } = record
    return [
      plain(short(String(id))),
      clip(plain(nameOf(record)), 30),
      [plain(state), paintState(paint, state)],
      `${Math.floor(shareDone(record) * 100)}%`,
      `${completedChunks}/${totalChunks}`,
      Number.isFinite(createdAt) ? age(now - createdAt) : '-',
      span(tookOf(record, now)),
    ]
  })
  return table(COLUMNS, rows, paint)
}

function essence(record) {
  const { id, state, progress, completedChunks, totalChunks, createdAt, startedAt, finishedAt, updatedAt } = record
  const times = { createdAt, startedAt, finishedAt, updatedAt }
  const { phase, error } = record
  return { id, name: record.spec?.id, state, progress, completedChunks, totalChunks, ...times, phase, error }
}
