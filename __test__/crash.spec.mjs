// Processes that are killed while they run jobs. Nothing that was reported may be lost, nothing is rendered twice, nothing is
// left behind. `npm run test:crash` is the long form; HELIOS_CRASH_SEED repeats a round that failed.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { atDesk, expectReported, notesOf, recoverAll, runsReported, specsOf, startOwner } from './support/crash.mjs'
import { captureConsole, printed } from './support/console.mjs'
import { faultsFor, readLog } from './support/faults.mjs'
import { processMark } from './support/processes.mjs'
import { naming, randomOf, seeded, someSeed } from './support/random.mjs'

const isLong = process.env.HELIOS_CRASH === 'long'
const HOUR = 3_600_000

/** Kills a process `after` so many milliseconds, unless it has ended by then. */
async function killAfter({ child, ended }, after) {
  const timer = setTimeout(() => child.kill('SIGKILL'), after)
  const result = await ended
  clearTimeout(timer)
  expect(result.stderr).toBe('')
  return result.signal === 'SIGKILL'
}

describe('a process that is killed at any moment', () => {
  const rounds = isLong ? 500 : 12
  const tally = { killed: 0, again: 0, reported: 0 }

  async function round(random, mark, lines, span) {
    const specs = specsOf({ jobs: 8, chunks: 5, slow: () => random.chance(0.3) })
    const pauses = [0, 1, 2].filter(() => random.chance(0.5))
    await atDesk(async (desk) => {
      const owner = startOwner(desk, { specs, concurrency: 8, pauses }, mark.env)
      await new Promise((resolve) => owner.child.stdout.once('data', resolve))
      if (await killAfter(owner, random.next() * span)) tally.killed += 1
      tally.reported += notesOf(desk).chunks.size
      const runs = runsReported(desk)
      await expectReported(desk.records, notesOf(desk))
      // Whoever recovers may be killed too.
      while (random.chance(0.3)) {
        const next = startOwner(desk, {}, mark.env)
        await new Promise((resolve) => next.child.stdout.once('data', resolve))
        if (await killAfter(next, (random.next() * span) / 2)) tally.again += 1
        await expectReported(desk.records, notesOf(desk))
        for (const [name, count] of runsReported(desk)) if (!runs.has(name)) runs.set(name, count)
      }
      await recoverAll(desk, { before: runs, mark })
    })
    expect([...printed(lines, 'warn'), ...printed(lines, 'error')]).toEqual([])
  }

  it(`loses nothing, ${rounds} times`, { timeout: HOUR }, async (context) => {
    const mark = processMark(context)
    const lines = captureConsole()
    // How long it takes when nobody kills it.
    const span = await atDesk(async (desk) => {
      const owner = startOwner(desk, { specs: specsOf({ jobs: 8, chunks: 5 }) })
      await new Promise((resolve) => owner.child.stdout.once('data', resolve))
      const started = performance.now()
      expect(await owner.ended).toMatchObject({ code: 0, stderr: '' })
      const took = performance.now() - started
      await recoverAll(desk)
      return took
    })
    const seed = someSeed()
    for (let at = 0; at < rounds; at += 1) {
      await seeded(seed + at, (random) => round(random, mark, lines, span * 2))
    }
    const { killed, again, reported } = tally
    process.stderr.write(
      `${rounds} rounds of ${Math.round(span)} ms: ${killed} owners and ${again} recoveries killed, ${reported} chunks reported\n`,
    )
  })
})

describe('a process that is killed at any call on the folder of records', () => {
  it('loses nothing', { timeout: HOUR }, async (context) => {
    const mark = processMark(context)
    const faults = faultsFor(context)
    captureConsole()
    const task = { specs: specsOf({ merge: () => true }), concurrency: 2, pauses: [0] }
    const run = (desk, fault) => startOwner(desk, task, { ...mark.env, ...faults(desk.records, fault) }).ended
    const count = await atDesk(async (desk) => {
      const log = join(desk.home, 'log')
      expect(await run(desk, { log })).toMatchObject({ code: 0, stderr: '' })
      return readLog(log).filter(({ kind }) => kind).length
    })
    expect(count).toBeGreaterThan(40)
    let killed = 0
    const step = isLong ? 1 : Math.ceil((2 * count) / 24)
    for (let moment = randomOf(someSeed()).below(step); moment < 2 * count; moment += step) {
      const fault = { at: Math.floor(moment / 2) + 1, do: moment % 2 === 0 ? 'kill-before' : 'kill-after' }
      await naming(JSON.stringify(fault), () =>
        atDesk(async (desk) => {
          // Not every run makes as many calls: chunks that end at once share some.
          if ((await run(desk, fault)).signal === 'SIGKILL') killed += 1
          const before = runsReported(desk)
          await expectReported(desk.records, notesOf(desk))
          await recoverAll(desk, { before, mark })
        }),
      )
    }
    process.stderr.write(`${count} calls, ${killed} processes killed before or after one of them\n`)
    expect(killed).toBeGreaterThan((1.5 * count) / step)
  })
})
