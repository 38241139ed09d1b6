// Writes pages of the API from index.d.ts into out/docs. It fails when there is anything that typedoc warns of, such as a
// member without a comment or a link that leads nowhere. What it takes is installed in docs/api when it is missing.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './build.mjs'

const folder = join(root, 'docs', 'api')
const typedoc = join(folder, 'node_modules', 'typedoc')

function run(command, args, options) {
  const { status, error } = spawnSync(command, args, { cwd: folder, stdio: 'inherit', ...options })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args[0]} failed.`)
}

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
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { shell: process.platform === 'win32' })
  }
  run(process.execPath, [join(typedoc, 'bin', 'typedoc'), '--options', 'typedoc.json'])
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
