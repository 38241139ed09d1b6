// Random numbers that can be had again: everything follows from the seed.

/** A generator for `seed`, a whole number (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    /** From 0 up to, not including, 1. */
    next,
    /** A whole number from 0 up to, not including, `end`. */
    below: (end) => Math.floor(next() * end),
    chance: (share) => next() < share,
    pick: (list) => list[Math.floor(next() * list.length)],
  }
}

/** The seed of this run: `HELIOS_CRASH_SEED`, to repeat one, else any. */
export const someSeed = () => Number(process.env.HELIOS_CRASH_SEED ?? Math.floor(Math.random() * 1e9))

/** Runs `body(random)`; what it throws names the seed. */
export const seeded = (seed, body) => naming(`HELIOS_CRASH_SEED=${seed}`, () => body(randomOf(seed)))

/** Runs `body`; what it throws names the case. */
export async function naming(name, body) {
  try {
    return await body()
  } catch (error) {
    error.message = `[${name}] ${error.message}`
    throw error
  }
}
