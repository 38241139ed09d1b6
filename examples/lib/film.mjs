// What the examples render: two seconds of a test picture in four chunks, each by a command of its own, which reads the title.
import { mkdirSync, writeFileSync } from 'node:fs'
import { extname, join, resolve } from 'node:path'

const FRAMES = 15

/**
 * @param {number} from
 * @param {number} to
 * @param {string} file
 */
const render = (from, to, file) =>
  [
    'ffmpeg -y -nostdin -v error -f lavfi -i testsrc2=size=320x180:rate=30 -f ffmetadata -i title.txt -map 0 -map_metadata 1',
    `-vf trim=start_frame=${from}:end_frame=${to},setpts=PTS-STARTPTS -pix_fmt yuv420p ${file}`,
  ].join(' ')

const chunks = [0, 1, 2, 3].map((id) => ({
  id,
  startFrame: id * FRAMES,
  frameCount: FRAMES,
  outputFile: `part-${id}.mp4`,
  command: render(id * FRAMES, (id + 1) * FRAMES, `part-${id}.mp4`),
}))

export const film = {
  id: 'film',
  metadata: { totalFrames: 4 * FRAMES, fps: 30, width: 320, height: 180, duration: 2 },
  chunks,
  mergeCommand: '',
}

/**
 * Makes the folder of the job, with what its commands read.
 *
 * @param {string} folder
 */
export function prepare(folder) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'title.txt'), ';FFMETADATA1\ntitle=A test picture\n')
  return resolve(folder)
}

/**
 * Waits until a job is over, and removes it with all that was stored for it. Says what came of it, or throws.
 *
 * @param {import('@helios-project/infrastructure').JobManager} manager
 * @param {string} id
 */
export async function finish(manager, id) {
  const job = await manager.waitForJob(id)
  await manager.deleteJob(id)
  if (job?.state !== 'completed') throw new Error(job?.error ?? `The job is ${job?.state}.`)
  console.log(`${job.result.outputFile}: ${job.result.frames} frames, proven`)
}

/**
 * Where `WorkerRuntime` puts the file of a chunk: what an adapter whose workers cannot tell says for them.
 *
 * @param {import('@helios-project/infrastructure').WorkerJob} job
 */
export function outputUrl({ meta = {} }) {
  return meta.jobDefUrl.replace(/[/.]job\.json$/, `/.helios-outputs/${meta.chunkId}${extname(meta.outputFile)}`)
}
