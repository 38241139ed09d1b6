// Brings a fresh checkout to where everything runs: development dependencies installed, addon built. Says nothing where
// nothing is to do. Plain Node: it runs before there are any dependencies.
//
//   node scripts/setup.mjs [quick|release] [--local] [--portable]
//
// `--local` builds without the clouds, which takes a fraction of the time; `--portable` for older systems (build.mjs).

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { build, root } from './build.mjs'

const OLDEST_NODE = 20

function setUp(kind, { local, portable }) {
  if (Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    throw new Error(`Node ${OLDEST_NODE} or newer is needed; this is ${process.version}.`)
  }
  if (!isInstalled()) install()
  build(kind, { portable, ...(local && { defaultFeatures: false, features: 'node' }) })
}

/** Whether node_modules holds what package-lock.json asks for, going by the list that npm leaves there. */
function isInstalled() {
  const wanted = readPackages(join(root, 'package-lock.json'))
  const installed = readPackages(join(root, 'node_modules', '.package-lock.json'))
  if (!wanted) throw new Error('package-lock.json is missing or broken.')
  if (!installed) return false
  // Optional packages may be left out: most are binaries for other platforms.
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    const there = installed[path]
    if (path === '' || (!there && optional)) return true
    return there?.version === version && there.integrity === integrity
  })
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages
  } catch {
    return undefined // not there, or cut off by an interrupted installation
  }
}

// Not `npm ci`: that one refuses a lock file which lacks an optional binary for some other platform (npm leaves out
// what the registry did not have), and it takes node_modules away from under whatever is running.
function install() {
  console.log('Installing the development dependencies...')
  const args = ['install', '--no-save', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  // Started by npm, this is the way to the same npm; npm on Windows is a script that needs a shell.
  const cli = process.env.npm_execpath
  const { status, error } = cli?.endsWith('.js')
    ? spawnSync(process.execPath, [cli, ...args], { cwd: root, stdio: 'inherit' })
    : spawnSync('npm', args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' })
  if (error) throw error
  if (status !== 0) throw new Error('The development dependencies could not be installed (npm install failed).')
}

try {
  const options = { local: { type: 'boolean' }, portable: { type: 'boolean' } }
  const { values, positionals } = parseArgs({ allowPositionals: true, options })
  setUp(positionals[0] ?? 'quick', values)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
