// Captures what is printed through the console of this realm while a test runs.
import { onTestFinished, vi } from 'vitest'

/** Lines as `[level, ...arguments]`, in order; the console stays silent until the test ends. */
export function captureConsole(lines = []) {
  for (const level of ['log', 'warn', 'error']) {
    const spy = vi.spyOn(console, level).mockImplementation((...args) => void lines.push([level, ...args]))
    onTestFinished(() => spy.mockRestore())
  }
  return lines
}

/** The captured lines of one level, as text. */
export const printed = (lines, level) =>
  lines.filter(([of]) => of === level).map(([, ...args]) => args.map(String).join(' '))

/** Makes unhandled rejections and uncaught exceptions of the running test visible as a list. */
export function captureUnhandled() {
  const seen = []
  const note = (error) => void seen.push(error)
  const events = ['unhandledRejection', 'uncaughtException']
  const before = events.map((event) => process.listeners(event))
  for (const event of events) process.removeAllListeners(event).on(event, note)
  onTestFinished(() => {
    events.forEach((event, i) => {
      process.removeListener(event, note)
      for (const listener of before[i]) process.on(event, listener)
    })
  })
  return seen
}

/** Process warnings (MaxListenersExceededWarning and the like) of the running test. */
export function captureWarnings() {
  const seen = []
  const note = (warning) => void seen.push(`${warning.name}: ${warning.message}`)
  process.on('warning', note)
  onTestFinished(() => void process.removeListener('warning', note))
  return seen
}
