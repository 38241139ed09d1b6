// Jobs on a disk that is full or fails, at any call on the folder of records: they end well or say why, and what was reported
// stays. `npm run test:crash` goes through all calls, the short form through some.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { captureConsole } from './support/console.mjs'
import { atDesk, expectReported, notesOf, recoverAll, runsReported, specsOf, startOwner } from './support/crash.mjs'
import { faultsFor, readLog } from './support/faults.mjs'
import { processMark } from './support/processes.mjs'
import { naming, randomOf, someSeed } from './support/random.mjs'
import { within } from './support/wait.mjs'

const isLong = process.env.HELIOS_CRASH === 'long'
const ERRORS = {
  mkdir: ['ENOSPC', 'EIO'],
  create: ['ENOSPC', 'EIO'],
  write: ['ENOSPC', 'EIO', 'short'],
  sync: ['ENOSPC', 'EIO'],
  syncdir: ['EIO'],
  rename: ['ENOSPC', 'EIO'],
  truncate: ['EIO'],
  unlink: ['EIO'],
  chmod: ['EIO'],
  look: ['EIO', 'EMFILE'],
}

/** Faults that something was lost after, in every run. */
const FOUND = [
  // The first read of the record: it was written again without the options of the job.
  { of: ['look'], do: 'EIO', at: 2, times: 1 },
  // The disk works no more: nobody heard that the job had ended.
  { of: ['create'], do: 'EIO', at: 10, times: 1e9 },
]

const task = { specs: specsOf({ merge: () => true }), concurrency: 2, pauses: [0] }

it('a job ends well or says why, and goes on when the disk works', { timeout: 3_600_000 }, async (context) => {
  const mark = processMark(context)
  const faults = faultsFor(context)
  captureConsole()
  const owner = (desk, fault) => startOwner(desk, task, { ...mark.env, ...faults(desk.records, fault) })
  const counts = await atDesk(async (desk) => {
    const log = join(desk.home, 'log')
    expect(await owner(desk, { log }).ended).toMatchObject({ code: 0, stderr: '' })
    const calls = readLog(log).map(({ kind }) => kind)
    // Looks are not logged.
    return { look: 30, ...Object.fromEntries(calls.map((kind) => [kind, calls.filter((one) => one === kind).length])) }
  })
  const cases = Object.entries(ERRORS).flatMap(([kind, errors]) =>
    errors.flatMap((error) =>
      [1, 1e9].flatMap((times) =>
        Array.from({ length: counts[kind] ?? 0 }, (_, at) => ({ of: [kind], do: error, at: at + 1, times })),
      ),
    ),
  )
  const step = isLong ? 1 : Math.ceil(cases.length / 20)
  const tally = {}
  for (const fault of FOUND) await naming(JSON.stringify(fault), () => atDesk((desk) => check(desk, fault)))
  for (let at = randomOf(someSeed()).below(step); at < cases.length; at += step) {
    await naming(JSON.stringify(cases[at]), () => atDesk((desk) => check(desk, cases[at])))
  }
  process.stderr.write(`${cases.length} faults, every ${step}. of them: ${JSON.stringify(tally)}\n`)

  async function check(desk, fault) {
    const { ended, out } = owner(desk, fault)
    const result = await within(20_000, ended, 'the process').catch((error) => {
      throw new Error(`${error.message}: ${out.stderr}`)
    })
    expect(result.code, out.stderr).toBe(0)
    const notes = notesOf(desk)
    const before = runsReported(desk)
    const [job] = await expectReported(desk.records, notes)
    const code = fault.do === 'short' ? 'ENOSPC' : fault.do
    for (const [what, cause] of notes.rejected) expect(cause, what).toContain(code)
    if (job?.state === 'failed') expect(job.error).toContain(code)
    const outcome = notes.rejected.length > 0 ? 'rejected' : job.state
    expect(['rejected', 'completed', 'failed'], out.stderr).toContain(outcome)
    tally[outcome] = (tally[outcome] ?? 0) + 1
    await recoverAll(desk, { before, mark })
  }
})
