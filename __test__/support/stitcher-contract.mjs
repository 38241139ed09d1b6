// What every stitcher must do, by itself and under a JobExecutor.
import { describe, expect, it, vi } from 'vitest'
import { JobExecutor } from '../../index.js'
import { captureConsole } from './console.mjs'
import { adapterOf, chunk, exit, spec } from './jobs.mjs'
import { rejection } from './wait.mjs'

/** `make(adapter)` gives a stitcher that makes its video with one command of the adapter. */
export function stitcherContract(name, make) {
  describe(`${name}, as a stitcher`, () => {
    it('names the output to its adapter', async () => {
      const adapter = adapterOf()
      expect(await make(adapter).stitch(['/in/1.mp4', '/in/2.mp4'], '/out/film.mp4')).toBeUndefined()
      expect(adapter.calls).toHaveLength(1)
      expect(adapter.calls[0].args).toContain('/out/film.mp4')
    })

    it('refuses to make a video of nothing', async () => {
      const adapter = adapterOf()
      const error = await rejection(() => make(adapter).stitch([], '/out/film.mp4'))
      expect(error).toMatchObject({ name: 'Error', message: 'No input files provided for stitching' })
      expect(adapter.calls).toEqual([])
    })

    it('merges a job: inputs by chunk id, paths against the job folder, called as a method', async () => {
      const lines = captureConsole()
      const stitcher = make(adapterOf())
      const stitch = vi.spyOn(stitcher, 'stitch')
      const chunks = [
        chunk(10),
        chunk(9, { outputFile: '/elsewhere/nine.mp4' }),
        chunk(2, { outputFile: '../two.mp4' }),
      ]
      const job = spec(chunks, { mergeCommand: 'never' })
      await new JobExecutor(adapterOf()).execute(job, { stitcher, outputFile: 'out/film.mp4', jobDir: '/jobs/1' })
      expect(stitch.mock.contexts).toEqual([stitcher])
      const inputs = ['/jobs/two.mp4', '/elsewhere/nine.mp4', '/jobs/1/chunk-10.mp4']
      expect(stitch.mock.calls).toEqual([[inputs, '/jobs/1/out/film.mp4']])
      expect(lines.slice(-2)).toEqual([
        ['log', 'All chunks completed. Starting merge step using dedicated VideoStitcher...'],
        ['log', 'Merge completed successfully via VideoStitcher.'],
      ])
    })

    it('fails the job when its command fails', async () => {
      const lines = captureConsole()
      const stitcher = make(adapterOf(() => exit(2, 'no codec')))
      const options = { stitcher, outputFile: 'film.mp4', jobDir: '/jobs/1' }
      const error = await rejection(() => new JobExecutor(adapterOf()).execute(spec(1), options))
      expect(error.message).toBe('FFmpeg stitching failed with exit code 2: no codec')
      expect(lines.at(-1)).toEqual(['error', 'Merge step failed:', error.message])
    })
  })
}
