// Makes the packages that are published: the main one, without a binary, and one per platform with nothing but its addon.
//
//   node scripts/pack.mjs [--artifacts DIR]
//
// Packs what was built here. With `--artifacts` it takes the addons of all platforms from DIR, and fails when one is missing,
// as a release does. Leaves the archives in out/pack, and prints their names; the main one comes last, as it is published last.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { root } from './build.mjs'
import { run } from './run.mjs'

const OUT = join(root, 'out', 'pack')
/** What is printed is of use here, not on a terminal. */
const QUIET = { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] }
/** What is of use to those who work on the package, and to nobody else. */
const OURS = ['devDependencies', 'napi', 'prettier', 'scripts']

/** Packs; gives the paths of the archives. */
export function pack({ artifacts = root, isRelease = false } = {}) {
  rmSync(OUT, { recursive: true, force: true })
  const [main, platforms] = [join(OUT, 'main'), join(OUT, 'platforms')]
  mkdirSync(main, { recursive: true })
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const cli = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
  run(process.execPath, [cli, 'create-npm-dirs', '--npm-dir', platforms], QUIET)

  const names = readdirSync(platforms)
  const built = names.filter((name) => addAddon(join(platforms, name), artifacts, manifest))
  const missing = names.filter((name) => !built.includes(name))
  if (isRelease && missing.length > 0) throw new Error(`There is no addon for ${missing.join(', ')}.`)
  if (built.length === 0) throw new Error('There is no addon: build one first (npm run build).')

  const optionalDependencies = Object.fromEntries(names.map((name) => [`${manifest.name}-${name}`, manifest.version]))
  for (const file of [...manifest.files, 'README.md', 'LICENSE']) {
    // Declarations for `require` are those for `import`, and nothing that git keeps.
    cpSync(join(root, file === 'index.d.cts' ? 'index.d.ts' : file), join(main, file), { recursive: true })
  }
  write(main, { ...manifest, ...Object.fromEntries(OURS.map((field) => [field, undefined])), optionalDependencies })
  return [...built.map((name) => join(platforms, name)), main].map(archive)
}

/** Puts the addon of a platform into its package, if it is there. */
function addAddon(folder, artifacts, { engines }) {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const addon = join(artifacts, manifest.main)
  if (!existsSync(addon)) return false
  cpSync(addon, join(folder, manifest.main))
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  write(folder, { ...manifest, engines })
  return true
}

/** Writes a package.json. npm proves where a package comes from only if the package says so, too. */
function write(folder, manifest) {
  const repository = process.env.GITHUB_REPOSITORY
  const url = repository && { type: 'git', url: `git+https://github.com/${repository}.git` }
  const publishConfig = { access: 'public' }
  writeFileSync(
    join(folder, 'package.json'),
    `${JSON.stringify({ ...manifest, repository: url, publishConfig }, null, 2)}\n`,
  )
}

function archive(folder) {
  return join(OUT, run('npm', ['pack', '--silent', '--pack-destination', OUT, folder], QUIET).trim())
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { artifacts } = parseArgs({ options: { artifacts: { type: 'string' } } }).values
  try {
    for (const path of pack(artifacts ? { artifacts, isRelease: true } : {})) console.log(path)
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
