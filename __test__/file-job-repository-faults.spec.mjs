// FileJobRepository: bad ids, bad values, folders and disks that do not play along. What was saved before stays.
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FileJobRepository } from '../index.js'
import { need, unprivileged } from './support/abilities.mjs'
import { tempFolder } from './support/files.mjs'
import { record } from './support/repository-contract.mjs'
import { scriptResult, startScript } from './support/scripts.mjs'
import { outcome, rejection, until } from './support/wait.mjs'

const fields = ({ name, message, code, errno, syscall, path }) => ({ name, message, code, errno, syscall, path })

describe('an id that is no plain file name', () => {
  const bad = ['', '..', '../x', 'a/b', '/etc/x', 'a\\b', '..\\x', 'a\0b', './x']

  it.each(bad)('%j is refused by save, get and delete before any access', async (id) => {
    const dir = join(tempFolder(), 'jobs')
    const repository = new FileJobRepository(dir)
    writeFileSync(join(dir, '..', 'x.json'), '"outside"')
    for (const call of [() => repository.save(record(id)), () => repository.get(id), () => repository.delete(id)]) {
      const error = await rejection(call)
      expect(error).toBeInstanceOf(Error)
      expect(error.message).toMatch(/\bid\b/i)
    }
    expect(existsSync(dir)).toBe(false)
    expect(readFileSync(join(dir, '..', 'x.json'), 'utf8')).toBe('"outside"')
  })
})

describe('wrong types reject with a TypeError that names the field:', () => {
  it.each([
    ['job', (r) => r.save()],
    ['job', (r) => r.save(null)],
    ['job', (r) => r.save('a')],
    ['id', (r) => r.save({})],
    ['id', (r) => r.save({ id: 5 })],
    ['id', (r) => r.get()],
    ['id', (r) => r.get({})],
    ['id', (r) => r.delete(5)],
  ])('%s in %s', async (field, call) => {
    const error = await rejection(() => call(new FileJobRepository(join(tempFolder(), 'jobs'))))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(new RegExp(`\\b${field}\\b`, 'i'))
  })

  it.each([undefined, null, 5, {}])('storageDir %j', async (storageDir) => {
    const error = await rejection(async () => new FileJobRepository(storageDir).list())
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(/storageDir/)
  })
})

describe('a job that JSON cannot hold', () => {
  const mine = new Error('mine')
  const cyclic = {}
  cyclic.self = cyclic

  it.each([
    ['cyclic', cyclic, TypeError, /circular/i],
    ['with a BigInt', { big: 1n }, TypeError, /BigInt/],
    [
      'with a getter that throws',
      Object.defineProperty({}, 'x', {
        enumerable: true,
        get: () => {
          throw mine
        },
      }),
      Error,
      /^mine$/,
    ],
    [
      'with a toJSON that throws',
      {
        toJSON: () => {
          throw mine
        },
      },
      Error,
      /^mine$/,
    ],
  ])('is refused (%s), and the record stays', async (_, result, type, message) => {
    const dir = tempFolder()
    const repository = new FileJobRepository(dir)
    await repository.save(record('a'))
    const error = await rejection(() => repository.save(record('a', { result })))
    expect(error).toBeInstanceOf(type)
    expect(error.message).toMatch(message)
    if (type === Error) expect(error).toBe(mine)
    expect(await repository.get('a')).toEqual(record('a'))
    expect(readdirSync(dir)).toEqual(['a.json'])
    await repository.save(record('a', { state: 'running' }))
    expect((await repository.get('a')).state).toBe('running')
  })
})

describe('a folder that is none', () => {
  it('gives the errors of Node', async () => {
    const file = join(tempFolder(), 'file')
    writeFileSync(file, '')
    const repository = new FileJobRepository(file)
    const get = await rejection(() => repository.get('a'))
    expect(fields(get)).toEqual(fields((await outcome(readFile(join(file, 'a.json')))).error))
    expect(get).toMatchObject({ code: 'ENOTDIR', syscall: 'open' })
    const list = await rejection(() => repository.list())
    expect(fields(list)).toEqual(fields((await outcome(readdir(file))).error))
    for (const dir of [file, join(file, 'below')]) {
      const save = await rejection(() => new FileJobRepository(dir).save(record('a')))
      expect(save.code).toMatch(/^(ENOTDIR|EEXIST)$/)
      expect(save.message).toMatch(new RegExp(`^${save.code}: [a-z ]+, (mkdir|open) '${file}`))
    }
  })

  it('a record that is a folder gives EISDIR', async () => {
    const dir = tempFolder()
    mkdirSync(join(dir, 'a.json'))
    const repository = new FileJobRepository(dir)
    expect(await rejection(() => repository.get('a'))).toMatchObject({ code: 'EISDIR' })
    expect(await rejection(() => repository.save(record('a')))).toMatchObject({
      code: expect.stringMatching(/^E[A-Z]+$/),
    })
    expect(readdirSync(dir)).toEqual(['a.json'])
  })
})

const attempts = `
  const [dir, ...calls] = process.argv.slice(1)
  const repository = new lib.FileJobRepository(dir)
  const fields = ({ name, message, code, errno, syscall, path }) => ({ name, message, code, errno, syscall, path })
  const tried = {}
  for (const name of calls) {
    try {
      const value = await repository[name](name === 'save' ? { id: 'a', state: 'new' } : 'a')
      tried[name] = { value: value ?? null }
    } catch (error) {
      tried[name] = fields(error)
    }
  }
  process.stdout.write(JSON.stringify(tried))
`

describe('permissions', () => {
  it('that forbid reading and writing give EACCES, naming the path; the record stays', async (context) => {
    need(context, 'otherUser')
    const dir = tempFolder()
    await new FileJobRepository(dir).save(record('a'))
    chmodSync(dir, 0o755)
    chmodSync(join(dir, 'a.json'), 0o600)
    if (process.getuid() === 0) {
      const inside = await scriptResult(attempts, { args: [dir, 'get', 'save', 'list'], ...unprivileged() })
      expect(inside.get).toMatchObject({ code: 'EACCES', syscall: 'open', path: join(dir, 'a.json') })
      expect(inside.get.message).toBe(`EACCES: permission denied, open '${join(dir, 'a.json')}'`)
      expect(inside.save.message).toMatch(new RegExp(`^EACCES: permission denied, [a-z]+ '${dir}`))
      expect(inside.list).toEqual({ value: [] })
    }
    chmodSync(dir, 0)
    const outside = await scriptResult(attempts, { args: [dir, 'get', 'save', 'list', 'delete'], ...unprivileged() })
    chmodSync(dir, 0o755)
    for (const name of ['get', 'save', 'list', 'delete']) {
      expect([name, outside[name].code]).toEqual([name, 'EACCES'])
      expect(outside[name].message).toMatch(new RegExp(`^EACCES: permission denied, [a-z]+ '${dir}`))
    }
    expect(outside.list.message).toBe(`EACCES: permission denied, scandir '${dir}'`)
    expect(await new FileJobRepository(dir).get('a')).toEqual(record('a'))
    expect(readdirSync(dir)).toEqual(['a.json'])
  })
})

describe('a full disk', () => {
  const script = `
    import fs from 'node:fs'
    const [dir] = process.argv.slice(1)
    const repository = new lib.FileJobRepository(dir)
    const look = async () => ({ names: fs.readdirSync(dir), state: (await repository.get('a'))?.state })
    const big = (state) => ({ id: 'a', state, filler: 'x'.repeat(2_000_000) })
    const steps = []
    await repository.save({ id: 'a', state: 'old' })
    for (const job of [big('torn'), big('torn again'), { id: 'b', filler: big('').filler }, { id: 'a', state: 'new' }]) {
      let error
      await repository.save(job).catch(({ code, message }) => (error = { code, message }))
      steps.push({ error, ...(await look()) })
    }
    process.stdout.write(JSON.stringify(steps))
  `

  it('keeps the old record, leaves no stray file, and saves go on when there is room', async (context) => {
    need(context, 'mount')
    const dir = tempFolder()
    const wrap = ['unshare', '-rm', 'sh', '-c', 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"', dir]
    const steps = await scriptResult(script, { args: [dir], wrap })
    for (const { error, names, state } of steps.slice(0, 3)) {
      expect(error.code).toBe('ENOSPC')
      expect(error.message).toMatch(/^ENOSPC: no space left on device, [a-z]+/)
      expect([names, state]).toEqual([['a.json'], 'old'])
    }
    expect(steps[3]).toEqual({ names: ['a.json'], state: 'new' })
  })
})

describe('a process killed while it saves', () => {
  const script = `
    const repository = new lib.FileJobRepository(process.argv[1])
    const filler = 'x'.repeat(3_000_000)
    for (let n = 1; ; n += 1) {
      await repository.save({ id: 'a', n, filler, end: n })
      process.stdout.write('.')
    }
  `

  it('leaves a whole record, and no stray file after the next save', async () => {
    const dir = tempFolder()
    for (let round = 0; round < 8; round += 1) {
      const { child, out, ended } = startScript(script, { args: [dir] })
      await until(() => out.stdout.length > 2, 'some saves')
      // Every other time right when something unfinished lies in the folder, else at any moment.
      const moment = performance.now() + (round % 2 ? round * 1.3 : 200)
      while (performance.now() < moment && (round % 2 || readdirSync(dir).length < 2));
      child.kill('SIGKILL')
      await ended
      const { n, end } = await new FileJobRepository(dir).get('a')
      expect([end, n >= 3]).toEqual([n, true])
      await new FileJobRepository(dir).save({ id: 'a', n: 0 })
      expect(readdirSync(dir)).toEqual(['a.json'])
      expect(await new FileJobRepository(dir).list()).toEqual([{ id: 'a', n: 0 }])
    }
  })
})
