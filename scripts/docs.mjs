// Writes pages of the API from index.d.ts into out/docs. It fails when there is anything that typedoc warns of, such as a
// member without a comment or a link that leads nowhere. What it takes is installed in docs/api when it is missing.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './build.mjs'
import { run } from './run.mjs'

const folder = join(root, 'docs', 'api')
const typedoc = join(folder, 'node_modules', 'typedoc')

function isInstalled() {
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return Object.entries(dependencies).every(([name, version]) => {
    try {
      return JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')).version === version
    } catch {
      return false // not there
    }
  })
}

try {
  if (!isInstalled()) {
    console.log('Installing typedoc...')
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder })
  }
  run(process.execPath, [join(typedoc, 'bin', 'typedoc'), '--options', 'typedoc.json'], { cwd: folder })
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
