// Every state that a disk may be in after a power cut has what was reported before. The states follow from the calls a process
// made, by the rules in support/power-cut.mjs. `npm run test:crash` is the long form.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { captureConsole, printed } from './support/console.mjs'
import { atDesk, expectReported, readNotes, recoverAll, specsOf, startOwner } from './support/crash.mjs'
import { faultsFor, readLog } from './support/faults.mjs'
import { PowerCut, statesOf } from './support/power-cut.mjs'
import { randomOf, seeded, someSeed } from './support/random.mjs'

const isLong = process.env.HELIOS_CRASH === 'long'

describe('the model of a disk', () => {
  const [data, place] = [Buffer.from('text'), 0]
  const create = { kind: 'create', inode: 1, name: '.a.tmp', data: '' }
  const write = { kind: 'write', inode: 1, name: '.a.tmp', place, data }
  const sync = { kind: 'sync', inode: 1 }
  const move = { kind: 'rename', name: '.a.tmp', data: 'a' }
  const syncdir = { kind: 'syncdir' }
  /** All states after these calls, as text. */
  const reached = (...calls) => {
    const disk = new PowerCut()
    for (const call of calls) disk.apply(call)
    const states = statesOf(disk, randomOf(1), 200)
    return new Set(states.map((state) => [...state].map(([name, text]) => `${name}=${text}`).join()))
  }

  it('promises nothing that was not synced', () => {
    expect(reached(create, write)).toEqual(
      new Set(['', '.a.tmp=', '.a.tmp=text', '.a.tmp=t', '.a.tmp=te', '.a.tmp=tex']),
    )
    expect(reached(create, write, sync)).toEqual(new Set(['', '.a.tmp=text']))
    expect(reached(create, write, syncdir)).toContain('.a.tmp=')
  })

  it('renames as a whole, data or not', () => {
    expect(reached(create, write, sync, move)).toEqual(new Set(['', '.a.tmp=text', 'a=text']))
    expect(reached(create, write, move)).toContain('a=')
    expect(reached(create, write, sync, move, syncdir)).toEqual(new Set(['a=text']))
  })

  it('keeps an old file until its name means the new one for good', () => {
    const old = [create, write, sync, move, syncdir]
    const next = [
      { ...create, inode: 2 },
      { ...write, inode: 2, data: Buffer.from('new') },
      { ...sync, inode: 2 },
      move,
    ]
    expect(reached(...old, ...next)).toEqual(new Set(['a=text', 'a=text,.a.tmp=new', 'a=new']))
    expect(reached(...old, { kind: 'unlink', name: 'a' })).toEqual(new Set(['a=text', '']))
  })

  it('fills gaps with zeros, and truncates', () => {
    const second = { ...write, place: 4, data: Buffer.from('2') }
    expect(reached(create, syncdir, write, second)).toContain('.a.tmp=\0\0\0\x002')
    const cut = { kind: 'truncate', inode: 1, place: 1 }
    expect(reached(create, write, sync, syncdir, cut)).toEqual(new Set(['.a.tmp=text', '.a.tmp=t']))
  })
})

describe('a power cut', () => {
  /** What a process that runs `specs` did to the folder `below(desk)`, and what it was told. */
  async function logOf(context, desk, task, below = (at) => at.records) {
    const log = join(desk.home, 'log')
    const env = faultsFor(context)(below(desk), { log })
    expect(await startOwner(desk, task, env).ended).toMatchObject({ code: 0, stderr: '' })
    return readLog(log)
  }

  it('at any moment leaves what was reported', { timeout: 3_600_000 }, async (context) => {
    const lines = captureConsole()
    const task = { specs: specsOf({ jobs: 2 }), concurrency: 2, pauses: [0] }
    const mixes = isLong ? 40 : 6
    const tally = { states: 0, recovered: 0 }
    await atDesk(async (desk) => {
      const calls = await logOf(context, desk, task)
      await seeded(someSeed(), async (random) => {
        const [disk, notes] = [new PowerCut(), []]
        for (const call of [...calls, undefined]) {
          if (call?.note) notes.push(call.note)
          if (call?.note || ['lock', 'chmod'].includes(call?.kind)) continue
          for (const state of statesOf(disk, random, mixes)) {
            tally.states += 1
            await check(desk, state, readNotes(notes), random.chance(isLong ? 0.1 : 0.03))
          }
          if (call) disk.apply(call)
        }
      })
    })
    expect([...printed(lines, 'warn'), ...printed(lines, 'error')]).toEqual([])
    process.stderr.write(`${tally.states} states of a disk, ${tally.recovered} of them recovered\n`)

    async function check(made, state, notes, recovers) {
      await atDesk(async (desk) => {
        mkdirSync(desk.records)
        for (const [name, text] of state) writeFileSync(join(desk.records, name), text)
        const names = [...state.keys()].join()
        await expectReported(desk.records, notes).catch((error) => {
          throw new Error(`${error.message} (after ${JSON.stringify([...notes.chunks])}, with ${names})`)
        })
        if (!recovers) return
        tally.recovered += 1
        // With the times of the files, to the nanosecond: they are as they were.
        execFileSync('cp', ['-a', `${made.work}/.`, desk.work])
        await recoverAll(desk, { notes, options: { jobDir: desk.work } })
      })
    }
  })

  it('loses something without fsync, or these tests would see nothing', async (context) => {
    captureConsole()
    await atDesk(async (desk) => {
      const calls = await logOf(context, desk, { specs: specsOf(), fsync: false })
      const [disk, notes] = [new PowerCut(), []]
      for (const call of calls) {
        if (call.note) notes.push(call.note)
        else disk.apply(call)
      }
      mkdirSync(join(desk.home, 'after'))
      for (const [name, text] of disk.state(() => false)) writeFileSync(join(desk.home, 'after', name), text)
      await expect(expectReported(join(desk.home, 'after'), readNotes(notes))).rejects.toThrow('without a record')
    })
  })

  it('does not take a new folder with it', async (context) => {
    captureConsole()
    await atDesk(async (desk) => {
      const calls = await logOf(context, desk, { specs: specsOf() }, ({ home }) => home)
      const made = calls.findIndex(({ kind, name }) => kind === 'mkdir' && name === 'records')
      const synced = calls.findIndex(({ kind }, at) => kind === 'syncdir' && at > made)
      const told = calls.findIndex(({ note }) => note !== undefined)
      expect(made).toBeGreaterThanOrEqual(0)
      expect([synced > made, told > synced]).toEqual([true, true])
    })
  })
})
