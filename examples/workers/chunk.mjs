// Renders one chunk and ends with its exit code. Which one is said by arguments (a path and a number), or by the variables
// that Fly's machines (HELIOS_JOB_PAYLOAD) or Cloudflare's sandboxes (HELIOS_JOB_PATH, HELIOS_CHUNK_INDEX) have.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WorkerRuntime } from '@helios-project/infrastructure'
import { storageAt } from '../lib/settings.mjs'

const { HELIOS_JOB_PAYLOAD, HELIOS_JOB_PATH, HELIOS_CHUNK_INDEX } = process.env
const payload = HELIOS_JOB_PAYLOAD ? JSON.parse(HELIOS_JOB_PAYLOAD) : {}
const [jobPath = payload.jobPath ?? HELIOS_JOB_PATH, chunk = payload.chunkIndex ?? HELIOS_CHUNK_INDEX] =
  process.argv.slice(2)

const workspaceDir = await mkdtemp(join(tmpdir(), 'helios-'))
try {
  const result = await new WorkerRuntime({ workspaceDir, storage: storageAt() }).run(jobPath, Number(chunk))
  process.stdout.write(result.stdout)
  process.stderr.write(result.stderr)
  process.exitCode = result.exitCode < 0 ? 1 : result.exitCode
} finally {
  await rm(workspaceDir, { recursive: true, force: true })
}
