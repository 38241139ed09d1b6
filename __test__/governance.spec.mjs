// syncWorkspaceDependencies: the versions of workspace packages in each other's package.json.
import {
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { syncWorkspaceDependencies } from '../index.js'
import { tempFolder } from './support/files.mjs'
import { rejection } from './support/wait.mjs'

/** A workspace of `packages/<folder>/package.json`, from objects or raw text. */
function workspace(packages) {
  const rootDir = tempFolder()
  for (const [folder, content] of Object.entries(packages)) {
    const file = join(rootDir, 'packages', folder, 'package.json')
    mkdirSync(dirname(file), { recursive: true })
    if (content !== null) writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  }
  const text = (folder) => readFileSync(join(rootDir, 'packages', folder, 'package.json'), 'utf8')
  const touched = (folder) => statSync(join(rootDir, 'packages', folder, 'package.json')).mtimeMs !== 1000
  for (const [folder, content] of Object.entries(packages)) {
    if (content !== null) utimesSync(join(rootDir, 'packages', folder, 'package.json'), 1, 1)
  }
  return { rootDir, text, touched, json: (folder) => JSON.parse(text(folder)) }
}

describe('syncWorkspaceDependencies', () => {
  it('sets dependencies and devDependencies on workspace packages to ^version', async () => {
    const { rootDir, json } = workspace({
      core: { name: '@helios/core', version: '1.2.3' },
      player: {
        name: '@helios/player',
        version: '2.0.0-beta.1',
        dependencies: { '@helios/core': '1.0.0', react: '^18.0.0' },
      },
      app: {
        name: 'app',
        version: '0.0.1',
        dependencies: { '@helios/player': '*' },
        devDependencies: { '@helios/core': 'workspace:*', vitest: '4' },
      },
    })
    expect(await syncWorkspaceDependencies({ rootDir })).toBeUndefined()
    expect(json('player').dependencies).toEqual({ '@helios/core': '^1.2.3', react: '^18.0.0' })
    expect(json('app').dependencies).toEqual({ '@helios/player': '^2.0.0-beta.1' })
    expect(json('app').devDependencies).toEqual({ '@helios/core': '^1.2.3', vitest: '4' })
  })

  it('writes two-space JSON with a final newline; key order and unknown fields stay', async () => {
    const app = {
      zeta: [],
      name: 'app',
      nested: { b: { c: [1, { d: null }] }, a: 'ü€😀' },
      version: '1.0.0',
      dependencies: { z: '1', core: '0', a: '2' },
      10: 'number',
      scripts: {},
    }
    const { rootDir, text } = workspace({ core: { name: 'core', version: '3.0.0' }, app })
    await syncWorkspaceDependencies({ rootDir })
    const expected = { ...app, dependencies: { z: '1', core: '^3.0.0', a: '2' } }
    expect(text('app')).toBe(`${JSON.stringify(expected, null, 2)}\n`)
  })

  it('writes only files that change, and leaves nothing else behind', async () => {
    const { rootDir, text, touched } = workspace({
      core: { name: 'core', version: '1.0.0' },
      same: { name: 'same', version: '1.0.0', dependencies: { core: '^1.0.0' } },
      other: { name: 'other', version: '1.0.0', dependencies: { core: '^0.9.0' } },
    })
    const same = text('same')
    await syncWorkspaceDependencies({ rootDir })
    expect(['core', 'same', 'other'].map(touched)).toEqual([false, false, true])
    expect(text('same')).toBe(same)
    expect(readdirSync(join(rootDir, 'packages', 'other'))).toEqual(['package.json'])
    const once = text('other')
    await syncWorkspaceDependencies({ rootDir })
    expect(text('other')).toBe(once)
  })

  it('leaves peer and optional dependencies alone', async () => {
    const peers = { peerDependencies: { core: '>=0.1' }, optionalDependencies: { core: '0.2' } }
    const { rootDir, json, touched } = workspace({
      core: { name: 'core', version: '1.0.0' },
      app: { name: 'app', version: '1.0.0', ...peers },
    })
    await syncWorkspaceDependencies({ rootDir })
    expect([json('app'), touched('app')]).toEqual([{ name: 'app', version: '1.0.0', ...peers }, false])
  })

  it('ignores folders without package.json, and packages without name or version', async () => {
    const { rootDir, json, touched } = workspace({
      empty: null,
      nameless: { version: '9.0.0' },
      versionless: { name: 'versionless' },
      app: { name: 'app', version: '1.0.0', dependencies: { versionless: '0.1.0', nameless: '0.2.0' } },
    })
    writeFileSync(join(rootDir, 'packages', 'README.md'), '# a file')
    await syncWorkspaceDependencies({ rootDir })
    expect(json('app').dependencies).toEqual({ versionless: '0.1.0', nameless: '0.2.0' })
    expect(touched('app')).toBe(false)
  })

  it('looks one level deep', async () => {
    const { rootDir, touched } = workspace({
      core: { name: 'core', version: '1.0.0' },
      'group/inner': { name: 'inner', version: '1.0.0', dependencies: { core: '0.1.0' } },
    })
    await syncWorkspaceDependencies({ rootDir })
    expect(touched('group/inner')).toBe(false)
  })

  it('does nothing without a packages folder', async () => {
    const rootDir = tempFolder()
    await syncWorkspaceDependencies({ rootDir })
    await syncWorkspaceDependencies({ rootDir: join(rootDir, 'missing') })
    expect(readdirSync(rootDir)).toEqual([])
  })

  it('rejects on broken JSON', async () => {
    const { rootDir } = workspace({ core: { name: 'core', version: '1.0.0' }, broken: '{"name": "broken",' })
    const error = await rejection(() => syncWorkspaceDependencies({ rootDir }))
    expect(error).toBeInstanceOf(SyntaxError)
    expect(error.message).toContain(join('broken', 'package.json'))
  })

  it('writes through a link and keeps the permissions of its target', async () => {
    const { rootDir, text } = workspace({ core: { name: 'core', version: '2.0.0' }, app: {} })
    const [link, target] = [join(rootDir, 'packages', 'app', 'package.json'), join(rootDir, 'app.json')]
    rmSync(link)
    writeFileSync(target, JSON.stringify({ name: 'app', dependencies: { core: '*' } }), { mode: 0o640 })
    symlinkSync(target, link)
    await syncWorkspaceDependencies({ rootDir })
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect(statSync(target).mode & 0o777).toBe(0o640)
    expect(JSON.parse(text('app')).dependencies).toEqual({ core: '^2.0.0' })
  })

  it.each([
    ['options', undefined],
    ['options', 5],
    ['rootDir', {}],
    ['rootDir', { rootDir: 5 }],
  ])('rejects with a TypeError that names %s: %j', async (field, options) => {
    const error = await rejection(() => syncWorkspaceDependencies(options))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(new RegExp(field, 'i'))
  })
})
