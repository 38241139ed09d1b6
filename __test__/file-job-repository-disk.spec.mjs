// FileJobRepository alone, with a fault or a kill at every call that save and delete make, and after a power cut there: the old
// record or the new one, and the new one once the promise has resolved.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { FileJobRepository } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { atDesk } from './support/crash.mjs'
import { faultsFor, readLog } from './support/faults.mjs'
import { PowerCut, statesOf } from './support/power-cut.mjs'
import { naming, randomOf, seeded, someSeed } from './support/random.mjs'
import { startScript } from './support/scripts.mjs'

const isLong = process.env.HELIOS_CRASH === 'long'

/** Saves record `a` three times, the second time longer than one write, deletes it, and saves it again. */
const script = `
  import { appendFileSync } from 'node:fs'
  const [records, notes] = process.argv.slice(-2)
  const note = (value) => {
    appendFileSync(notes, JSON.stringify(value) + '\\n')
    if (process.env.HELIOS_FAULT_LOG) appendFileSync(process.env.HELIOS_FAULT_LOG, 'note ' + JSON.stringify(value) + '\\n')
  }
  const repository = new lib.FileJobRepository(records)
  const record = (n) => ({ id: 'a', n, filler: 'x'.repeat(n === 2 ? 200_000 : 10), end: n })
  for (const n of [1, 2, 3, 0, 4]) {
    note({ tries: n })
    const tried = n === 0 ? repository.delete('a') : repository.save(record(n))
    await tried.then(() => note({ did: n }), ({ code, syscall, path }) => note({ failed: n, code, syscall, path }))
  }
`

const start = ({ records, work }, env) =>
  startScript(script, { args: [records, join(work, 'notes')], env: { ...process.env, ...env } }).ended

const notesOf = ({ work }) => {
  const path = join(work, 'notes')
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean).map(JSON.parse) : []
}

/** What may be read after these notes: `n` of the last that was done, or of the one that was tried then. 0 is none. */
function allowed(notes) {
  const done = notes.findLastIndex(({ did }) => did !== undefined)
  const later = notes.slice(done + 1).flatMap(({ tries }) => (tries === undefined ? [] : [tries]))
  return [done < 0 ? 0 : notes[done].did, ...later]
}

async function expectAllowed(records, notes) {
  const repository = new FileJobRepository(records)
  const record = await repository.get('a')
  expect(allowed(notes)).toContain(record?.n ?? 0)
  expect(record?.end, 'the end of the record').toBe(record?.n)
  expect((await repository.list()).map(({ n }) => n)).toEqual(record ? [record.n] : [])
  await repository.save({ id: 'a', n: 5 })
  expect(readdirSync(records)).toEqual(['a.json'])
}

it('save and delete do it, or say why they did not, or die with the process', { timeout: 600_000 }, async (context) => {
  const faults = faultsFor(context)
  const calls = await atDesk(async (desk) => {
    const log = join(desk.home, 'log')
    await start(desk, faults(desk.records, { log }))
    return readLog(log).filter(({ kind }) => kind).length
  })
  const actions = ['kill-before', 'kill-after', 'EIO', 'ENOSPC', 'short']
  const cases = Array.from({ length: calls }, (_, at) => actions.map((action) => ({ at: at + 1, do: action }))).flat()
  const step = isLong ? 1 : Math.ceil(cases.length / 30)
  for (let at = randomOf(someSeed()).below(step); at < cases.length; at += step) {
    const fault = cases[at]
    await naming(JSON.stringify(fault), () =>
      atDesk(async (desk) => {
        const { code, signal, stderr } = await start(desk, faults(desk.records, fault))
        expect([code ?? signal, stderr]).toEqual([fault.do.startsWith('kill') ? 'SIGKILL' : 0, ''])
        const notes = notesOf(desk)
        const failed = notes.filter((note) => 'failed' in note)
        // A lock that cannot be had is done without, and a stray file that cannot be removed is used again.
        expect(failed.length).toBeLessThan(2)
        for (const one of failed) expect(one.code).toBe(fault.do === 'short' ? 'ENOSPC' : fault.do)
        mkdirSync(desk.records, { recursive: true })
        await expectAllowed(desk.records, notes)
      }),
    )
  }
  process.stderr.write(`${cases.length} faults of save and delete, every ${step}. of them\n`)
})

it('a power cut leaves the old record or the new one', { timeout: 600_000 }, async (context) => {
  const lines = captureConsole()
  const faults = faultsFor(context)
  let states = 0
  await atDesk(async (desk) => {
    const log = join(desk.home, 'log')
    await start(desk, faults(desk.records, { log }))
    await seeded(someSeed(), async (random) => {
      const [disk, notes] = [new PowerCut(), []]
      for (const call of [...readLog(log), undefined]) {
        if (call?.note) {
          notes.push(JSON.parse(call.note))
          continue
        }
        for (const state of statesOf(disk, random, isLong ? 100 : 6)) {
          states += 1
          await atDesk(async ({ records }) => {
            mkdirSync(records)
            for (const [name, text] of state) writeFileSync(join(records, name), text)
            await expectAllowed(records, notes)
          })
        }
        if (call) disk.apply(call)
      }
    })
  })
  expect(printed(lines, 'warn')).toEqual([])
  process.stderr.write(`${states} states of a disk\n`)
})
