// FileJobRepository: the files it writes and reads.
import { existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FileJobRepository } from '../index.js'
import { captureConsole, printed } from './support/console.mjs'
import { tempFolder } from './support/files.mjs'
import { record, repositoryContract } from './support/repository-contract.mjs'
import { rejection } from './support/wait.mjs'

class Subclass extends FileJobRepository {
  save(job) {
    return super.save(job)
  }
}

repositoryContract('FileJobRepository', () => new FileJobRepository(tempFolder()))
repositoryContract('FileJobRepository without fsync', () => new FileJobRepository(tempFolder(), { fsync: false }))
repositoryContract('a subclass of FileJobRepository', () => new Subclass(tempFolder()))

const text = (dir, id) => readFileSync(join(dir, `${id}.json`), 'utf8')

const tricky = {
  'empty collections': { a: [], b: {}, c: [[], {}, [[]]], d: { e: {} } },
  'nested collections': { a: [1, [2, { b: [3] }], { c: { d: [{}] } }] },
  unicode: { ü: 'ß€😀日本', '': 'empty key', 'a\u2028b': '\u2029\ufeff\u0085' },
  'lone surrogates': { a: '\ud800', '\udc00': 'x\udfffy', ok: '\ud83d\ude00' },
  escapes: { a: '"\\/\b\f\n\r\t\u0000\u001f\u007f', '"k\\': 1 },
  numbers: { a: [0, -0, 1e21, 1e-7, 123456789012345680000, 5e-324, 1.7976931348623157e308, 0.1, 1e300, -1.5e-9] },
  'numbers that JSON lacks': { a: NaN, b: [Infinity, -Infinity] },
  'undefined and functions': { a: undefined, b: [undefined, () => 1, Symbol('x')], c() {}, d: Symbol('x') },
  'own toJSON': {
    a: new Date(0),
    b: { toJSON: (key) => `as ${key}` },
    c: [{ toJSON: () => ({ d: [] }) }],
    e: { toJSON() {} },
  },
  'boxed values': { a: new Number(3), b: new String('s'), c: new Boolean(false), d: Object(null) },
  'numeric keys': { 10: 'a', 9: 'b', b: 1, a: 2 },
  'long text': { a: 'x'.repeat(100_000), b: '€'.repeat(50_000) },
  'what looks like JSON': { a: '{"b": [1,\n  2]}', b: ': [', c: ',\n' },
  'other objects': {
    a: new Map([[1, 2]]),
    b: new Uint8Array([1, 2]),
    c: Object.create({ inherited: 1 }),
    d: new Error('e'),
  },
}

describe('a saved file', () => {
  it.each(Object.keys(tricky))('is JSON.stringify(job, null, 2), byte for byte: %s', async (name) => {
    const dir = tempFolder()
    for (const options of [undefined, { fsync: false }]) {
      const job = record('a', { result: tricky[name], meta: tricky[name] })
      await new FileJobRepository(dir, options).save(job)
      expect(text(dir, 'a')).toBe(JSON.stringify(job, null, 2))
    }
  })

  it('is so for a job of 5,000 chunks', async () => {
    const dir = tempFolder()
    const logs = Array.from({ length: 5000 }, (_, i) => ({
      chunkId: i,
      durationMs: i / 3,
      stdout: `ü${i}\n`,
      stderr: '',
    }))
    const job = record('a', { logs })
    await new FileJobRepository(dir).save(job)
    expect(text(dir, 'a') === JSON.stringify(job, null, 2)).toBe(true)
    expect(await new FileJobRepository(dir).get('a')).toEqual(job)
  })

  it('is there when the promise resolves, alone, in a folder made on the way', async () => {
    const dir = join(tempFolder(), 'not', 'there', 'yet')
    const repository = new FileJobRepository(dir)
    expect(existsSync(dir)).toBe(false)
    await repository.save(record('a'))
    await repository.save(record('a', { state: 'running' }))
    expect(readdirSync(dir)).toEqual(['a.json'])
  })

  it.each(['a b', 'ünï-日本', "it's", 'a.b', '.hidden', '-x', '%2e', 'x'.repeat(200)])(
    'may be called %s',
    async (id) => {
      const dir = tempFolder()
      const repository = new FileJobRepository(dir)
      await repository.save(record(id))
      expect(readdirSync(dir)).toEqual([`${id}.json`])
      expect(await repository.get(id)).toEqual(record(id))
      await repository.delete(id)
      expect(readdirSync(dir)).toEqual([])
    },
  )
})

describe('get', () => {
  it('reads what other programs wrote, however it is laid out', async () => {
    const dir = tempFolder()
    writeFileSync(join(dir, 'a.json'), ' {"id":"a",\n\n"state"\t: "paused", "own": "\\u00fc\\ud800"} \n')
    expect(await new FileJobRepository(dir).get('a')).toEqual({ id: 'a', state: 'paused', own: 'ü\ud800' })
  })

  it('sees what has changed in between', async () => {
    const dir = tempFolder()
    const repository = new FileJobRepository(dir)
    await repository.save(record('a'))
    await repository.get('a')
    writeFileSync(join(dir, 'a.json'), '{"id":"a","edited":true}')
    expect(await repository.get('a')).toEqual({ id: 'a', edited: true })
  })

  it('follows a link', async () => {
    const dir = tempFolder()
    writeFileSync(join(dir, 'elsewhere'), '{"id":"a"}')
    symlinkSync('elsewhere', join(dir, 'a.json'))
    expect(await new FileJobRepository(dir).get('a')).toEqual({ id: 'a' })
  })

  it.each([
    ['empty', ''],
    ['torn', JSON.stringify(record('a')).slice(0, 100)],
    ['not JSON', 'hello'],
    ['followed by more', '{"id":"a"}{'],
  ])('rejects with a SyntaxError when the file is %s', async (_, content) => {
    const dir = tempFolder()
    writeFileSync(join(dir, 'a.json'), content)
    const error = await rejection(() => new FileJobRepository(dir).get('a'))
    expect(error).toBeInstanceOf(SyntaxError)
    expect(error.name).toBe('SyntaxError')
  })

  it('gives undefined where there is no folder', async () => {
    const dir = join(tempFolder(), 'missing')
    expect(await new FileJobRepository(dir).get('a')).toBeUndefined()
    expect(existsSync(dir)).toBe(false)
  })
})

describe('list', () => {
  it('is sorted by createdAt, records without one first, then by file name', async () => {
    const dir = tempFolder()
    const write = (id, createdAt) => writeFileSync(join(dir, `${id}.json`), JSON.stringify({ id, createdAt }))
    write('z', 1)
    write('a', 3)
    write('m', 2)
    write('c', 2)
    write('y')
    write('b')
    write('k', 2)
    const ids = (await new FileJobRepository(dir).list()).map(({ id }) => id)
    expect(ids).toEqual(['b', 'y', 'z', 'c', 'k', 'm', 'a'])
  })

  it('reads all of many records', async () => {
    const dir = tempFolder()
    const jobs = Array.from({ length: 500 }, (_, i) => record(`job-${i}`, { createdAt: 1000 - i }))
    for (const job of jobs) writeFileSync(join(dir, `${job.id}.json`), JSON.stringify(job, null, 2))
    expect(await new FileJobRepository(dir).list()).toEqual(jobs.toReversed())
  })

  it('looks at *.json only', async () => {
    const dir = tempFolder()
    for (const name of ['a.json', 'b.json.tmp', 'c.txt', 'json', 'd.JSON']) writeFileSync(join(dir, name), '{"id":"x"}')
    expect(await new FileJobRepository(dir).list()).toEqual([{ id: 'x' }])
  })

  it('skips broken files, with a warning that names them', async () => {
    const lines = captureConsole()
    const dir = tempFolder()
    const repository = new FileJobRepository(dir)
    for (const id of ['a', 'c']) await repository.save(record(id))
    writeFileSync(join(dir, 'b.json'), '{"id": "b", "spec"')
    writeFileSync(join(dir, 'd.json'), '')
    expect((await repository.list()).map(({ id }) => id)).toEqual(['a', 'c'])
    const warnings = printed(lines, 'warn').sort()
    expect([lines.length, warnings.length]).toEqual([2, 2])
    expect(warnings[0]).toContain(join(dir, 'b.json'))
    expect(warnings[1]).toContain(join(dir, 'd.json'))
  })

  it('skips unreadable files, with a warning of two arguments', async () => {
    const lines = captureConsole()
    const dir = tempFolder()
    mkdirSync(join(dir, 'folder.json'))
    writeFileSync(join(dir, 'a.json'), '{"id":"a"}')
    expect(await new FileJobRepository(dir).list()).toEqual([{ id: 'a' }])
    const message = expect.stringMatching(/^EISDIR: illegal operation on a directory, (read|open)/)
    expect(lines).toEqual([['warn', `Failed to read job file ${join(dir, 'folder.json')}:`, message]])
  })

  it('prints nothing for files that vanish meanwhile', async () => {
    const lines = captureConsole()
    const dir = tempFolder()
    writeFileSync(join(dir, 'a.json'), '{"id":"a"}')
    symlinkSync('gone', join(dir, 'b.json'))
    expect(await new FileJobRepository(dir).list()).toEqual([{ id: 'a' }])
    const repository = new FileJobRepository(dir)
    for (let round = 0; round < 20; round += 1) {
      const ids = Array.from({ length: 30 }, (_, i) => `v${i}`)
      for (const id of ids) writeFileSync(join(dir, `${id}.json`), '{}')
      await Promise.all([repository.list(), ...ids.map((id) => repository.delete(id)), repository.list()])
    }
    expect(lines).toEqual([])
  })

  it('is empty where there is no folder', async () => {
    expect(await new FileJobRepository(join(tempFolder(), 'missing')).list()).toEqual([])
  })
})

describe('saves of one id at once', () => {
  it('happen one after the other: the last wins, and every read in between parses', async () => {
    const dir = tempFolder()
    const repository = new FileJobRepository(dir)
    const filler = 'x'.repeat(50_000)
    const save = (n) => repository.save(record('a', { progress: n, result: n % 2 ? filler : 'short' }))
    await save(0)
    let saving = true
    let [reads, highest] = [0, 0]
    const reader = (async () => {
      while (saving) {
        const { progress } = JSON.parse(await readFile(join(dir, 'a.json'), 'utf8'))
        const own = (await repository.get('a')).progress
        expect([progress >= highest, own >= progress]).toEqual([true, true])
        ;[reads, highest] = [reads + 1, own]
      }
    })()
    await Promise.all(Array.from({ length: 200 }, (_, i) => save(i + 1)))
    saving = false
    await reader
    expect(reads).toBeGreaterThan(3)
    expect((await repository.get('a')).progress).toBe(200)
    expect(readdirSync(dir)).toEqual(['a.json'])
  })

  it('and its deletion keep the order of the calls', async () => {
    const dir = tempFolder()
    const repository = new FileJobRepository(dir)
    for (let i = 0; i < 20; i += 1) {
      await Promise.all([repository.save(record('a')), repository.delete('a')])
      expect(readdirSync(dir)).toEqual([])
      await Promise.all([repository.delete('a'), repository.save(record('a'))])
      expect(readdirSync(dir)).toEqual(['a.json'])
    }
  })

  it('of different ids do not disturb each other', async () => {
    const dir = tempFolder()
    const repository = new FileJobRepository(dir)
    const jobs = Array.from({ length: 300 }, (_, i) => record(`job-${String(i).padStart(3, '0')}`))
    await Promise.all(jobs.map((job) => repository.save(job)))
    expect(await repository.list()).toEqual(jobs)
    await Promise.all(jobs.map(({ id }) => repository.delete(id)))
    expect(readdirSync(dir)).toEqual([])
  })
})
