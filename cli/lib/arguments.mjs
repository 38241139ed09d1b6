// Reads the arguments of a command by its description:
//
//   options   by name: `value` (what stands for it in the help; without one it is a switch), `help`, `short`, `read`
//   takes     its other arguments: `<job>` one, `[chunk]` one or none, `<job>...` one or more

import { parseArgs } from 'node:util'
import { usage } from './failure.mjs'
import { parseDuration } from './format.mjs'

/** Options that several commands have, so that they are called and described alike. */
export const shared = {
  jobs: { value: 'DIR', help: 'the folder of the records (default: $HELIOS_JOBS, else jobs)' },
  json: { help: 'print JSON' },
  jsonLines: { help: 'print what happens as JSON, one line each' },
}

/** `{ ...values, jobs, rest }`: the options by name in camel case, and the other arguments in `rest`. */
export function readArguments(command, args) {
  const options = { jobs: shared.jobs, ...command.options }
  let parsed
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: Object.fromEntries(Object.entries(options).map(([name, option]) => [name, forNode(option)])),
    })
  } catch (error) {
    throw usage(`${error.message.split('. To specify')[0]}${see(command)}`)
  }
  const values = { jobs: process.env.HELIOS_JOBS || 'jobs' }
  for (const [name, text] of Object.entries(parsed.values)) {
    values[camelCase(name)] = options[name].read ? options[name].read(text, `--${name}`) : text
  }
  if (values.jobs === '') throw usage('--jobs must name a folder')
  return { ...values, rest: checkCount(command, parsed.positionals) }
}

const forNode = ({ value, short }) => ({ type: value ? 'string' : 'boolean', ...(short && { short }) })

const camelCase = (name) => name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase())

const see = ({ name }) => `\n\`helios-jobs ${name} --help\` says what it takes.`

function checkCount(command, given) {
  const takes = command.takes ?? []
  const required = takes.filter((what) => what.startsWith('<'))
  if (given.length < required.length) {
    throw usage(`${command.name} needs ${required[given.length].replace('...', '')}${see(command)}`)
  }
  if (given.length > takes.length && !takes.some((what) => what.endsWith('...'))) {
    throw usage(`Unexpected argument '${given[takes.length]}'${see(command)}`)
  }
  return given
}

/** Reads a whole number from `least` on. */
export const wholeNumber = (least) => (text, name) => {
  const number = /^\d+$/.test(text) ? Number(text) : NaN
  if (!(Number.isSafeInteger(number) && number >= least)) {
    throw usage(`${name} must be a whole number from ${least} on, not '${text}'`)
  }
  return number
}

/** Reads a time such as `90s`, as milliseconds. */
export function duration(text, name) {
  const ms = parseDuration(text)
  if (ms === undefined) throw usage(`${name} must be a time such as 500ms, 30s, 10m, 12h or 7d, not '${text}'`)
  return ms
}

/** Reads a comma-separated list of these words. */
export const listOf = (words) => (text, name) => {
  const chosen = text.split(',').map((word) => word.trim())
  const unknown = chosen.find((word) => !words.includes(word))
  if (unknown !== undefined) throw usage(`${name} must be one or more of ${words.join(', ')}, not '${unknown}'`)
  return chosen
}
