// Temporary folders that vanish with the test that asked for them.
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A new empty folder, for the caller to remove. */
export const makeFolder = (prefix = 'helios-test-') => realpathSync(mkdtempSync(join(tmpdir(), prefix)))

export const removeFolder = (dir) => rmSync(dir, { recursive: true, force: true, maxRetries: 3 })

/** A new empty folder for the running test. */
export function tempFolder() {
  const dir = makeFolder()
  onTestFinished(() => removeFolder(dir))
  return dir
}
