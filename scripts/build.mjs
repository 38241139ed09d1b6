// Builds the native addon and its declarations (index.d.ts), unless what is there is up to date.
//
//   node scripts/build.mjs quick|release [--force] [--portable] [--features LIST] [--no-default-features]
//
// `quick` builds in a fraction of the time of `release` (no link-time optimisation); a release build is good enough
// where a quick one is wanted, but not the other way round. `--portable` (Linux with glibc on x64) makes an addon that also
// loads on older systems, as those that are published do.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { sysroot } from './sysroot.mjs'

export const root = fileURLToPath(new URL('..', import.meta.url))

const KINDS = ['quick', 'release']
const SOURCES = ['src', 'types', 'build.rs', 'Cargo.toml', 'rust-toolchain.toml', 'package.json']
const platform = `${process.platform}-${process.arch}`
const STAMP = join(root, 'target', 'addon.json')
const NO_CARGO = `The addon is written in Rust, and cargo was not found. Install Rust, then try again:

  Linux, macOS   curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y
                 . "$HOME/.cargo/env"
  Windows        https://rustup.rs
`

/** Builds if need be. Returns whether it built; throws an error whose message is meant for people. */
export function build(kind, { force = false, portable = false, features, defaultFeatures = true } = {}) {
  if (!KINDS.includes(kind)) throw new Error(`There is no build '${kind}', only ${KINDS.join(' and ')}.`)
  const selection = []
  if (features) selection.push('--features', features)
  if (!defaultFeatures) selection.push('--no-default-features')
  if (portable && platform !== 'linux-x64')
    throw new Error(`A portable build is made on linux-x64, not on ${platform}.`)
  if (!force && isUpToDate(kind, selection.join(' '), portable)) return false

  const env = rustEnvironment()
  if (portable) env.HELIOS_SYSROOT = sysroot(join(root, 'target'))
  console.log(`Building the addon (${kind})...`)
  const profile = kind === 'release' ? ['--release'] : ['--profile', kind]
  // With some features left out the declarations lack their classes: they must not take the place of the full ones.
  const declarations = selection.length > 0 ? join('target', 'partial.d.ts') : 'index.d.ts'
  const output = ['--no-js', '--dts', declarations, '--output-dir', '.']
  const sources = digest(SOURCES)
  const started = Date.now()
  const cli = join(root, 'node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
  // What is published has the dependencies that were tested, not whatever is the newest that fits.
  const locked = kind === 'release' ? ['--', '--locked'] : []
  const args = [cli, 'build', '--platform', ...profile, ...output, ...selection, ...locked]
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) throw new Error(`The addon could not be built.${linkerHint(env)}`)

  mendDeclarations(declarations)
  const file = newestAddon()
  const { size, mtimeMs } = statSync(join(root, file))
  // Cargo.lock is taken as it is now: a first build writes it.
  const inputs = { kind, portable, selection: selection.join(' '), platform, sources, lock: digest(['Cargo.lock']) }
  mkdirSync(join(root, 'target'), { recursive: true })
  writeFileSync(STAMP, `${JSON.stringify({ ...inputs, file, size, mtimeMs }, null, 2)}\n`)
  console.log(
    `Built ${file} (${kind}, ${(size / 1e6).toFixed(1)} MB) in ${Math.round((Date.now() - started) / 1000)} s.`,
  )
  return true
}

/** Says which class extends another. */
function mendDeclarations(declarations) {
  const path = join(root, declarations)
  const text = readFileSync(path, 'utf8').replace(
    'declare class R2StorageAdapter {',
    'declare class R2StorageAdapter extends S3StorageAdapter {',
  )
  writeFileSync(path, text)
  // To TypeScript what `require` gives is another module, which needs declarations of its own.
  if (declarations === 'index.d.ts') writeFileSync(join(root, 'index.d.cts'), text)
}

/** The environment in which cargo is found: rustup puts it where only a new login shell looks. */
export function rustEnvironment() {
  const bin = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin')
  const name = Object.keys(process.env).find((key) => key.toUpperCase() === 'PATH') ?? 'PATH'
  for (const path of [process.env[name] ?? '', `${bin}${delimiter}${process.env[name] ?? ''}`]) {
    const env = { ...process.env, [name]: path }
    const { error } = spawnSync('cargo', ['--version'], { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] })
    if (!error) return env
  }
  throw new Error(NO_CARGO)
}

function isUpToDate(kind, selection, portable) {
  const stamp = readStamp()
  if (!stamp || stamp.platform !== platform || (portable && !stamp.portable)) return false
  if (KINDS.indexOf(stamp.kind) < KINDS.indexOf(kind)) return false
  // A build with everything in it also serves where less is wanted.
  if (stamp.selection !== selection && stamp.selection !== '') return false
  if (!['index.d.ts', 'index.d.cts'].every((file) => existsSync(join(root, file)))) return false
  const addon = statSync(join(root, stamp.file), { throwIfNoEntry: false })
  if (addon?.size !== stamp.size || addon?.mtimeMs !== stamp.mtimeMs) return false
  // By content, not by time: changing branches touches files that are the same in the end.
  return stamp.sources === digest(SOURCES) && stamp.lock === digest(['Cargo.lock'])
}

function readStamp() {
  try {
    return JSON.parse(readFileSync(STAMP, 'utf8'))
  } catch {
    return undefined // never built, or interrupted while writing: build
  }
}

/** One value for the contents of all these files and folders. */
function digest(names) {
  const hash = createHash('sha256')
  for (const name of names) {
    const stats = statSync(join(root, name), { throwIfNoEntry: false })
    const inside = stats?.isDirectory() ? readdirSync(join(root, name), { recursive: true }).sort() : ['']
    for (const path of inside.map((entry) => join(root, name, entry))) {
      if (!statSync(path, { throwIfNoEntry: false })?.isFile()) continue
      const content = readFileSync(path)
      hash.update(`${path.slice(root.length)}\0${content.length}\0`).update(content)
    }
  }
  return hash.digest('hex')
}

function newestAddon() {
  const modified = (file) => statSync(join(root, file)).mtimeMs
  const files = readdirSync(root).filter((file) => file.endsWith('.node'))
  if (files.length === 0) throw new Error('The build ended well but left no .node file.')
  return files.reduce((a, b) => (modified(b) > modified(a) ? b : a))
}

function linkerHint(env) {
  if (process.platform === 'win32' || !spawnSync('cc', ['--version'], { env, stdio: 'ignore' }).error) return ''
  return ' There is no C compiler, which Rust links with (Debian: build-essential, macOS: xcode-select --install).'
}

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        force: { type: 'boolean' },
        portable: { type: 'boolean' },
        features: { type: 'string' },
        'no-default-features': { type: 'boolean' },
      },
    })
    const [kind = 'quick'] = positionals
    const { force, portable, features } = values
    if (!build(kind, { force, portable, features, defaultFeatures: !values['no-default-features'] })) {
      console.log(`The addon is up to date (${readStamp().kind}).`)
    }
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
