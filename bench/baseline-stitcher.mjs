// The counterpart's stitcher: one ffprobe per input, as many at once as there are cores, then ffmpeg's concat demuxer.
// It looks at nothing that it is told, and at nothing that it makes: what is compared is the price of looking.
import { execFile } from 'node:child_process'
import { unlink, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { pool } from './fixtures.mjs'

const run = promisify(execFile)

export class FfmpegStitcher {
  constructor(_adapter, { ffmpegPath, ffprobePath }) {
    this.programs = { ffmpegPath, ffprobePath }
  }

  async stitch(inputs, output) {
    const { ffmpegPath, ffprobePath } = this.programs
    const probe = (i) => run(ffprobePath, ['-v', 'error', '-show_streams', '-show_format', '-of', 'json', inputs[i]])
    await pool(inputs.length, availableParallelism(), probe)
    const list = join(tmpdir(), `concat-${process.pid}-${Date.now()}.txt`)
    await writeFile(list, inputs.map((input) => `file '${input}'\n`).join(''))
    try {
      await run(ffmpegPath, ['-v', 'error', '-f', 'concat', '-safe', '0', '-i', list, '-c', 'copy', output, '-y'])
    } finally {
      await unlink(list)
    }
  }
}
