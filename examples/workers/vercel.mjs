// A function of Vercel (api/render.mjs, Node runtime) that renders one chunk per request. It needs ffmpeg in its bundle.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WorkerRuntime } from '@helios-project/infrastructure'
import { jobPaths, setting, storageAt } from '../lib/settings.mjs'

export const maxDuration = 300
const storage = storageAt()

/** @param {Request} request */
export async function POST(request) {
  if (request.headers.get('authorization') !== `Bearer ${setting('TOKEN')}`) {
    return new Response('Unauthorized', { status: 401 })
  }
  const { jobPath, chunkIndex } = /** @type {any} */ (await request.json())
  if (!`${jobPath}`.startsWith(`${jobPaths()}/`)) {
    return new Response('Forbidden', { status: 403 })
  }
  const workspaceDir = await mkdtemp(join(tmpdir(), 'helios-'))
  try {
    return Response.json(await new WorkerRuntime({ workspaceDir, storage }).run(jobPath, chunkIndex))
  } catch (error) {
    return Response.json({ message: `${error}` }, { status: 500 })
  } finally {
    await rm(workspaceDir, { recursive: true, force: true })
  }
}
