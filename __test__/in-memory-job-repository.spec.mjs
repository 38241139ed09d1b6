// InMemoryJobRepository: the contract of a repository, and deep copies of whatever a record holds.
import { describe, expect, it } from 'vitest'
import { InMemoryJobRepository } from '../index.js'
import { record, repositoryContract } from './support/repository-contract.mjs'
import { rejection } from './support/wait.mjs'

class Subclass extends InMemoryJobRepository {
  save(job) {
    return super.save(job)
  }
}

/** A repository as a user would write it. */
const plain = () => ({
  records: new Map(),
  async save(job) {
    this.records.set(job.id, JSON.stringify(job))
  },
  async get(id) {
    return this.records.has(id) ? JSON.parse(this.records.get(id)) : undefined
  },
  async list() {
    return [...this.records.values()].map((text) => JSON.parse(text))
  },
  async delete(id) {
    this.records.delete(id)
  },
})

repositoryContract('InMemoryJobRepository', () => new InMemoryJobRepository())
repositoryContract('a subclass of InMemoryJobRepository', () => new Subclass())
repositoryContract('a plain object', plain)

describe('the copies', () => {
  it('are structured clones: what JSON cannot hold survives', async () => {
    const repository = new InMemoryJobRepository()
    const shared = { a: 1 }
    const result = {
      date: new Date(5),
      map: new Map([['k', new Set([1])]]),
      bytes: new Uint8Array([1, 2]),
      none: undefined,
      nan: NaN,
      big: 10n,
      pattern: /x/g,
      twice: [shared, shared],
    }
    await repository.save(record('a', { result }))
    const got = (await repository.get('a')).result
    expect(got).toStrictEqual(result)
    for (const key of ['date', 'map', 'bytes', 'pattern', 'twice']) expect(got[key]).not.toBe(result[key])
    expect(got.twice[0]).toBe(got.twice[1])
  })

  it('may be cyclic', async () => {
    const repository = new InMemoryJobRepository()
    const job = record('a')
    job.result = { job }
    await repository.save(job)
    const got = await repository.get('a')
    expect(got.result.job).toBe(got)
    expect(got).not.toBe(job)
  })

  it('keep what cannot be cloned by reference', async () => {
    const repository = new InMemoryJobRepository()
    const fn = () => 1
    const job = record('a', { result: { fn, nested: { list: [1] } } })
    await repository.save(job)
    job.result.nested.list.push(2)
    const got = await repository.get('a')
    expect(got.result.fn).toBe(fn)
    expect(got.result.nested).toEqual({ list: [1] })
    expect(got.state).toBe('pending')
  })

  it('of list are as deep as those of get', async () => {
    const repository = new InMemoryJobRepository()
    await repository.save(record('a'))
    ;(await repository.list())[0].spec.chunks[0].command = 'changed'
    expect(await repository.list()).toEqual([record('a')])
  })
})

describe('two repositories', () => {
  it('share nothing', async () => {
    const [one, other] = [new InMemoryJobRepository(), new InMemoryJobRepository()]
    await one.save(record('a'))
    expect([await other.get('a'), await other.list()]).toEqual([undefined, []])
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
    ['id', (r) => r.get(5)],
    ['id', (r) => r.delete({})],
  ])('%s in %s', async (field, call) => {
    const error = await rejection(() => call(new InMemoryJobRepository()))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(new RegExp(`\\b${field}\\b`, 'i'))
  })
})
