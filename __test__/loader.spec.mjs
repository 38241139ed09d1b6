// What somebody is told whose addon is not there, or does not load.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { tempFolder } from './support/files.mjs'

const PACKAGE = '@helios-project/infrastructure'

/** What an import of the loader gives on `platform` and `arch`, in a folder with these `files` and no others. */
function load(platform, arch, files = {}) {
  const folder = tempFolder()
  cpSync(new URL('../native.cjs', import.meta.url), join(folder, 'native.cjs'))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  const script = `Object.defineProperties(process, { platform: { value: '${platform}' }, arch: { value: '${arch}' } })
let message
try { message = require('./native.cjs').hello } catch (error) { message = error.message + (error.cause ? ' <- ' + error.cause.name : '') }
process.stdout.write(message)`
  return execFileSync(process.execPath, ['-e', script], { cwd: folder, encoding: 'utf8' })
}

it('names the platforms there are, on another one', () => {
  const platforms = 'linux-x64, linux-arm64, darwin-x64, darwin-arm64, win32-x64'
  expect(load('freebsd', 'x64')).toBe(`${PACKAGE} has no build for freebsd-x64, only for ${platforms}.`)
})

it.each([
  ['darwin', 'arm64', `${PACKAGE}-darwin-arm64`],
  ['linux', 'x64', `${PACKAGE}-linux-x64-gnu or ${PACKAGE}-linux-x64-musl`],
])('names the package that is missing on %s, and what to do', (platform, arch, packages) => {
  const message = load(platform, arch)
  expect(message).toContain(`${PACKAGE} needs the package ${packages} on ${platform}-${arch}, which is not installed.`)
  expect(message).toContain('--omit=optional')
})

it('says why one does not load', () => {
  const name = 'helios-infrastructure.linux-x64-gnu.node'
  const message = load('linux', 'x64', { [name]: 'no addon' })
  expect(message).toContain(`${PACKAGE} has a build for linux-x64 `)
  expect(message).toMatch(/does not load here: .*helios-infrastructure\.linux-x64-gnu\.node/)
})

it('takes the package that is installed', () => {
  const folder = `node_modules/${PACKAGE}-win32-x64-msvc`
  expect(load('win32', 'x64', { [`${folder}/index.js`]: "exports.hello = 'hello'" })).toBe('hello')
})

it('takes the one of two that loads', () => {
  const files = {
    [`node_modules/${PACKAGE}-linux-arm64-gnu/index.js`]: "throw new Error('no such libc')",
    [`node_modules/${PACKAGE}-linux-arm64-musl/index.js`]: "exports.hello = 'hello'",
  }
  expect(load('linux', 'arm64', files)).toBe('hello')
})

it('passes over no mistake: a package in pieces is none that is missing', () => {
  const files = { [`node_modules/${PACKAGE}-darwin-x64/index.js`]: "require('./lost.node')" }
  expect(load('darwin', 'x64', files)).toContain('does not load here: ')
})
