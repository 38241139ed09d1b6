// JobExecutor: the merge, in all its variants.
import { describe, expect, it } from 'vitest'
import { JobExecutor, LocalWorkerAdapter } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { adapterOf, chunk, exit, ok, spec } from './support/jobs.mjs'
import { outcome, rejection } from './support/wait.mjs'

const run = (adapter, job, options) => new JobExecutor(adapter).execute(job, { jobDir: '/jobs/1', ...options })
const merging = (mergeCommand = `ffmpeg -i 'a b.mp4' out.mp4`) => spec(1, { mergeCommand })
const chunkLines = 5

const viaCommand = ['log', 'All chunks completed. Starting merge step via mergeCommand...']
const viaStitcher = ['log', 'All chunks completed. Starting merge step using dedicated VideoStitcher...']
const done = ['log', 'Merge completed successfully.']
const fallback = ['warn', 'Warning: stitcher provided but outputFile is missing. Falling back to mergeCommand.']
const none = ['log', 'Skipping merge step (no merge mechanism provided).']
const disabled = ['log', 'Skipping merge step (disabled in options).']

function stitcherOf(run = () => {}) {
  const stitcher = {
    calls: [],
    async stitch(...args) {
      stitcher.calls.push([this === stitcher, ...args])
      return run(...args)
    },
  }
  return stitcher
}

describe('the merge command', () => {
  it('is split and run by the adapter of the chunks', async () => {
    const lines = captureConsole()
    const adapter = adapterOf()
    const { signal } = new AbortController()
    await run(adapter, merging(), { signal })
    expect(adapter.calls[1]).toEqual({
      command: 'ffmpeg',
      args: ['-i', 'a b.mp4', 'out.mp4'],
      cwd: '/jobs/1',
      env: process.env,
      signal,
    })
    expect([adapter.calls[1].signal === signal, adapter.calls[1].env === process.env]).toEqual([true, true])
    expect(lines.slice(chunkLines)).toEqual([viaCommand, done])
  })

  it('is run by the merge adapter where there is one, as a method', async () => {
    captureConsole()
    const adapter = adapterOf()
    const seen = []
    const mergeAdapter = {
      execute(job) {
        seen.push([this === mergeAdapter, job.command])
        return ok()
      },
    }
    await run(adapter, merging(), { mergeAdapter })
    expect([adapter.calls.length, seen]).toEqual([1, [[true, 'ffmpeg']]])
  })

  it.each([
    ['an empty spec', spec([])],
    ['all chunks done before', spec(1)],
  ])('is run also with %s', async (_, job) => {
    captureConsole()
    const adapter = adapterOf()
    await run(adapter, { ...job, mergeCommand: 'merge' }, { completedChunkIds: [1] })
    expect(adapter.calls.map(({ command }) => command)).toEqual(['merge'])
  })

  it('is really run, with our own adapter', async () => {
    captureConsole()
    const jobDir = tempFolder()
    const error = await rejection(() =>
      run(new LocalWorkerAdapter(), spec(['true'], { mergeCommand: 'sh -c "pwd >&2; exit 3"' }), { jobDir }),
    )
    expect(error.message).toBe(`Merge failed with exit code 3: ${jobDir}\n`)
  })

  it('fails the job with its exit code', async () => {
    const lines = captureConsole()
    const error = await rejection(() => run(adapterOf(), merging(), { mergeAdapter: adapterOf(() => exit(9, 'full')) }))
    expect(error).toMatchObject({ name: 'Error', message: 'Merge failed with exit code 9: full' })
    expect(lines.slice(chunkLines)).toEqual([viaCommand, ['error', 'Merge step failed:', error.message]])
  })

  it('is not tried again', async () => {
    captureConsole()
    const mergeAdapter = adapterOf(() => exit(9))
    await rejection(() => run(adapterOf(), merging(), { mergeAdapter, retries: 3, retryDelay: 0 }))
    expect(mergeAdapter.calls).toHaveLength(1)
  })

  it.each(['   ', '\t\n', '\u00a0\ufeff'])('must not be blank: %j', async (mergeCommand) => {
    const lines = captureConsole()
    const adapter = adapterOf()
    const error = await rejection(() => run(adapter, merging(mergeCommand)))
    expect(error.message).toBe('Command string cannot be empty')
    expect(adapter.calls).toHaveLength(1)
    expect(lines[chunkLines]).toEqual(viaCommand)
  })
})

const thrown = [
  ['an Error', new Error('mine'), 'mine'],
  ['text', 'just text', 'just text'],
  ['undefined', undefined, 'undefined'],
  ['an object', { code: 1 }, '[object Object]'],
]

describe('what is thrown in a merge is rethrown as it is:', () => {
  const fail = (value) => () => {
    throw value
  }

  it.each(thrown)('%s by an adapter', async (_, value, text) => {
    const lines = captureConsole()
    for (const execute of [fail(value), () => Promise.reject(value)]) {
      lines.length = 0
      const { error } = await outcome(run(adapterOf(), merging(), { mergeAdapter: { execute } }))
      expect(error).toBe(value)
      expect(lines.slice(chunkLines)).toEqual([viaCommand, ['error', 'Merge step failed:', text]])
    }
  })

  it.each(thrown)('%s by a stitcher', async (_, value, text) => {
    const lines = captureConsole()
    for (const stitch of [fail(value), () => Promise.reject(value)]) {
      lines.length = 0
      const { error } = await outcome(run(adapterOf(), spec(1), { stitcher: { stitch }, outputFile: 'out.mp4' }))
      expect(error).toBe(value)
      expect(lines.slice(chunkLines)).toEqual([viaStitcher, ['error', 'Merge step failed:', text]])
    }
  })
})

describe('a stitcher', () => {
  it('with an output file is preferred to the merge command', async () => {
    const lines = captureConsole()
    const adapter = adapterOf()
    const stitcher = stitcherOf()
    const chunks = [chunk(10), chunk(2), chunk(1, { outputFile: '/abs/1.mp4' })]
    await run(adapter, spec(chunks, { mergeCommand: 'merge' }), { stitcher, outputFile: '../film.mp4' })
    const inputs = ['/abs/1.mp4', '/jobs/1/chunk-2.mp4', '/jobs/1/chunk-10.mp4']
    expect(stitcher.calls).toEqual([[true, inputs, '/jobs/film.mp4']])
    expect(adapter.calls).toHaveLength(3)
    expect(lines.slice(-2)).toEqual([viaStitcher, ['log', 'Merge completed successfully via VideoStitcher.']])
  })

  it('gets the chunks done before, too', async () => {
    captureConsole()
    const stitcher = stitcherOf()
    await run(adapterOf(), spec(3), { stitcher, outputFile: 'film.mp4', completedChunkIds: [1, 2] })
    expect(stitcher.calls[0][1]).toEqual([1, 2, 3].map((id) => `/jobs/1/chunk-${id}.mp4`))
  })

  it('without an output file gives way to the merge command, with a warning', async () => {
    const lines = captureConsole()
    const adapter = adapterOf()
    const stitcher = stitcherOf()
    await run(adapter, merging('merge'), { stitcher })
    expect([stitcher.calls, adapter.calls[1].command]).toEqual([[], 'merge'])
    expect(lines.slice(chunkLines)).toEqual([viaCommand, fallback, done])
  })

  it('without output file and merge command is no merge mechanism', async () => {
    const lines = captureConsole()
    const stitcher = stitcherOf()
    await run(adapterOf(), spec(1), { stitcher })
    expect(lines.slice(chunkLines)).toEqual([none])
    expect(stitcher.calls).toEqual([])
  })

  it('is awaited', async () => {
    captureConsole()
    let ended = false
    const stitcher = stitcherOf(async () => {
      for (let i = 0; i < 5; i += 1) await new Promise(setImmediate)
      ended = true
    })
    await run(adapterOf(), spec(1), { stitcher, outputFile: 'film.mp4' })
    expect(ended).toBe(true)
  })

  it('may return nothing at all', async () => {
    captureConsole()
    let calls = 0
    await run(adapterOf(), spec(1), { stitcher: { stitch: () => void (calls += 1) }, outputFile: 'film.mp4' })
    expect(calls).toBe(1)
  })

  it('needs the output file of every chunk', async () => {
    captureConsole()
    const stitcher = stitcherOf()
    const job = spec([chunk(1), chunk(42, { outputFile: undefined })])
    const error = await rejection(() => run(adapterOf(), job, { stitcher, outputFile: 'film.mp4' }))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(/outputFile/)
    expect(stitcher.calls).toEqual([])
  })
})

describe('no merge', () => {
  it.each([
    ['when merge is false', { merge: false }, disabled],
    ['when skipMerge is set', { skipMerge: true }, disabled],
    ['when both say so', { merge: true, skipMerge: true }, disabled],
  ])('is done %s', async (_, options, line) => {
    const lines = captureConsole()
    const adapter = adapterOf()
    const stitcher = stitcherOf()
    await run(adapter, merging(), { ...options, stitcher, outputFile: 'film.mp4' })
    expect([adapter.calls.length, stitcher.calls]).toEqual([1, []])
    expect(lines.slice(chunkLines)).toEqual([line])
  })

  it.each([
    ['an empty merge command', { mergeCommand: '' }],
    ['no merge command', { mergeCommand: undefined }],
  ])('is done with %s', async (_, extra) => {
    const lines = captureConsole()
    const adapter = adapterOf()
    await run(adapter, spec(1, extra))
    expect(adapter.calls).toHaveLength(1)
    expect(lines.slice(chunkLines)).toEqual([none])
  })

  it('is only done when told so', async () => {
    captureConsole()
    const adapter = adapterOf()
    await run(adapter, merging('merge'), { merge: true, skipMerge: false })
    await run(adapter, merging('merge'), { merge: undefined })
    expect(adapter.calls.filter(({ command }) => command === 'merge')).toHaveLength(2)
  })
})
