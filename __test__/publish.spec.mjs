// What a release publishes, with a stand-in of npm.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeEach, expect, it } from 'vitest'
import { tempFolder } from './support/files.mjs'

const script = fileURLToPath(new URL('../scripts/publish.mjs', import.meta.url))

/** Knows the versions in the file `published`; refuses the one in the file `refused`. */
const NPM = `#!${process.execPath}
const { appendFileSync, existsSync, readFileSync } = require('node:fs')
const [command, what, ...rest] = process.argv.slice(2)
const fail = (text) => { console.error(text); process.exit(1) }
if (existsSync('down')) fail('npm error code ECONNREFUSED')
const known = readFileSync('published', 'utf8').split('\\n')
if (command === 'view') {
  if (known.includes(what)) console.log(what.slice(what.lastIndexOf('@') + 1))
  else if (!existsSync('silent')) fail('npm error code E404')
} else {
  const version = '@scope/' + what.replace('.tgz', '@1.0.0')
  if (known.includes(version) || (existsSync('refused') && readFileSync('refused', 'utf8') === version)) fail('npm error code E403')
  appendFileSync('published', version + '\\n')
  appendFileSync('calls', [command, what, ...rest].join(' ') + '\\n')
}
`

let cwd
beforeEach(() => {
  cwd = tempFolder()
  mkdirSync(join(cwd, 'bin'))
  writeFileSync(join(cwd, 'bin', 'npm'), NPM, { mode: 0o755 })
  writeFileSync(join(cwd, 'published'), '')
})

/** Makes archives of packages with these names, and publishes them; gives the exit code, and what it said. */
function publish(...names) {
  for (const name of names) {
    mkdirSync(join(cwd, 'package'), { recursive: true })
    writeFileSync(join(cwd, 'package', 'package.json'), JSON.stringify({ name: `@scope/${name}`, version: '1.0.0' }))
    spawnSync('tar', ['-czf', `${name}.tgz`, 'package'], { cwd })
  }
  const env = { ...process.env, PATH: [join(cwd, 'bin'), process.env.PATH].join(delimiter) }
  const archives = names.map((name) => `${name}.tgz`)
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...archives], { cwd, env, encoding: 'utf8' })
  return { status, said: stdout + stderr }
}

const published = () => readFileSync(join(cwd, 'published'), 'utf8')

it.each([['says'], ['does not say']])(
  'publishes all, the main one last, by an npm that %s what is not there',
  (how) => {
    if (how === 'does not say') writeFileSync(join(cwd, 'silent'), '')
    expect(publish('linux', 'main')).toEqual({ status: 0, said: '' })
    const calls = ['linux', 'main'].map((name) => `publish ${name}.tgz --provenance --access public\n`)
    expect(readFileSync(join(cwd, 'calls'), 'utf8')).toBe(calls.join(''))
  },
)

it('stops where one is refused, and goes on from there the next time', () => {
  writeFileSync(join(cwd, 'refused'), '@scope/linux@1.0.0')
  const first = publish('darwin', 'linux', 'main')
  expect([first.status, published()]).toEqual([1, '@scope/darwin@1.0.0\n'])
  expect(first.said).toContain('npm publish failed.')
  writeFileSync(join(cwd, 'refused'), '')
  const second = publish('darwin', 'linux', 'main')
  expect(second).toEqual({ status: 0, said: '@scope/darwin@1.0.0 is there already.\n' })
  expect(published()).toBe('@scope/darwin@1.0.0\n@scope/linux@1.0.0\n@scope/main@1.0.0\n')
})

it('publishes nothing where the registry cannot be asked, or when there is nothing', () => {
  writeFileSync(join(cwd, 'down'), '')
  expect(publish('linux')).toMatchObject({ status: 1, said: expect.stringContaining('ECONNREFUSED') })
  expect(publish()).toEqual({ status: 1, said: 'There is nothing to publish.\n' })
})
