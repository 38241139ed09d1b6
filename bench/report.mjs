// Turns the figures of all rounds into medians, compares them with the targets and writes the tables.

const HEADER = [
  'workload',
  'ours (ms)',
  'counterpart (ms)',
  'ratio',
  'loop max (ms)',
  'CPU (ms)',
  'peak memory (MB)',
  'target',
  'reached',
]
const LEFT_ALIGNED = new Set(['workload', 'target', 'reached'])

/** Memory noise that is not counted as growth: 2 % and 0.2 MB of heap, 2 % and 1 MB of resident set. */
const LEVEL = { heap: { share: 0.02, mb: 0.2 }, rss: { share: 0.02, mb: 1 } }

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The median of every number, per side; undefined for a side that was not measured. */
export function medianFigures(result) {
  const of = (figures) => {
    if (!figures?.length) return undefined
    const keys = Object.keys(figures[0]).filter((key) => typeof figures[0][key] === 'number')
    return Object.fromEntries(keys.map((key) => [key, median(figures.map((one) => one[key]))]))
  }
  return { ours: of(result.ours), theirs: of(result.theirs) }
}

/** Compares one row with its target; `checks` are those the target names, `notes` what the columns do not show. */
export function assess(result, results) {
  const { row, size, error } = result
  if (error) return { result, checks: [{ text: 'failed', ok: false }], notes: [], error }
  const { ours, theirs } = medianFigures(result)
  const ratio = theirs && theirs.ms / ours.ms
  const { target } = row
  const checks = []
  const notes = []
  const check = (text, ok) => checks.push({ text, ok })
  if (target.ratio) check(`ratio ${ratio.toFixed(2)} < ${target.ratio}`, ratio >= target.ratio)
  if (target.cpuRatio) {
    const cpuRatio = theirs.cpuMs / ours.cpuMs
    notes.push(`CPU ratio ${cpuRatio.toFixed(2)}`)
    check(`CPU ratio ${cpuRatio.toFixed(2)} < ${target.cpuRatio}`, cpuRatio >= target.cpuRatio)
  }
  if (target.loopMs) check(`loop ${ours.loopMs.toFixed(1)} > ${target.loopMs}`, ours.loopMs <= target.loopMs)
  if (target.ms) check(`${ours.ms.toFixed(1)} ms > ${target.ms}`, ours.ms <= target.ms)
  if (target.peakMb) check(`${ours.peakMb.toFixed(1)} MB > ${target.peakMb}`, ours.peakMb <= target.peakMb)
  if (target.peakNotAbove) check('peak memory above', ours.peakMb <= theirs.peakMb * 1.02)
  if (target.msPerChunk) {
    const perChunk = ours.ms / size.chunks
    notes.push(`${perChunk.toFixed(2)} ms per chunk`)
    check(`more than ${target.msPerChunk} ms per chunk`, perChunk <= target.msPerChunk)
  }
  if (target.growth) assessGrowth(target.growth, ours.ms, results, { check, notes })
  if (target.complete) assessCompleteness(result.ours, { check, notes })
  if (target.levelsOff) assessMemory(result.ours, { check, notes })
  if (theirs?.lines && ours.lines !== theirs.lines) notes.push(`console lines differ: ${ours.lines} / ${theirs.lines}`)
  return { result, ours, theirs, ratio, checks, notes }
}

function assessGrowth({ row, max }, ms, results, { check, notes }) {
  const base = results.find((other) => other.row.name === row)
  if (!base?.ours.length) return
  const growth = ms / medianFigures(base).ours.ms
  notes.push(`t(4000)/t(1000) ${growth.toFixed(2)}`)
  check(`growth > ${max}`, growth <= max)
}

function assessCompleteness(rounds, { check, notes }) {
  const lost = Math.max(...rounds.map(({ facts }) => facts.lost))
  const states = new Set(rounds.map(({ facts }) => facts.state))
  const ok = lost === 0 && states.size === 1 && states.has('completed')
  notes.push(ok ? 'nothing lost' : `${lost} updates lost, ${[...states].join(', ')}`)
  check('updates lost', ok)
}

/** Every round is a curve: its last third must not lie above its middle third by more than noise. */
function assessMemory(rounds, { check, notes }) {
  for (const kind of ['heap', 'rss']) {
    const curves = rounds.map(({ facts }) => thirds(facts[kind]))
    const [middle, last] = [0, 1].map((index) => median(curves.map((curve) => curve[index])))
    notes.push(`${kind} ${middle.toFixed(1)} → ${last.toFixed(1)} MB`)
    check(`${kind} grows`, last <= middle * (1 + LEVEL[kind].share) + LEVEL[kind].mb)
  }
  const kinds = Object.keys(rounds[0].facts.left)
  const left = kinds.map((kind) => [kind, Math.max(...rounds.map(({ facts }) => facts.left[kind]))])
  const remains = left.filter(([, count]) => count > 0).map(([kind, count]) => `${count} ${kind}`)
  notes.push(remains.length ? `left: ${remains.join(', ')}` : `no ${kinds.join(', ')} left`)
  check('something is left', remains.length === 0)
}

/** The medians of the middle and of the last third of a curve. */
function thirds(samples) {
  const third = Math.floor(samples.length / 3)
  return [median(samples.slice(third, -third)), median(samples.slice(-third))]
}

const percent = ({ share, mb }) => `${share * 100} % and ${mb} MB`

function targetText({ ratio, cpuRatio, loopMs, ms, peakMb, peakNotAbove, msPerChunk, growth, complete, levelsOff }) {
  const parts = [
    ratio && `≥ ${ratio}×`,
    cpuRatio && `≥ ${cpuRatio}× per CPU second`,
    ms && `≤ ${ms} ms`,
    peakMb && `≤ ${peakMb} MB`,
    peakNotAbove && 'memory not above',
    complete && 'no update lost',
    msPerChunk && `≤ ${msPerChunk} ms per chunk`,
    growth && `t(4000)/t(1000) ≤ ${growth.max}`,
    loopMs && `loop ≤ ${loopMs} ms`,
    levelsOff && 'heap and RSS level off, nothing left',
  ]
  return parts.filter(Boolean).join(', ') || '–'
}

function cells({ result, ours, theirs, ratio, checks, notes, error }) {
  const {
    title,
    row: { target },
  } = result
  if (error) return [title, '–', '–', '–', '–', '–', '–', targetText(target), '**no**: could not be measured']
  const number = (value) => (value < 10 ? value.toFixed(1) : value.toFixed(0))
  const pair = (key) => {
    if (ours[key] === undefined || (target.levelsOff && key !== 'peakMb')) return '–'
    return theirs ? `${number(ours[key])} / ${number(theirs[key])}` : number(ours[key])
  }
  const time = target.levelsOff ? '–' : number(ours.ms)
  const missed = checks.filter(({ ok }) => !ok).map(({ text }) => text)
  const verdict = missed.length ? `**no**: ${missed.join(', ')}` : checks.length ? 'yes' : '–'
  return [
    title,
    time,
    theirs ? number(theirs.ms) : '–',
    ratio ? `${ratio.toFixed(2)}×` : '–',
    pair('loopMs'),
    pair('cpuMs'),
    pair('peakMb'),
    targetText(target),
    notes.length ? `${verdict} (${notes.join('; ')})` : verdict,
  ]
}

/** A Markdown table with columns of one width, readable on a terminal too. */
export function table(assessed) {
  return markdownTable(HEADER, assessed.map(cells))
}

function markdownTable(header, lines) {
  const widths = header.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i].length)))
  const left = header.map((title) => LEFT_ALIGNED.has(title))
  const format = (line) =>
    `| ${line.map((cell, i) => (left[i] ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`
  const rule = `| ${widths.map((width, i) => (left[i] ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [format(header), rule, ...lines.map(format)].join('\n')
}

function spreadTable(assessed) {
  const range = (rounds, key) => {
    if (!rounds.length || rounds[0][key] === undefined) return '–'
    const values = rounds.map((round) => round[key])
    return `${Math.min(...values).toFixed(1)} – ${Math.max(...values).toFixed(1)}`
  }
  const lines = assessed
    .filter(({ result, error }) => !error && !result.row.target.levelsOff)
    .map(({ result: { title, ours, theirs } }) => [
      title,
      range(ours, 'ms'),
      range(theirs, 'ms'),
      range(ours, 'loopMs'),
      range(theirs, 'loopMs'),
    ])
  const header = ['workload', 'ours (ms)', 'counterpart (ms)', 'our loop max (ms)', "counterpart's loop max (ms)"]
  return markdownTable(header, lines)
}

export function resultsMarkdown(
  assessed,
  { date, commit, machine, node, fileSystem, load, idleLoopMs, rounds, minutes },
) {
  const short = assessed.filter(({ checks }) => checks.some(({ ok }) => !ok))
  const shortfalls = short.map(({ result, checks }) => {
    const texts = checks.filter(({ ok }) => !ok).map(({ text }) => text)
    return `- ${result.title}: ${texts.join(', ')}`
  })
  return `# Benchmark results

Written by \`npm run bench\`; do not edit. Ours is this package, the counterpart is \`bench/baseline.mjs\`: the same work in
plain JavaScript on Node's own parts.

- Date: ${date}; commit: ${commit}; ${rounds} rounds in ${minutes} minutes
- Machine: ${machine}; temporary folder on ${fileSystem}; load average at the end ${load.join(', ')}
- Node: ${node}

${table(assessed)}

## Targets that are missed

${shortfalls.length ? shortfalls.join('\n') : 'None.'}

## How it was measured

- Every measurement is a fresh Node process with a short warm-up. Both sides run in turn, the first one changing from
  round to round; all figures are medians of the rounds, the ratio is that of the medians. "a / b" is ours / counterpart.
- Loop max: a timer fires every millisecond (\`perf_hooks.monitorEventLoopDelay\`); the longest gap between two firings, less
  that millisecond, the median over the rounds. A process that does nothing showed ${idleLoopMs.toFixed(1)} ms.
- CPU: user and system time of the Node process with all its threads, without the processes it started.
- Peak memory: the peak of the resident set during the work above what it was before, in MB of 2^20 bytes. For the
  import: the resident set after it, over a process that imports nothing.
- Console lines cost the same on both sides: they are counted, not printed.
- Chunks of the executor rows go to a JavaScript adapter that answers at once. Job files are those of freshly submitted
  jobs of 10 chunks and in the page cache; saves go into an empty folder.
  On a disk where much was deleted in the last six minutes both sides save several times slower.
- A JobManager row ends when the job's file says \`completed\`; the file is then read and every log entry counted.
- Memory rows: V8's young generation has a fixed small size, as V8 enlarges it in large steps. Of 30 samples after
  garbage collection the median of the last third must not lie above that of the middle third by more than
  ${percent(LEVEL.heap)} (heap with external memory) or ${percent(LEVEL.rss)} (resident set). What is left is counted
  against the state after the warm-up, up to 15 s after the work.

## Lowest and highest figures of the rounds

${spreadTable(assessed)}
`
}
