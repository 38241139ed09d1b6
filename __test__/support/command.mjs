// Runs the command `helios-jobs` in processes of its own, and makes job files for it.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { until, within } from './wait.mjs'

export const program = fileURLToPath(new URL('../../bin/helios-jobs.mjs', import.meta.url))

/** The environment of a test, without what would change what the command does. */
const clean = () => {
  const env = { ...process.env }
  for (const name of ['HELIOS_JOBS', 'NO_COLOR', 'FORCE_COLOR']) delete env[name]
  return env
}

/** Starts the command; it is killed if it outlives the test. */
export function startCommand(args, { cwd, env, wrap = [] } = {}) {
  const [file, ...rest] = [...wrap, process.execPath, program, ...args]
  const child = spawn(file, rest, { cwd, env: { ...clean(), ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
  const out = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (data) => (out[stream] += data))
  }
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => resolve({ code, signal, ...out }))
  })
  ended.catch(() => {})
  onTestFinished(() => void (child.exitCode ?? child.signalCode ?? child.kill('SIGKILL')))
  return { child, out, ended }
}

/** Runs the command to its end: `{ code, signal, stdout, stderr }`. */
export const command = (args, options) => within(25_000, startCommand(args, options).ended, args.join(' '))

/** The lines of JSON that were printed so far. */
export const eventsIn = (text) =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))

/** Waits until such an event was printed, and gives it. */
export const seen = ({ out }, name, matches = () => true) =>
  until(() => eventsIn(out.stdout).find((one) => one.event === name && matches(one)), `the event ${name}`)

/** A terminal of 100 columns for the command; what is typed goes to standard input of the process. */
export const terminal = [
  'python3',
  '-c',
  `
import fcntl, os, pty, select, struct, sys, termios
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 100, 0, 0))
typed = [0]
while True:
    ready, _, _ = select.select([fd] + typed, [], [])
    if 0 in ready:
        keys = os.read(0, 100)
        if keys: os.write(fd, keys)
        else: typed = []
    if fd in ready:
        try: data = os.read(fd, 65536)
        except OSError: break
        if not data: break
        os.write(1, data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`,
]

/** A chunk that notes every run in `<id>.runs`, waits until there is a file `open`, and writes its file. */
export const gated = (id) =>
  `sh -c "printf x >> ${id}.runs; while [ ! -e open ]; do sleep 0.02; done; printf done > ${id}.out"`

/** How often a chunk has been begun in a folder. */
export const runsOf = (dir, id) => {
  const file = join(dir, `${id}.runs`)
  return existsSync(file) ? readFileSync(file, 'utf8').length : 0
}

/** Writes a job file into a folder, of these commands; gives its path. */
export function writeJob(dir, commands, extra) {
  const chunks = commands.map((of, id) => ({
    id,
    startFrame: id * 10,
    frameCount: 10,
    outputFile: `${id}.out`,
    command: of,
  }))
  const count = commands.length
  const metadata = { totalFrames: count * 10, fps: 10, width: 64, height: 64, duration: count }
  const file = join(dir, 'job.json')
  writeFileSync(file, JSON.stringify({ id: 'film', metadata, chunks, mergeCommand: '', ...extra }))
  return file
}

/** A command that succeeds, says `text` and writes a file. */
export const quick = (id, text = `chunk ${id}`) => `sh -c "echo ${text}; echo warned >&2; printf done > ${id}.out"`
