// What /proc says about processes: who lives, whose children, who carries a mark in its environment.
import { randomUUID } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { onTestFinished } from 'vitest'
import { need } from './abilities.mjs'

function stat(pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent, group] = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { pid, state, parent: Number(parent), group: Number(group) }
  } catch {
    return undefined
  }
}

const all = () =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => stat(Number(name)))
    .filter(Boolean)

const ended = ({ state }) => state === 'Z' || state === 'X'

export const alive = (pid) => {
  const found = stat(pid)
  return found !== undefined && !ended(found)
}

/** Children of a process that have ended but were never waited for. */
export const zombiesOf = (parent) =>
  all()
    .filter((p) => p.parent === parent && ended(p))
    .map(({ pid }) => pid)

/** Pids of living processes with `text` in their environment. */
export function processesWith(text) {
  return all()
    .filter((p) => !ended(p))
    .filter(({ pid }) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(text)
      } catch {
        return false
      }
    })
    .map(({ pid }) => pid)
}

/** An environment entry to recognise a test's processes by; whoever still has it when the test ends is killed. */
export function processMark(context) {
  need(context, 'proc')
  const value = randomUUID()
  const living = () => processesWith(`HELIOS_TEST_MARK=${value}`)
  onTestFinished(() => {
    for (const pid of living()) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself in between.
      }
    }
  })
  return { env: { HELIOS_TEST_MARK: value }, living }
}
