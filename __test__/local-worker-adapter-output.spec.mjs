// LocalWorkerAdapter: the output of the process, as text, through callbacks and in the result.
import { constants } from 'node:buffer'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LocalWorkerAdapter } from '../index.js'
import { need } from './support/abilities.mjs'
import { tempFolder } from './support/files.mjs'
import { alive, processMark } from './support/processes.mjs'
import { rejection, until } from './support/wait.mjs'

/** Runs a command with callbacks; the pieces they got are `out` and `err`. */
async function observed(command, args, job) {
  const out = []
  const err = []
  const callbacks = { onStdout: (data) => void out.push(data), onStderr: (data) => void err.push(data) }
  const result = await new LocalWorkerAdapter().execute({ command, args, ...callbacks, ...job })
  return { out, err, result }
}
const shell = (script, job) => observed('sh', ['-c', script], job)

describe('callbacks', () => {
  it('get every piece, in order, before the promise resolves', async () => {
    const { out, err, result } = await shell('for i in 1 2 3; do echo o$i; echo e$i >&2; sleep 0.03; done')
    expect(out.join('')).toBe('o1\no2\no3\n')
    expect(err.join('')).toBe('e1\ne2\ne3\n')
    expect(result).toMatchObject({ stdout: 'o1\no2\no3\n', stderr: 'e1\ne2\ne3\n' })
  })

  it('get what is there while the process still runs', async () => {
    const dir = tempFolder()
    const go = join(dir, 'go')
    const onStdout = (data) => data.includes('first') && writeFileSync(go, '')
    const wait = `while [ -e '${dir}' ] && [ ! -e '${go}' ]; do sleep 0.01; done`
    const { result } = await shell(`echo first; ${wait}; echo second`, { onStdout })
    expect(result.stdout).toBe('first\nsecond\n')
  })

  it('get strings, never an empty one', async () => {
    const { out, err } = await shell('printf x; true >&2')
    expect(out).toEqual(['x'])
    expect(err).toEqual([])
  })

  it('get large outputs whole', async () => {
    const { out, err, result } = await shell('seq 1 200000; seq 1 100000 >&2')
    const lines = (n) => Array.from({ length: n }, (_, i) => `${i + 1}\n`).join('')
    expect(out.join('') === lines(200_000)).toBe(true)
    expect(err.join('') === lines(100_000)).toBe(true)
    expect(result.stdout === lines(200_000)).toBe(true)
    expect(result.stderr === lines(100_000)).toBe(true)
  })

  it('that are slow lose nothing', async () => {
    let length = 0
    const onStdout = (data) => {
      length += data.length
      const end = performance.now() + 2
      while (performance.now() < end);
    }
    const { result } = await observed('head', ['-c', '20000000', '/dev/zero'], { onStdout })
    expect([length, result.stdout.length]).toEqual([20_000_000, 20_000_000])
  })

  it.for([
    [
      'throws',
      (error) => () => {
        throw error
      },
    ],
    ['returns a promise that rejects', (error) => () => Promise.reject(error)],
  ])('end the process with the very error when one %s', async ([, callback], context) => {
    const mine = new Error('mine')
    const mark = processMark(context)
    const job = { command: 'sh', args: ['-c', 'echo x; sleep 60'], env: mark.env, onStdout: callback(mine) }
    expect(await rejection(() => new LocalWorkerAdapter().execute(job))).toBe(mine)
    expect(mark.living()).toEqual([])
  })

  const never = () => new Promise(() => {})

  it.for([
    ['while the command runs', 'echo x; sleep 60', 'Worker job timed out after 100.5ms'],
    ['after the command has ended', 'echo x', undefined],
  ])('whose promise never settles do not hold up a timeout %s', async ([, script, message], context) => {
    const mark = processMark(context)
    const job = { command: 'sh', args: ['-c', script], env: mark.env, onStdout: never, timeout: 100.5 }
    const ended = new LocalWorkerAdapter().execute(job).then(
      ({ stdout }) => ({ stdout }),
      (error) => ({ message: error.message }),
    )
    expect(await ended).toEqual(message ? { message } : { stdout: 'x\n' })
    expect(mark.living()).toEqual([])
  })

  it('whose promise never settles do not hold up an abort', async (context) => {
    const mark = processMark(context)
    const controller = new AbortController()
    const onStdout = () => {
      controller.abort()
      return never()
    }
    const job = { command: 'sh', args: ['-c', 'echo x; sleep 60'], env: mark.env, onStdout, signal: controller.signal }
    expect(await rejection(() => new LocalWorkerAdapter().execute(job))).toMatchObject({ message: 'Job was aborted' })
    expect(mark.living()).toEqual([])
  })
})

describe('characters', () => {
  const printf = (bytes) => `printf '${[...bytes].map((b) => `\\${b.toString(8).padStart(3, '0')}`).join('')}'`

  it.each(['é', '€', '😀', '👨‍👩‍👧'])('%s written byte by byte arrive whole, on both streams', async (text) => {
    const bytes = [...Buffer.from(`${text}!`)].map((byte) => `${printf([byte])}; sleep 0.02`).join('; ')
    const { out, err, result } = await shell(`${bytes}; { ${bytes}; } >&2`)
    expect(out.length).toBeGreaterThan(1)
    for (const piece of [...out, ...err]) expect(piece).not.toContain('\ufffd')
    for (const piece of [...out, ...err]) expect(piece.isWellFormed()).toBe(true)
    expect([out.join(''), err.join(''), result.stdout, result.stderr]).toEqual(Array(4).fill(`${text}!`))
  })

  it('are never split in a large output', async () => {
    const text = 'aé€😀'.repeat(200_000)
    const file = join(tempFolder(), 'text')
    writeFileSync(file, text)
    const { out, result } = await observed('cat', [file])
    expect(out.every((piece) => piece.isWellFormed() && !piece.includes('\ufffd'))).toBe(true)
    expect(out.join('') === text && result.stdout === text).toBe(true)
  })

  const broken = [
    [0x80],
    [0xff],
    [0xc3],
    [0xc3, 0x28],
    [0xe2, 0x82],
    [0xe2, 0x28, 0xa1],
    [0xf0, 0x9f, 0x98],
    [0xf0, 0x28, 0x8c, 0xbc],
    [0xed, 0xa0, 0x80],
    [0xc0, 0x80],
    [0xf8, 0x88, 0x80, 0x80, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0x41, 0xe2, 0x82, 0x41],
    [0xef, 0xbb, 0xbf, 0x41],
    [0x00, 0x41, 0x00],
    [0xe2, 0x82, 0xe2, 0x82, 0xac],
    [0xf0, 0x9f, 0xc3, 0xa9],
  ]

  it('that are invalid become U+FFFD as in Node', async () => {
    const random = (() => {
      let state = 42
      return (below) => (state = (state * 1103515245 + 12345) & 0x7fffffff) % below
    })()
    const pool = [0x00, 0x41, 0x80, 0x9f, 0xa0, 0xbf, 0xc2, 0xc3, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff]
    const mixes = Array.from({ length: 60 }, () => Array.from({ length: 12 }, () => pool[random(pool.length)]))
    const dir = tempFolder()
    for (const bytes of [...broken, ...mixes].map((list) => Buffer.from(list))) {
      const file = join(dir, 'bytes')
      writeFileSync(file, bytes)
      const { out, result } = await observed('cat', [file])
      const shown = bytes.toString('hex')
      expect([shown, result.stdout]).toEqual([shown, bytes.toString('utf8')])
      expect([shown, out.join('')]).toEqual([shown, bytes.toString('utf8')])
    }
  })

  it('that are invalid and arrive byte by byte become the same', async () => {
    const bytes = Buffer.from([...broken.flat(), 0xe2, 0x82])
    const file = join(tempFolder(), 'bytes')
    writeFileSync(file, bytes)
    const { out, result } = await observed('dd', [`if=${file}`, 'bs=1', 'status=none'])
    expect(result.stdout).toBe(bytes.toString('utf8'))
    expect(out.join('')).toBe(bytes.toString('utf8'))
  })
})

describe('the end of the output', () => {
  it('does not wait for a grandchild that holds the pipe, and leaves it alone', async (context) => {
    const mark = processMark(context)
    const started = performance.now()
    const { result } = await shell('sleep 60 & echo $!', { env: mark.env })
    expect(performance.now() - started).toBeLessThan(5000)
    expect(result.exitCode).toBe(0)
    expect(alive(Number(result.stdout))).toBe(true)
    expect(mark.living()).toEqual([Number(result.stdout)])
  })

  it('includes what a grandchild writes within the grace', async () => {
    const { result } = await shell('(sleep 0.05; echo late) & echo early')
    expect(result.stdout).toBe('early\nlate\n')
  })

  it('includes all that a child has left in the pipe', async () => {
    const { result } = await observed('sh', ['-c', 'head -c 65536 /dev/zero; exit 3'])
    expect([result.exitCode, result.stdout.length]).toEqual([3, 65_536])
  })
})

describe('more output than a string can hold', () => {
  it('rejects, naming the limit, and leaves this process alive', { timeout: 120_000 }, async (context) => {
    need(context, 'memory')
    const mark = processMark(context)
    const adapter = new LocalWorkerAdapter()
    const args = ['-c', String(600 * 1024 * 1024), '/dev/zero']
    const error = await rejection(() => adapter.execute({ command: 'head', args, env: mark.env }))
    expect(error).toBeInstanceOf(Error)
    expect(error.message).toMatch(new RegExp(`${constants.MAX_STRING_LENGTH}|512 ?Mi?B`))
    await until(() => mark.living().length === 0, 'the process to be gone')
    expect((await adapter.execute({ command: 'echo', args: ['alive'] })).stdout).toBe('alive\n')
  })
})
