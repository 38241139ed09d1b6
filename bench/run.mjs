// Benchmarks this package against a plain-JavaScript counterpart built on Node's own parts.
//
// node bench/run.mjs [--only name,…] [--rounds N] [--quick] [--ours path] [--list]
//   --only    only the rows with these names, or whose names begin so (`spawn`, `get-c16`)
//   --rounds  measurements per side and row (default 5)
//   --quick   2 rounds of smaller sizes, for a look
//   --ours    another module as "ours"; `--ours bench/baseline.mjs` runs the counterpart against itself, which shows
//             how fair and how noisy the measurement is
//   --list    prints the names of the rows
// A whole run with at least 5 rounds writes bench/RESULTS.md.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { writeJobFolder } from './fixtures.mjs'
import { rows } from './plan.mjs'
import { assess, medianFigures, resultsMarkdown, table } from './report.mjs'
import { describeMachine } from './machine.mjs'

const FULL_ROUNDS = 5
const LIMIT_MS = 180_000
const here = (name) => fileURLToPath(new URL(name, import.meta.url))

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    ours: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
})
const rounds = Number(options.rounds ?? (options.quick ? 2 : FULL_ROUNDS))
const modules = {
  ours: pathToFileURL(options.ours ? resolve(options.ours) : here('../index.js')).href,
  theirs: new URL('baseline.mjs', import.meta.url).href,
}

if (options.list) {
  for (const { name, title, size } of rows) console.log(`${name.padEnd(22)} ${title(size)}`)
} else {
  await main()
}

async function main() {
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number from 1')
  const chosen = choose(options.only)
  const startedAt = new Date()
  const temporary = mkdtempSync(join(tmpdir(), 'helios-bench-'))
  const remove = () => rmSync(temporary, { recursive: true, force: true })
  process.once('SIGINT', () => {
    remove()
    process.exit(130)
  })
  const results = []
  try {
    for (const row of chosen) results.push(await measureRow(row, temporary))
    const machine = describeMachine({ startedAt, idleLoopMs: await idleLoop(temporary) })
    const assessed = results.map((result) => assess(result, results))
    console.log(`\n${table(assessed)}\n`)
    for (const { row, error } of results) if (error) console.log(`${row.name}: ${error}`)
    report(assessed, machine)
  } finally {
    // Last: on some disks it takes minutes.
    remove()
  }
  if (results.some(({ error }) => error)) process.exitCode = 1
}

function report(assessed, machine) {
  const partial = options.quick || options.only || options.ours || rounds < FULL_ROUNDS
  const minutes = ((Date.now() - machine.startedAt) / 60_000).toFixed(1)
  if (partial) {
    console.log(`${minutes} minutes. Not a whole run, so bench/RESULTS.md stays as it is.`)
    return
  }
  writeFileSync(here('RESULTS.md'), resultsMarkdown(assessed, { ...machine, rounds, minutes }))
  console.log(`${minutes} minutes. Written: bench/RESULTS.md`)
}

function choose(only) {
  if (!only) return rows
  const names = only.split(',')
  const unknown = names.find((name) => !rows.some((row) => row.name.startsWith(name)))
  if (unknown !== undefined) throw new Error(`No row is called ${unknown}; --list prints the names`)
  return rows.filter((row) => names.some((name) => row.name.startsWith(name)))
}

/** All rounds of one row: both sides in turn, the first one changing from round to round. */
async function measureRow(row, temporary) {
  process.stdout.write(`${row.name} `)
  const size = options.quick ? { ...row.size, ...row.quick } : row.size
  const result = { row, size, title: row.title(size), ours: [], theirs: [] }
  try {
    for (let round = 0; round < rounds; round++) {
      const order = row.alone ? ['ours'] : round % 2 === 0 ? ['ours', 'theirs'] : ['theirs', 'ours']
      for (const side of order) {
        const measure = row.workload ? measureWorkload : measureImport
        result[side].push(await measure({ module: modules[side], row, size }, temporary))
        process.stdout.write('.')
      }
    }
    const { ours, theirs } = medianFigures(result)
    console.log(` ${Math.round(ours.ms)} ms${theirs ? ` / ${Math.round(theirs.ms)} ms` : ''}`)
  } catch (error) {
    result.error = error.message
    console.log(` failed: ${error.message}`)
  }
  return result
}

async function measureWorkload({ module, row, size }, temporary) {
  const { jobs, chunks } = size
  const scratch = mkdtempSync(join(temporary, `${row.name}-`))
  const [jobFolder, smallJobFolder] = [`jobs-${jobs}`, 'jobs-few'].map((name) => join(temporary, name))
  if (row.readsFolder && !existsSync(jobFolder)) {
    writeJobFolder(jobFolder, { jobs, chunks })
    writeJobFolder(smallJobFolder, { jobs: 50, chunks })
  }
  // Nothing is removed before the end of the run: ext4 without a journal looks for minutes at every inode that was freed
  // before it takes one, so that what was deleted here would slow down the saves that are measured next several times.
  const argument = JSON.stringify({ module, row: row.name, size, scratch, jobFolder, smallJobFolder })
  return runNode(['--expose-gc', ...(row.nodeOptions ?? []), here('worker.mjs'), argument])
}

/** Time and memory of an import as the difference of medians: processes that import, and that import nothing. */
async function measureImport({ module, size }) {
  const bare = []
  const loaded = []
  for (let i = 0; i < size.processes; i++) {
    bare.push(await runNode([here('import-probe.mjs')]))
    loaded.push(await runNode([here('import-probe.mjs'), module]))
  }
  const [without, withModule] = [bare, loaded].map((figures) => medianFigures({ ours: figures }).ours)
  return { ms: withModule.ms - without.ms, peakMb: withModule.peakMb - without.peakMb }
}

/** The event-loop maximum of a process that does nothing: what the machine itself adds to every figure. */
async function idleLoop(temporary) {
  mkdirSync(temporary, { recursive: true })
  const script = `import { measure } from ${JSON.stringify(new URL('measure.mjs', import.meta.url).href)}
    console.log(JSON.stringify(await measure(() => new Promise((done) => setTimeout(done, 1000)))))`
  const figures = []
  for (let i = 0; i < 3; i++) figures.push(await runNode(['--expose-gc', '--input-type=module', '-e', script]))
  return medianFigures({ ours: figures }).ours.loopMs
}

/** Runs a fresh Node that prints one line of JSON and has to end by itself. */
function runNode(args) {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, LIMIT_MS)
    child.stdout.on('data', (data) => (stdout += data))
    child.stderr.on('data', (data) => (stderr += data))
    child.on('error', fail)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const printed = stdout.trim() ? 'printed its figures but' : ''
      if (late) fail(new Error(`the process ${printed} did not end within ${LIMIT_MS / 1000} s`))
      else if (code !== 0) fail(new Error(`exit ${code ?? signal}: ${lastLines(stderr)}`))
      else done(JSON.parse(stdout))
    })
  })
}

function lastLines(text) {
  const error = text.split('\n').find((line) => /^\w*Error/.test(line))
  return error ?? text.trim().split('\n').slice(-3).join(' | ')
}
