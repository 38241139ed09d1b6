// `helios job run --adapter kubernetes`. The program gives the pods no volume, so that no video can come of it: the commands say
// what they do, and are left apart.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { tempFolder } from '../__test__/support/files.mjs'
import { until } from '../__test__/support/wait.mjs'
import { isInstalled, start } from './cli/helios.mjs'
import { missing, startKubernetes } from './services/kubernetes.mjs'

const reason = isInstalled() ? missing() : 'the program is not installed (npm run test:cli)'
if (reason) process.stderr.write(`skipped: the command-line program with Kubernetes: ${reason}\n`)

describe.skipIf(reason)('the command-line program with Kubernetes', { timeout: 120_000 }, () => {
  let cluster
  beforeAll(async () => void (cluster = await startKubernetes()), 300_000)
  afterAll(() => cluster?.stop(), 120_000)
  /** The Jobs that are there, and are not going away. */
  const jobs = async () =>
    (await cluster.ask('GET', '/apis/batch/v1/namespaces/default/jobs')).body.items.filter(
      ({ metadata }) => !metadata.deletionTimestamp,
    )
  afterEach(async () => {
    if (cluster?.isOwn) await until(async () => (await jobs()).length === 0, 'the end of all Jobs', 30_000)
  }, 60_000)

  const run = (context, commands, ...more) => {
    const folder = tempFolder()
    const chunks = commands.map((command, id) => ({
      id,
      startFrame: id,
      frameCount: 1,
      outputFile: `${id}.mov`,
      command,
    }))
    writeFileSync(join(folder, 'job.json'), JSON.stringify({ metadata: {}, chunks, mergeCommand: 'false' }))
    const { image } = cluster.options
    const where = [
      '--k8s-kubeconfig-path',
      cluster.kubeconfig,
      '--k8s-job-image',
      image,
      '--k8s-job-name-prefix',
      'cli',
    ]
    return start(context, folder, ['job', 'run', 'job.json', '--adapter', 'kubernetes', ...where, ...more])
  }

  it('runs the chunks as Jobs', async (context) => {
    const commands = [0, 1, 2, 3].map((id) => `sh -c "echo chunk ${id} of $HOSTNAME"`)
    const { code, stdout, stderr } = await run(context, commands, '--concurrency', '2', '--no-merge').ended
    expect(code, stdout + stderr).toBe(0)
    for (const id of [0, 1, 2, 3]) {
      expect(stdout).toMatch(new RegExp(`^chunk ${id} of `, 'm'))
      expect(stdout).toMatch(new RegExp(`^\\[Worker \\d\\] Chunk ${id} completed \\(\\d/4\\)$`, 'm'))
    }
    expect(stdout).toMatch(/\nSkipping merge step \(disabled in options\)\.\n$/)
  })

  it('says which chunk failed', async (context) => {
    const { code, stderr } = await run(context, ['true', 'sh -c "echo no font; exit 7"']).ended
    expect(code).toBe(1)
    const failure = 'Chunk 1 failed after 1 attempts: Chunk 1 failed with exit code 7: no font'
    expect(stderr).toContain(`\nJob execution failed: ${failure}`)
  })
})
