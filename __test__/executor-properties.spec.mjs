// JobExecutor under random jobs: at concurrency 1 every call, callback, line and error is that of the model; at 8 the
// invariants hold.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JobExecutor } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { traces } from './support/executor-model.mjs'
import { exit } from './support/jobs.mjs'

const SEED = 4_711
const RUNS = 1_000

const thrown = fc.constantFrom(new Error('boom'), new TypeError('typed'), 'text', 42, null, undefined, false)
const how = fc.constantFrom('value', 'promise', 'turn', 'timer')
const good = how.map((how) => ({ kind: 'exit', code: 0, text: '', how }))
const bad = fc.oneof(
  fc.record({ kind: fc.constant('exit'), code: fc.constantFrom(1, 137, -1), text: fc.constantFrom('', 'bad'), how }),
  fc.record({ kind: fc.constant('fail'), value: thrown, how }),
)
const attempts = fc.oneof(
  { weight: 6, arbitrary: good.map((one) => [one]) },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.array(bad, { minLength: 1, maxLength: 3 }), good).map(([fails, one]) => [...fails, one]),
  },
  { weight: 1, arbitrary: bad.map((one) => [one]) },
)
const merge = fc.oneof(
  fc.constantFrom({ kind: 'off' }, { kind: 'none' }, { kind: 'stitcher' }),
  fc.record({ kind: fc.constantFrom('command', 'fallback'), code: fc.constantFrom(0, 0, 9) }),
  fc.record({ kind: fc.constantFrom('command', 'stitcher'), throws: thrown, code: fc.constant(0) }),
)

const scenario = fc
  .record({
    ids: fc.uniqueArray(fc.nat(99), { maxLength: 12 }),
    plans: fc.array(attempts, { minLength: 12, maxLength: 12 }),
    skipped: fc
      .array(fc.boolean(), { minLength: 12, maxLength: 12 })
      .map((list) => list.map((x, i) => x && i % 3 === 0)),
    retries: fc.constantFrom(0, 0, 1, 2, 3),
    delay: fc.constantFrom(0, 0, 1),
    trouble: fc.oneof(
      { weight: 6, arbitrary: fc.constant({}) },
      { weight: 1, arbitrary: fc.constant({ abort: { when: 'before' } }) },
      {
        weight: 3,
        arbitrary: fc
          .record({ when: fc.constantFrom('chunk', 'progress', 'complete'), at: fc.nat(11) })
          .map((abort) => ({ abort })),
      },
      {
        weight: 2,
        arbitrary: fc
          .record({
            name: fc.constantFrom('onProgress', 'onChunkComplete'),
            at: fc.integer({ min: 1, max: 6 }),
            value: thrown,
            how: fc.constantFrom('throw', 'reject'),
          })
          .map((fault) => ({ fault })),
      },
    ),
    merge,
  })
  .map(({ ids, plans, skipped, trouble, ...rest }) => {
    const chunks = ids.map((id, i) => ({ id, attempts: plans[i] }))
    const done = [...ids.filter((_, i) => skipped[i]), 1000]
    const abort = trouble.abort && { ...trouble.abort, id: ids[trouble.abort.at % (ids.length || 1)] }
    return { ...rest, chunks, done, abort, fault: trouble.fault }
  })

/** Gives a value, or fails with it, as `how` says. */
function give(how, settle) {
  if (how === 'value') return settle()
  const when = { promise: (go) => go(), turn: setImmediate, timer: (go) => setTimeout(go, 1) }[how]
  return new Promise((resolve) => when(resolve)).then(settle)
}

/** Runs a scenario; the events are what adapter, callbacks and console saw, and the end. */
async function play(scenario, concurrency, events) {
  const control = new AbortController()
  const tried = new Map()
  const stats = { active: 0, most: 0 }
  const { abort, fault, merge } = scenario
  if (abort?.when === 'before') control.abort()
  const adapter = {
    execute({ meta }) {
      const n = (tried.get(meta.id) ?? 0) + 1
      tried.set(meta.id, n)
      events.push(['execute', meta.id, n])
      stats.most = Math.max(stats.most, (stats.active += 1))
      if (abort?.when === 'chunk' && abort.id === meta.id) control.abort()
      const { attempts } = scenario.chunks.find(({ id }) => id === meta.id)
      const outcome = attempts[Math.min(n, attempts.length) - 1]
      const ended = () => {
        stats.active -= 1
        if (outcome.kind === 'fail') throw outcome.value
        return exit(outcome.code, outcome.text)
      }
      return give(outcome.how, ended)
    },
  }
  let calls = { onProgress: 0, onChunkComplete: 0 }
  const callback =
    (name, when, event) =>
    (...args) => {
      events.push(event(...args))
      const id = name === 'onChunkComplete' ? args[0] : scenario.current
      if (abort?.when === when && abort.id === id) control.abort()
      if (fault?.name !== name || ++calls[name] !== fault.at) return undefined
      if (fault.how === 'reject') return Promise.reject(fault.value)
      throw fault.value
    }
  const options = {
    concurrency,
    jobDir: '/jobs/1',
    retries: scenario.retries,
    retryDelay: scenario.delay,
    completedChunkIds: scenario.done,
    signal: control.signal,
    onProgress: (...args) => {
      scenario.current = events.findLast(([name]) => name === 'execute')[1]
      return callback('onProgress', 'progress', (...list) => ['progress', ...list])(...args)
    },
    onChunkComplete: callback('onChunkComplete', 'complete', (id, { exitCode }) => ['complete', id, exitCode]),
    mergeAdapter: {
      execute({ command, args }) {
        events.push(['merge', [command, ...args].join(' ')])
        if ('throws' in merge) throw merge.throws
        return exit(merge.code, 'spilt')
      },
    },
    merge: merge.kind !== 'off',
  }
  if (merge.kind === 'stitcher' || merge.kind === 'fallback') {
    options.stitcher = {
      async stitch(inputs, output) {
        events.push(['stitch', ...inputs, output])
        if ('throws' in merge) throw merge.throws
      },
    }
  }
  if (merge.kind === 'stitcher') options.outputFile = 'film.mp4'
  const job = {
    chunks: scenario.chunks.map(({ id }) => ({ id, command: `render ${id}`, outputFile: `${id}.mp4` })),
    mergeCommand: merge.kind === 'command' || merge.kind === 'fallback' ? 'join all' : '',
  }
  let end
  try {
    await new JobExecutor(adapter).execute(job, options)
    end = ['resolve']
  } catch (error) {
    const foreign = error === fault?.value || ('throws' in merge && error === merge.throws)
    end = foreign ? ['rejects with', error] : ['reject', `${error.name}: ${error.message}`]
  }
  events.push(end)
  return { end, stats, tried }
}

const check = (body) =>
  fc.assert(
    fc.asyncProperty(scenario, async (one) => body(one)),
    { seed: SEED, numRuns: RUNS, endOnFailure: false },
  )

const same = (a, b) =>
  a.length === b.length && a.every((x, i) => x.length === b[i].length && x.every((v, j) => Object.is(v, b[i][j])))

describe(`${RUNS} random jobs with seed ${SEED}`, () => {
  it('go event by event as the model says, at concurrency 1', { timeout: 180_000 }, async () => {
    const events = captureConsole()
    await check(async (one) => {
      events.length = 0
      await play(one, 1, events)
      const allowed = traces(one)
      if (!allowed.some((trace) => same(trace, events))) expect([...events]).toEqual(allowed[0])
    })
  })

  it('keep the invariants, at concurrency 8', { timeout: 180_000 }, async () => {
    const events = captureConsole()
    await check(async (one) => {
      events.length = 0
      const { end, stats, tried } = await play(one, 8, events)
      invariants(one, events, end, stats, tried)
    })
  })
})

function invariants({ chunks, done, retries, abort, fault, merge }, events, end, stats, tried) {
  const of = (kind) => events.filter(([name]) => name === kind)
  const total = chunks.length
  const queue = chunks.filter(({ id }) => !done.includes(id))

  expect(stats.most).toBeLessThanOrEqual(8)
  // Nothing still runs when the job has settled, and its end is the last that is said of it.
  expect([stats.active, events.at(-1)]).toEqual([0, end])
  // Chunks start in the order of the array, each attempt once, never more than asked for.
  const starts = of('execute').filter(([, , attempt]) => attempt === 1)
  expect(starts.map(([, id]) => id)).toEqual(queue.slice(0, starts.length).map(({ id }) => id))
  const needed = (attempts) => {
    const at = attempts.findIndex(({ kind, code }) => kind === 'exit' && code === 0)
    return at < 0 || at > retries ? retries + 1 : at + 1
  }
  for (const { id, attempts } of queue) expect(tried.get(id) ?? 0).toBeLessThanOrEqual(needed(attempts))
  // Progress goes up one by one (once a callback has failed, what still ends may go unreported); a chunk is completed at
  // most once, and only after it was run.
  const from = total - queue.length
  const progress = of('progress').map(([, n, of]) => (expect(of).toBe(total), n))
  if (fault) expect(progress).toEqual([...new Set(progress)].sort((a, b) => a - b))
  else expect(progress).toEqual(progress.map((_, i) => from + i + 1))
  const complete = of('complete').map(([, id]) => id)
  expect(new Set(complete).size).toBe(complete.length)
  for (const id of complete) {
    const { attempts } = chunks.find((chunk) => chunk.id === id)
    expect(tried.get(id)).toBe(needed(attempts))
  }
  // No chunk starts after one has failed for good, and the first failure is the one that is thrown.
  const failed = events.findIndex(([name]) => name === 'error')
  const merging = events.findIndex(([name]) => name === 'merge' || name === 'stitch')
  const firstStarts = events.map(([name, , attempt], i) => (name === 'execute' && attempt === 1 ? i : -1))
  if (failed >= 0 && merging < 0) expect(Math.max(...firstStarts)).toBeLessThan(failed)
  if (failed >= 0 && merging < 0 && end[0] === 'reject' && !end[1].startsWith('AbortError')) {
    const [, line, message] = events[failed]
    expect(end[1]).toBe(`Error: ${line.replace(/^\[Worker \d\] /, '')} ${message}`)
  }
  // Merging comes last, once, and only after every chunk.
  const merges = of('merge').length + of('stitch').length
  expect(merges).toBeLessThanOrEqual(1)
  if (merges) expect(complete).toHaveLength(queue.length)
  if (abort?.when === 'before') expect([of('execute'), end]).toEqual([[], ['reject', 'AbortError: Job aborted']])
  if (abort?.when === 'chunk' && tried.has(abort.id) && failed < 0) expect(end[1]).toBe('AbortError: Job aborted')
  // Left alone, the job ends as its chunks and its merge do.
  if (abort || fault) return
  const doomed = queue.filter(
    ({ attempts }) => !attempts.slice(0, retries + 1).some(({ kind, code }) => kind === 'exit' && code === 0),
  )
  if (doomed.length) {
    const id = /Chunk (\d+) failed after/.exec(end[1])
    expect(doomed.map((chunk) => chunk.id)).toContain(Number(id?.[1]))
  } else if ('throws' in merge) expect(Object.is(end[1], merge.throws)).toBe(true)
  else if (merge.code) expect(end).toEqual(['reject', `Error: Merge failed with exit code ${merge.code}: spilt`])
  else expect(end).toEqual(['resolve'])
  if (!doomed.length) {
    for (const { id, attempts } of queue) expect([id, tried.get(id)]).toEqual([id, needed(attempts)])
    expect(complete.sort((a, b) => a - b)).toEqual(queue.map(({ id }) => id).sort((a, b) => a - b))
  }
}
