// Everything that must hold, step after step: format and lints, tests of the Rust core, documentation, the generated
// declarations, tests of the built addon under every runner.
//
//   npm test -- [--only STEP,...] [--bail] [--list]

import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, rustEnvironment } from './build.mjs'

const SCRIPTS = '**/*.{js,cjs,mjs,ts,cts,mts}'

// name, commands (one after the other), environment on top of ours
const STEPS = [
  ['fmt', ['cargo fmt --check']],
  ['clippy', ['cargo clippy --all-targets -- -D warnings']],
  ['clippy-core', ['cargo clippy --all-targets --no-default-features -- -D warnings']],
  ['clippy-node', ['cargo clippy --all-targets --no-default-features --features node -- -D warnings']],
  ['platforms', ['node scripts/platforms.mjs']],
  ['core', ['cargo test --no-default-features']],
  // With the Node bindings compiled in: they look their symbols up at run time, so that this links without Node.
  ['lib', ['cargo test --lib']],
  ['doc', ['cargo doc --no-deps --document-private-items'], { RUSTDOCFLAGS: '-D warnings' }],
  ['dts', ['node scripts/build.mjs quick --force', 'git diff --exit-code -- index.d.ts']],
  ['workflows', ['node scripts/workflows.mjs']],
  ['prettier', [['prettier', '--check', SCRIPTS, '!index.d.ts']]],
  ['oxlint', ['oxlint --deny-warnings --ignore-pattern index.d.ts']],
  ['types', ['tsc --noEmit -p __test__/types', 'tsc --noEmit -p examples']],
  // Pages of the API: fails when something public has no comment.
  ['docs', ['node scripts/docs.mjs']],
  // All files in forks; those about the runner's own realm once more in the other pools (vitest.config.mjs).
  ['vitest', ['vitest run --project forks']],
  ['vitest-threads', ['vitest run --project threads']],
  ['vitest-vm', ['vitest run --project vmThreads']],
  ['jest', ['jest --config __test__/jest/jest.config.cjs']],
]

const specs = (...names) => names.map((name) => `__test__/${name}.spec.mjs`)
const CRASHES = specs('crash', 'disk-faults', 'file-job-repository-disk', 'power-cut')

// What must pass on Windows. These start no program and open no file that another one has open; nearly all the others run
// commands of POSIX (`sh -c`, `true`, `echo`), send signals, or go by what its systems say and how their paths look.
const PORTABLE = specs('docs', 'helios-jobs-parts', 'in-memory-job-repository', 'package')

// Only when they are asked for by name: one takes minutes, the other is in `vitest`.
const OTHER_STEPS = [
  ['crash', [['vitest', 'run', '--project', 'forks', '--no-file-parallelism', ...CRASHES]], { HELIOS_CRASH: 'long' }],
  ['windows', [['vitest', 'run', '--project', 'forks', ...PORTABLE]]],
]

// How much of a failed step's output is repeated at the end, in characters.
const FAILURE = 8000

async function main() {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, bail: { type: 'boolean' }, list: { type: 'boolean' } },
  })
  const names = [...STEPS, ...OTHER_STEPS].map(([name]) => name)
  if (values.list) return console.log(names.join('\n'))
  const only = values.only?.split(',')
  const unknown = only?.filter((name) => !names.includes(name)) ?? []
  if (unknown.length > 0) throw new Error(`There is no step ${unknown.join(', ')}, only ${names.join(', ')}.`)

  const env = withToolsOnPath(rustEnvironment())
  const results = []
  const steps = only ? [...STEPS, ...OTHER_STEPS].filter(([step]) => only.includes(step)) : STEPS
  for (const [name, commands, extra] of steps) {
    const started = performance.now()
    let failure
    for (const command of commands) failure ??= await run(name, command, { ...env, ...extra })
    results.push({ name, failure, seconds: (performance.now() - started) / 1000 })
    if (failure !== undefined && values.bail) break
  }
  summarise(results)
  if (results.some(({ failure }) => failure !== undefined)) process.exitCode = 1
}

/** Runs a command with its output going where ours goes; gives the end of that output when it fails. */
function run(step, command, env) {
  const [program, ...args] = typeof command === 'string' ? command.split(' ') : command
  console.log(`\n=== ${step}: ${[program, ...args].join(' ')}`)
  return new Promise((resolve) => {
    let end = ''
    // What npm installs for Windows are scripts, which need a shell.
    const options = { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], shell: process.platform === 'win32' }
    const child = spawn(program, args, options)
    for (const stream of ['stdout', 'stderr']) {
      child[stream].setEncoding('utf8').on('data', (data) => {
        process[stream].write(data)
        end = (end + data).slice(-FAILURE)
      })
    }
    child.on('error', (error) => resolve(error.message))
    child.on('close', (code) => resolve(code === 0 ? undefined : end))
  })
}

function withToolsOnPath(env) {
  const name = Object.keys(env).find((key) => key.toUpperCase() === 'PATH')
  return { ...env, [name]: `${join(root, 'node_modules', '.bin')}${delimiter}${env[name]}` }
}

/** Repeats how each failed step ended, as that is far up by now, then gives a line to every step. */
function summarise(results) {
  const failed = results.filter(({ failure }) => failure !== undefined)
  for (const { name, failure } of failed) console.log(`\n=== The end of ${name}\n${failure}`)
  const width = Math.max(...results.map(({ name }) => name.length), 'step'.length)
  const row = (name, seconds, result) => console.log(`${name.padEnd(width)}  ${seconds.padStart(8)}  ${result}`)
  console.log()
  row('step', 'seconds', 'result')
  for (const { name, seconds, failure } of results) {
    row(name, seconds.toFixed(1), failure === undefined ? 'passed' : 'FAILED')
  }
  const total = results.reduce((sum, { seconds }) => sum + seconds, 0)
  const names = failed.map(({ name }) => name)
  const verdict = names.length > 0 ? `Failed: ${names.join(', ')}` : `All ${results.length} steps passed`
  console.log(`\n${verdict} (${total.toFixed(0)} s).`)
}

try {
  await main()
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
