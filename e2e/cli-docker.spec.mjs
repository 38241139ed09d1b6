// `helios job run --adapter docker`: the renderer, with its browser, in containers that have the programs of this machine.
import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { makeFolder, removeFolder, tempFolder } from '../__test__/support/files.mjs'
import { until } from '../__test__/support/wait.mjs'
import { emit, environment, home, missing, prepare, prove, start, succeed } from './cli/helios.mjs'
import { startDocker } from './services/docker.mjs'

const IMAGE = 'helios-e2e-cli'
/** What the programs are in, and need. */
const SHARED = ['/usr', '/etc/fonts', '/etc/alternatives', '/etc/chromium.d', '/opt', home, dirname(process.execPath)]

const reason = missing()
let daemon, template
beforeAll(async () => {
  if (reason) return
  daemon = await startDocker()
  if (daemon.reason) return
  makeImage()
  emit((template = prepare(makeFolder())))
}, 120_000)
afterAll(async () => {
  if (template) removeFolder(template)
  await daemon?.stop?.()
}, 60_000)

/** An image that is the skeleton of this system: the folders that others are mounted into, and the links to them. */
function makeImage() {
  const root = makeFolder()
  try {
    // Docker puts its own init into /sbin, which therefore cannot be a folder of this machine.
    for (const name of ['usr', 'etc', 'tmp', 'sbin']) mkdirSync(join(root, name))
    for (const name of ['bin', 'lib', 'lib64']) {
      if (existsSync(`/${name}`)) symlinkSync(readlinkSync(`/${name}`), join(root, name))
    }
    const tar = execFileSync('tar', ['--create', '--directory', root, '.'])
    execFileSync('docker', ['import', '-', IMAGE], { env: { ...process.env, DOCKER_HOST: daemon.host }, input: tar })
  } finally {
    removeFolder(root)
  }
}

const containers = (...args) =>
  daemon
    .docker('ps', '-aq', ...args)
    .split('\n')
    .filter(Boolean)
const running = () => containers('--filter', 'status=running')
const variables = Object.entries(environment).map(([name, value]) => ['-e', `${name}=${value}`])
const mounts = SHARED.filter(existsSync).map((path) => ['-v', `${path}:${path}:ro`])
const dockerArgs = [...variables, ...mounts].flat().join(',')
const run = ['job', 'run', 'job.json', '--adapter', 'docker', '--docker-image', IMAGE, '--docker-args', dockerArgs]

describe('the command-line program with Docker', { timeout: 180_000 }, () => {
  let folder, env
  beforeEach((context) => {
    const why = reason || daemon.reason
    if (why) {
      process.stderr.write(`skipped: ${context.task.name}: ${why}\n`)
      context.skip(why)
    }
    cpSync(template, (folder = tempFolder()), { recursive: true })
    env = { DOCKER_HOST: daemon.host }
  })
  afterEach(() => {
    if (daemon?.docker) expect(containers()).toEqual([])
  })

  it('renders a video in containers', async (context) => {
    const { stdout } = await succeed(context, folder, [...run, '--concurrency', '2'], env)
    expect(stdout).toMatch(/\nMerge completed successfully\.\n$/)
    prove(join(folder, 'film.mov'))
  })

  it('says which chunk failed', async (context) => {
    const job = JSON.parse(readFileSync(join(folder, 'job.json'), 'utf8'))
    job.chunks[1].command = 'sh -c "echo no font >&2; exit 7"'
    writeFileSync(join(folder, 'job.json'), JSON.stringify(job))
    const { code, stderr } = await start(context, folder, [...run, '--concurrency', '2'], env).ended
    expect(code).toBe(1)
    const failure = 'Chunk 1 failed after 1 attempts: Chunk 1 failed with exit code 7: no font\n'
    expect(stderr).toContain(`\nJob execution failed: ${failure}`)
    expect(readdirSync(folder)).not.toContain('film.mov')
  })

  it.for(['SIGINT', 'SIGKILL'])('leaves no container after %s', async (signal, context) => {
    const { child, out, ended, living } = start(context, folder, [...run, '--concurrency', '2'], env)
    const isFilmed = () => out.stdout.includes('Initializing pool') && running().length === 2
    await until(isFilmed, 'two containers', 60_000)
    child.kill(signal)
    expect(await ended).toMatchObject({ code: null, signal })
    await until(() => containers().length === 0, 'the end of the containers', 20_000)
    await until(() => living().length === 0, 'the end of all that was started', 20_000)
    expect(readdirSync(folder)).not.toContain('film.mov')
  })
})
