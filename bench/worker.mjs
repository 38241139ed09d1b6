// Runs one workload on one side in this fresh process and prints the figures as one line of JSON.
// node --expose-gc worker.mjs '{"module": …, "row": …, "size": …, "scratch": …, "jobFolder": …, "smallJobFolder": …}'
import { writeSync } from 'node:fs'
import { measure } from './measure.mjs'
import { rows } from './plan.mjs'

const task = JSON.parse(process.argv[2])

// Both sides print their progress: here a line costs a call and a count, the same for both.
let lines = 0
for (const name of ['log', 'info', 'warn', 'error', 'debug']) console[name] = () => void lines++

const api = await import(task.module)
const { workload } = rows.find(({ name }) => name === task.row)
const { warmUp, run, check } = await workload(api, task.size, task)
await warmUp?.()
lines = 0
const { value, ...figures } = await measure(run)
figures.lines = lines
figures.facts = (await check?.(value)) ?? {}
writeSync(1, `${JSON.stringify(figures)}\n`)
