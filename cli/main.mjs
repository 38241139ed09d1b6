// Finds the command, reads its arguments, runs it, and makes an exit code of what comes of it.

import { readArguments } from './lib/arguments.mjs'
import { Failure, exitCodes, whoseFault } from './lib/failure.mjs'
import { commandHelp, generalHelp } from './lib/help.mjs'
import { terminal } from './lib/terminal.mjs'

/** The commands, in the order of the help; each is loaded when it is wanted. */
const COMMANDS = [
  'run',
  'list',
  'show',
  'watch',
  'logs',
  'cancel',
  'pause',
  'resume',
  'recover',
  'delete',
  'prune',
  'verify',
  'report',
]

const load = async (name) => (await import(`./${name}.mjs`)).default

/** Runs `helios-jobs` with these arguments, and ends the process. */
export async function main(args) {
  // Whoever reads the output may go away, as `head` does. A running job is told to by its own handler (lib/interrupts.mjs).
  process.stdout.on('error', (error) => {
    if (error.code !== 'EPIPE') throw error
    if (process.listenerCount('SIGPIPE') > 0) process.emit('SIGPIPE', 'SIGPIPE')
    else process.exit(exitCodes.readerGone)
  })
  let code
  try {
    code = await dispatch(args)
  } catch (error) {
    code = tell(error)
  }
  process.exitCode = code
  // What a command has given up waiting for would keep the process alive; what it has printed must be out by then.
  await Promise.all([process.stdout, process.stderr].map(flushed))
  process.exit(code)
}

async function dispatch([first, ...rest]) {
  if (first === undefined) {
    process.stderr.write(await overview())
    return exitCodes.usage
  }
  if (['--help', '-h'].includes(first) || (first === 'help' && rest.length === 0)) return print(await overview())
  if (['--version', '-V'].includes(first)) return print(`${await version()}\n`)
  const [name, args] = first === 'help' ? [rest[0], ['--help']] : [first, rest]
  if (!COMMANDS.includes(name)) {
    const kind = name.startsWith('-') ? 'option' : 'command'
    throw new Failure(`There is no ${kind} '${name}'. \`helios-jobs --help\` names them all.`, exitCodes.usage)
  }
  const command = await load(name)
  if (args.some((arg) => arg === '--help' || arg === '-h')) return print(commandHelp(command))
  return command.run(readArguments(command, args))
}

async function overview() {
  return generalHelp(await Promise.all(COMMANDS.map(load)))
}

async function version() {
  return (await import('../index.js')).INFRASTRUCTURE_VERSION
}

function print(text) {
  process.stdout.write(text)
  return exitCodes.ok
}

/** Says what went wrong, in a line if it is the user's business, with a stack if it is ours; gives the exit code. */
function tell(error) {
  const { paint } = terminal(process.stderr)
  const text = error instanceof Failure ? error.message : whoseFault(error)
  process.stderr.write(`${paint.red('helios-jobs:')} ${text}\n`)
  return error instanceof Failure ? error.exitCode : exitCodes.failed
}

const flushed = (stream) => new Promise((resolve) => (stream.writable ? stream.write('', () => resolve()) : resolve()))
