// What the seams between the chunks of a finished video look like. Whether it is whole the stitcher has found out itself.

import { run, words } from './toolchain.mjs'

/**
 * Writes an image of all seams: a field for each chunk, its first frame above its last one. The number in the last
 * frame of a chunk and that in the first frame of the next one must follow each other.
 */
export async function writeContactSheet(ffmpegPath, video, image, { framesPerChunk, columns, rows }) {
  const filters = [
    `select='eq(mod(n,${framesPerChunk}),0)+eq(mod(n,${framesPerChunk}),${framesPerChunk - 1})'`,
    'scale=320:-2:flags=area,tile=1x2',
    `tile=${columns}x${rows}:margin=12:padding=12:color=0x202020`,
  ]
  const output = [...words('-frames:v 1 -update 1'), image]
  await run(ffmpegPath, [...words('-y -nostdin -v error -i'), video, '-vf', filters.join(','), ...output])
}
