// The help texts, made from the descriptions of the commands, so that they never say anything else.

import { shared } from './arguments.mjs'

const EXIT_CODES = `Exit codes: 0 done, 1 failed, 2 wrong arguments or job file, 3 no such job, 4 stopped by somebody else before
its end, 130 interrupted (129, 143: by SIGHUP, SIGTERM).`

const call = ({ name, takes = [] }) => ['helios-jobs', name, ...takes, '[options]'].join(' ')

/** The text of `helios-jobs --help`. */
export function generalHelp(commands) {
  const rows = commands.map(({ name, takes = [], summary }) => [[name, ...takes].join(' '), summary])
  return `Runs render jobs of the Helios video engine in chunks, and looks after their records.

Usage: helios-jobs <command> [options]

${columns(rows)}

${columns([
  ['--jobs DIR', shared.jobs.help],
  ['--help', 'what this command, or another one, takes'],
  ['--version', 'the version of the package'],
])}

A job may be named by the beginning of its id, as far as no other job's is the same. Any number of processes may work on
one folder: each job is run by one of them, the others look at it and stop it.
${EXIT_CODES}
`
}

/** The text of `helios-jobs <command> --help`. */
export function commandHelp(command) {
  const options = { ...command.options, jobs: shared.jobs, help: { help: 'show this text' } }
  const rows = Object.entries(options).map(([name, { value, short, help }]) => [
    `${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`,
    help,
  ])
  const details = command.details ? `\n${command.details.trim()}\n` : ''
  return `${command.summary}.\n\nUsage: ${call(command)}\n${details}\n${columns(rows)}\n`
}

function columns(rows) {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}   ${right}`).join('\n')
}
