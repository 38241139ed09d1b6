// Looks at the packages as a user gets them: packs them, installs them from a registry of its own into empty projects, and
// uses them there, by Node 20, 22 and 24, as ES modules, CommonJS and TypeScript.
//
//   npm run smoke:pack
//   node scripts/smoke.mjs --here
//
// `--here` takes the addon that is there, and looks only at what depends on the platform, with the Node that runs this.

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, delimiter, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from './build.mjs'
import { pack } from './pack.mjs'
import { run } from './run.mjs'
import { sysroot } from './sysroot.mjs'

const NAME = '@helios-project/infrastructure'
const { here } = parseArgs({ options: { here: { type: 'boolean' } } }).values
const NODES = here ? [process.versions.node] : ['20', '22', '24']
/** On Linux on x64, where it is looked at. */
const LARGEST_MB = 26
/** What the official builds of Node need themselves. */
const NEWEST_GLIBC = '2.28'
const bin = (name) => join(root, 'node_modules', '.bin', name)

const work = mkdtempSync(join(tmpdir(), 'helios-smoke-'))
/** What a program says is of use when it fails only. */
const QUIET = { cwd: work, stdio: 'pipe', timeout: 300_000 }
let failures = 0

/** Runs one look, and says what came of it. */
async function look(what, work) {
  const started = performance.now()
  try {
    const found = await work()
    console.log(`ok      ${what}${found ? `: ${found}` : ''} (${Math.round(performance.now() - started)} ms)`)
  } catch (error) {
    failures += 1
    console.log(`FAILED  ${what}\n${error.message}`)
  }
}

/** A registry that has these archives, and nothing else. */
async function registry(archives) {
  const packages = new Map()
  for (const archive of archives) {
    // By its name alone: GNU tar takes what is before a colon, as in C:\, for another machine.
    const options = { ...QUIET, cwd: dirname(archive) }
    const manifest = JSON.parse(run('tar', ['-xzOf', basename(archive), 'package/package.json'], options))
    packages.set(manifest.name, { archive, manifest })
  }
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url.slice(1))
    const file = [...packages.values()].find(({ archive }) => path === `-/${basename(archive)}`)
    if (file) return void response.end(readFileSync(file.archive))
    const found = packages.get(path)
    if (!found) return void response.writeHead(404).end('{}')
    const { archive, manifest } = found
    const sha512 = createHash('sha512').update(readFileSync(archive)).digest('base64')
    const dist = { tarball: `${url}-/${basename(archive)}`, integrity: `sha512-${sha512}` }
    const { name, version } = manifest
    const versions = { [version]: { ...manifest, dist } }
    response.end(JSON.stringify({ name, 'dist-tags': { latest: version }, versions }))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const url = `http://127.0.0.1:${server.address().port}/`
  return { url, close: () => server.close() }
}

/** An empty project, with our packages installed. npm runs beside this process, which answers it. */
async function project(name, url, ...args) {
  const folder = join(work, name)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  writeFileSync(join(folder, '.npmrc'), `@helios-project:registry=${url}\n`)
  const all = ['install', '--no-audit', '--no-fund', '--loglevel=error', '--cache', join(work, 'cache'), NAME, ...args]
  const npm = spawn('npm', all, {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: process.platform === 'win32',
  })
  const [code] = await once(npm, 'close')
  if (code !== 0) throw new Error(`npm install ended with ${code}`)
  return folder
}

/** The example of the README, as an ES module and as CommonJS. */
function examples() {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const esm = /```js\n(import \{[\s\S]+?)```/.exec(readme)[1]
  const ending = '\nconsole.log(JSON.stringify((await manager.waitForJob(id)).state))\n'
  const cjs = (esm + ending).replace(/import (\{[\s\S]+?\}) from ('.+')/, 'const $1 = require($2)')
  const [head, ...rest] = cjs.split('\n\n')
  return { 'example.mjs': esm + ending, 'example.cjs': `${head}\n\n;(async () => {\n${rest.join('\n\n')}\n})()\n` }
}

/** Node as npm has it, or the one that runs this. */
function node(version) {
  if (here) return process.execPath
  const folder = join(root, 'target', 'smoke', `node-${version}`)
  const program = join(folder, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (!statSync(program, { throwIfNoEntry: false })) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
    run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', `node@${version}`], { ...QUIET, cwd: folder })
  }
  return program
}

function size(folder) {
  const files = readdirSync(folder, { recursive: true }).map((name) => statSync(join(folder, name)))
  return files.reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0) / 1e6
}

function newestGlibc(addon) {
  const symbols = run('readelf', ['--wide', '--version-info', addon], QUIET)
  const versions = [...symbols.matchAll(/GLIBC_([\d.]+)/g)].map(([, version]) => version)
  return versions.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
}

/** Loads an addon into a program whose C library is that of 2012: Node 16, the last one that goes with it. */
function loadOnOldGlibc(addon) {
  const libraries = join(sysroot(join(root, 'target')), 'lib')
  const script = `const made = { exports: {} }
process.dlopen(made, process.argv[1])
const { glibcVersionRuntime } = process.report.getReport().header
;[glibcVersionRuntime, 'with', Object.keys(made.exports).length, 'exports'].join(' ')`
  const args = ['--library-path', libraries, node('16'), '-p', script, addon]
  const printed = run(join(libraries, 'ld-linux-x86-64.so.2'), args, QUIET).trim()
  if (!/^2\.17 with \d\d exports$/.test(printed)) throw new Error(printed)
  return printed
}

/** A program that uses what is exported, with every way to resolve modules that people have. */
function compile(folder, file, options) {
  const source = `
import { FileJobRepository, JobExecutor, JobManager, LocalWorkerAdapter, type JobSpec, type WorkerResult } from '${NAME}'
const manager: JobManager = new JobManager(new FileJobRepository('jobs'), new JobExecutor(new LocalWorkerAdapter()))
const spec: JobSpec = { id: 'film', chunks: [], mergeCommand: '', metadata: { totalFrames: 1, fps: 1, width: 1, height: 1, duration: 1 } }
export const id: Promise<string> = manager.submitJob(spec, { concurrency: 2 })
export const run = async (): Promise<WorkerResult> => new LocalWorkerAdapter().execute({ command: 'true' })
`
  writeFileSync(join(folder, file), source)
  const strict = ['--noEmit', '--strict', '--skipLibCheck', 'false', '--target', 'es2022', '--types', 'node']
  run(bin('tsc'), [...strict, ...options, file], { ...QUIET, cwd: folder })
}

try {
  const archives = pack()
  const served = await registry(archives)
  const folder = await project('user', served.url, ...(here ? [] : ['@types/node@20', 'typescript']))
  const installed = join(folder, 'node_modules', '@helios-project')

  await look('two packages', () => {
    const packages = readdirSync(installed)
    if (packages.length !== 2) throw new Error(`there are ${packages.join(', ')}`)
    const megabytes = size(installed)
    if (!here && megabytes > LARGEST_MB) throw new Error(`they have ${megabytes.toFixed(1)} MB`)
    return `${megabytes.toFixed(1)} MB`
  })
  if (basename(archives[0]).includes('-gnu-')) {
    const [platform] = readdirSync(installed).filter((name) => name !== 'infrastructure')
    const file = readdirSync(join(installed, platform)).find((name) => name.endsWith('.node'))
    const addon = join(installed, platform, file)
    await look(`glibc, at most ${NEWEST_GLIBC}`, () => {
      const newest = newestGlibc(addon)
      if (newest.localeCompare(NEWEST_GLIBC, 'en', { numeric: true }) > 0) throw new Error(`it needs ${newest}`)
      return newest
    })
    if (!here) await look('loads on glibc 2.17', () => loadOnOldGlibc(addon))
  }
  for (const [name, source] of Object.entries(examples())) writeFileSync(join(folder, name), source)
  // ffmpeg is what the example's own commands start.
  const { default: ffmpeg } = await import('@ffmpeg-installer/ffmpeg')
  const env = { ...process.env, PATH: `${process.env.PATH}${delimiter}${dirname(ffmpeg.path)}` }
  for (const version of NODES) {
    for (const file of ['example.mjs', 'example.cjs']) {
      await look(`${file}, Node ${version}`, () => {
        rmSync(join(folder, 'film.mp4'), { force: true })
        const program = node(version)
        const printed = run(program, [file], { ...QUIET, cwd: folder, env })
        if (!printed.trimEnd().endsWith('"completed"')) throw new Error(printed)
        return `${run(program, ['--version'], QUIET).trim()}, film.mp4 of ${statSync(join(folder, 'film.mp4')).size} bytes`
      })
    }
  }
  if (!here) {
    for (const [file, options] of [
      ['node16.mts', ['--module', 'node16', '--moduleResolution', 'node16']],
      ['node16.cts', ['--module', 'node16', '--moduleResolution', 'node16']],
      ['bundler.ts', ['--module', 'esnext', '--moduleResolution', 'bundler']],
    ]) {
      await look(`TypeScript, ${file}`, () => compile(folder, file, options))
    }
    await look('publint', () => void run(bin('publint'), ['--strict', archives.at(-1)], QUIET))
    await look('are the types wrong?', () => void run(bin('attw'), [archives.at(-1), '--profile', 'node16'], QUIET))
  }

  const without = await project('without', served.url, '--omit=optional')
  await look('no package for the platform', () => {
    const { status, stderr } = spawnSync(process.execPath, ['-e', `import('${NAME}')`], {
      cwd: without,
      encoding: 'utf8',
    })
    const said = stderr.includes(`${NAME} needs the package ${NAME}-`) && stderr.includes('Install again with optional')
    if (status === 0 || !said) throw new Error(stderr)
  })
  served.close()
} catch (error) {
  failures += 1
  console.error(error.message)
} finally {
  rmSync(work, { recursive: true, force: true, maxRetries: 3 })
}
console.log(failures === 0 ? '\nThe packages are as they should be.' : `\n${failures} failed.`)
process.exitCode = failures === 0 ? 0 : 1
