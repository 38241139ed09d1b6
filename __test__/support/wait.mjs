// Waiting on conditions, always with a bound.
import { setTimeout as pause } from 'node:timers/promises'

/** Resolves with the first truthy value of `condition`; throws with `what` when `ms` have passed. */
export async function until(condition, what = 'the condition', ms = 10_000) {
  const end = Date.now() + ms
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`)
    await pause(5)
  }
}

/** Settles as `promise` does; rejects when that takes longer than `ms`. */
export async function within(ms, promise, what = 'the promise') {
  const timeout = new AbortController()
  const late = pause(ms, undefined, { signal: timeout.signal }).then(
    () => Promise.reject(new Error(`${what} has not settled within ${ms} ms`)),
    () => {},
  )
  try {
    return await Promise.race([promise, late])
  } finally {
    timeout.abort()
  }
}

/** A promise with its own resolve and reject, and whether it has been settled through them. */
export function gate() {
  const it = { settled: false }
  it.promise = new Promise((resolve, reject) => {
    it.open = (value) => ((it.settled = true), resolve(value))
    it.fail = (error) => ((it.settled = true), reject(error))
  })
  it.promise.catch(() => {})
  return it
}

/** What a promise settled with: `{ value }` or `{ error }`. */
export const outcome = (promise) =>
  Promise.resolve(promise).then(
    (value) => ({ value }),
    (error) => ({ error }),
  )

/** The error of a call that must reject, and must not throw synchronously. */
export async function rejection(call) {
  let promise
  try {
    promise = call()
  } catch (error) {
    throw new Error(`threw synchronously instead of rejecting: ${error}`, { cause: error })
  }
  const settled = await outcome(promise)
  if (!('error' in settled)) throw new Error(`resolved with ${JSON.stringify(settled.value)} instead of rejecting`)
  return settled.error
}
