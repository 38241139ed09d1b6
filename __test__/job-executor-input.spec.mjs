// JobExecutor: incomplete specs that are fine, and bad ones that are refused before anything runs.
import { describe, expect, it } from 'vitest'
import { JobExecutor, LocalWorkerAdapter } from '../index.js'
import { captureConsole } from './support/console.mjs'
import { adapterOf, chunk, spec } from './support/jobs.mjs'
import { rejection } from './support/wait.mjs'

const run = (adapter, job, options) => new JobExecutor(adapter).execute(job, options)

describe('an incomplete spec is fine:', () => {
  it.each([
    ['no metadata, no merge command, no id', { chunks: [chunk(1)] }],
    ['chunks with id and command only', { chunks: [{ id: 1, command: 'render' }] }],
    ['unknown fields', { chunks: [{ id: 1, command: 'render', own: {} }], own: [] }],
    [
      'fields of any type that are not used',
      { id: 5, metadata: 'x', chunks: [{ id: 1, command: 'render', startFrame: {} }] },
    ],
  ])('%s', async (_, job) => {
    captureConsole()
    const adapter = adapterOf()
    await run(adapter, job)
    expect(adapter.calls.map(({ meta }) => meta)).toEqual([{ chunkId: 1, ...job.chunks[0] }])
  })

  it('chunks without command or id that are done or not even asked for', async () => {
    captureConsole()
    const adapter = adapterOf()
    await run(adapter, { chunks: [{ id: 1, command: '' }, chunk(2), { id: 3 }] }, { completedChunkIds: [1, 3] })
    expect(adapter.calls.map(({ meta }) => meta.chunkId)).toEqual([2])
  })

  it('proxies of the user’s objects and arrays, as state libraries make them', async () => {
    captureConsole()
    const proxied = (value) =>
      new Proxy(value, { get: (of, key) => (Object(of[key]) === of[key] ? proxied(of[key]) : of[key]) })
    const adapter = adapterOf()
    await run(adapter, proxied(spec(3)), proxied({ completedChunkIds: [2] }))
    expect(adapter.calls.map(({ meta }) => meta.chunkId)).toEqual([1, 3])
    await run(new LocalWorkerAdapter(), proxied(spec(['true', 'true'])))
  })

  it('no options', async () => {
    captureConsole()
    const adapter = adapterOf()
    await run(adapter, spec(1))
    await run(adapter, spec(1), undefined)
    await run(adapter, spec(1), {})
    expect(adapter.calls).toHaveLength(3)
  })
})

describe('chunks are refused before anything runs, and named:', () => {
  it.each([
    ['the same id twice', [chunk(5), chunk(17), chunk(17)], {}, /17/],
    ['the same id twice, one done', [chunk(17), chunk(17)], { completedChunkIds: [17] }, /17/],
    ['no id', [chunk(1), { command: 'render' }], {}, /chunk/i],
    ['an id that JSON does not have', [chunk(1), chunk(Infinity)], {}, /^chunks\[1\]\.id must be a number$/],
    ['an id that is none', [chunk(NaN)], {}, /^chunks\[0\]\.id must be a number$/],
    ['no command', [chunk(1), { id: 17 }], {}, /17/],
    ['an empty command', [chunk(1), chunk(17, { command: '' })], {}, /17/],
    ['a blank command', [chunk(1), chunk(17, { command: ' \t' })], {}, /17|Command string cannot be empty/],
  ])('%s', async (_, chunks, options, named) => {
    captureConsole()
    const adapter = adapterOf()
    const error = await rejection(() => run(adapter, spec(chunks), options))
    expect(error).toBeInstanceOf(Error)
    expect(error.message).toMatch(named)
    expect(adapter.calls).toEqual([])
  })
})

describe('wrong types reject with a TypeError that names the field:', () => {
  const one = { chunks: [chunk(1)] }

  it.each([
    ['job', undefined, {}],
    ['job', null, {}],
    ['job', 'spec', {}],
    ['chunks', {}, {}],
    ['chunks', { chunks: 'x' }, {}],
    ['chunks', { chunks: { length: 1 } }, {}],
    ['chunks', { chunks: [null] }, {}],
    ['chunks', { chunks: [5] }, {}],
    ['command', { chunks: [{ id: 1, command: 5 }] }, {}],
    ['command', { chunks: [{ id: 1, command: ['a'] }] }, {}],
    ['options', one, 5],
    ['jobDir', one, { jobDir: 5 }],
    ['signal', one, { signal: 5 }],
    ['completedChunkIds', one, { completedChunkIds: 'all' }],
    ['stitcher', one, { stitcher: 5, outputFile: 'out.mp4' }],
    ['mergeAdapter', one, { mergeAdapter: 'local' }],
    ['onProgress', one, { onProgress: 'x' }],
    ['onChunkComplete', one, { onChunkComplete: {} }],
    ['onChunkStdout', one, { onChunkStdout: 1 }],
    ['onChunkStderr', one, { onChunkStderr: 'x' }],
  ])('%s in %j with %j', async (field, job, options) => {
    captureConsole()
    const adapter = adapterOf()
    const error = await rejection(() => run(adapter, job, options))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.name).toBe('TypeError')
    expect(error.message).toMatch(new RegExp(field === 'chunks' ? 'chunks?' : field, 'i'))
    expect(adapter.calls).toEqual([])
  })

  it('and what a getter throws comes back as it is', async () => {
    captureConsole()
    const mine = new Error('mine')
    const job = {
      get chunks() {
        throw mine
      },
    }
    expect(await rejection(() => run(adapterOf(), job))).toBe(mine)
  })
})
