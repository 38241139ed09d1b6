// The parts of `helios-jobs` that are functions of their arguments: figures, lines, attempts, the bar.
import { describe, expect, it } from 'vitest'
import { attemptsOf, runningOf } from '../cli/lib/attempts.mjs'
import { compare } from '../cli/lib/checks.mjs'
import { listenToConsole } from '../cli/lib/console.mjs'
import { age, bytes, clip, clock, parseDuration, plain, span, table, tail, width } from '../cli/lib/format.mjs'
import { startProgress } from '../cli/lib/progress.mjs'
import { failuresOf, shareDone, shortIds } from '../cli/lib/records.mjs'
import { recoverAll } from '../cli/recover.mjs'
import { html, trusted } from '../cli/report/html.mjs'

const none = new Proxy({}, { get: () => String })

describe('figures', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['1h30m', 5_400_000],
    ['1.5d', 129_600_000],
    ['0s', 0],
    ...['', '5', 's', '-1s', '1 s', '1w', '1s!'].map((text) => [text, undefined]),
  ])('%j is a time of %s ms', (text, ms) => expect(parseDuration(text)).toBe(ms))

  it.each([
    [0, '0 ms'],
    [999.4, '999 ms'],
    [999.6, '1.0 s'],
    [99_949, '99.9 s'],
    [99_951, '1 m 40 s'],
    [3_599_000, '59 m 59 s'],
    [3_720_000, '1 h 02 m'],
    [2 * 86_400_000, '2 d 00 h'],
    [undefined, '-'],
  ])('%s ms are %s', (ms, text) => expect(span(ms)).toBe(text))

  it('are short', () => {
    expect([clock(undefined), clock(65_000), clock(3_723_000)]).toEqual(['-:--', '1:05', '1:02:03'])
    expect([age(-5), age(59_999), age(3_600_000), age(9 * 86_400_000)]).toEqual(['0 s', '59 s', '1 h', '9 d'])
    expect([bytes(999), bytes(1000), bytes(4_312_000), bytes(NaN)]).toEqual(['999 B', '1.0 kB', '4.3 MB', '-'])
  })
})

describe('texts', () => {
  it('lose what would take a terminal over', () => {
    expect(plain('\x1b[31mred\x1b[0m\r\n\tnext\u202e\x07 \x9b2Jend\u2028')).toBe('red next end')
  })

  it('are clipped to columns, not characters', () => {
    expect([width('film'), width('日本'), width('e\u0301'), width('🎬')]).toEqual([4, 4, 1, 2])
    expect([clip('日本語', 6), clip('日本語', 5), clip('film', 3), clip('film', 0)]).toEqual([
      '日本語',
      '日本…',
      'fi…',
      '',
    ])
  })

  it('end with their last lines', () => {
    expect(tail('a\nb\nc\n\n', 2)).toBe('b\nc')
    expect(tail('x'.repeat(10), 5, 4)).toBe('…xxxx')
  })

  it('make tables', () => {
    const columns = [{ title: 'A' }, { title: 'LONG', right: true }]
    expect(
      table(
        columns,
        [
          ['x', 1],
          [['yyy', String], 10_000],
        ],
        none,
      ),
    ).toBe('A     LONG\nx        1\nyyy  10000\n')
  })

  it('are escaped in HTML, wherever they stand', () => {
    const evil = `"><script>alert('&')</script>\u0000\u202e`
    const safe = '&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;\ufffd\ufffd'
    expect(
      html`<i title="${evil}">${[evil, html`<b>${evil}</b>`]}${undefined}${false}${null}${0}${trusted('<hr>')}</i>`
        .text,
    ).toBe(`<i title="${safe}">${safe}<b>${safe}</b>0<hr></i>`)
  })
})

describe('records', () => {
  it('have ids that are shortened as far as they differ', () => {
    expect(['a', 'abcdefghij-1', 'abcdefghij-2'].map(shortIds(['abcdefghij-1', 'abcdefghij-2', 'a', 'a']))).toEqual([
      'a',
      'abcdefghij-1',
      'abcdefghij-2',
    ])
  })

  it('count by frames, and by chunks where those are not known', () => {
    const logs = [{ chunkId: 0 }, { chunkId: 0 }, { chunkId: 9 }]
    const chunks = (...counts) => counts.map((frameCount, id) => ({ id, frameCount }))
    expect(shareDone({ spec: { chunks: chunks(30, 10) }, logs })).toBe(0.75)
    expect(shareDone({ spec: { chunks: chunks(30, undefined) }, logs })).toBe(0.5)
    expect(shareDone({})).toBe(0)
  })

  it('count failed attempts', () => {
    expect(failuresOf({ attempts: { 0: 3, 1: 1, 2: 1 }, logs: [{ chunkId: 0 }, { chunkId: 1 }] })).toEqual({
      attempts: 3,
      chunks: 2,
    })
  })
})

describe('attempts', () => {
  const started = (at, chunk, worker, attempt = 1) => ({ event: 'attemptStarted', at, chunk, worker, attempt })

  it('come from events', () => {
    const events = [
      { event: 'submitted', at: 1 },
      started(10, 0, 1),
      started(10, 1, 2),
      { event: 'attemptFailed', at: 15, chunk: 0, error: 'no', exitCode: 3 },
      started(20, 0, 1, 2),
      { event: 'chunkDone', at: 30, chunk: 0 },
      { event: 'ended', at: 40, state: 'paused' },
      { event: 'resumed', at: 100 },
      started(110, 1, 1),
    ]
    const brief = (list) => list.map(({ chunk, start, end, outcome }) => [chunk, start, end, outcome])
    const running = { state: 'running', logs: [{ chunkId: 0, durationMs: 10 }], outputs: { 0: { modifiedMs: 29 } } }
    expect(brief(attemptsOf(running, events))).toEqual([
      [0, 10, 15, 'failed'],
      [1, 10, 40, 'stopped'],
      [0, 20, 30, 'done'],
      [1, 110, undefined, 'running'],
    ])
    expect(runningOf(running, events)).toMatchObject([{ chunk: 1, worker: 1 }])
    // Killed: nothing says how it ended.
    expect(brief(attemptsOf({ state: 'paused' }, events)).at(-1)).toEqual([1, 110, 110, 'stopped'])
    expect(runningOf({ state: 'paused' }, events)).toEqual([])
  })

  it('are estimated from files where there are no events', () => {
    const logs = [0, 1, 2, 3].map((chunkId) => ({ chunkId, durationMs: 100 }))
    const outputs = { 0: { modifiedMs: 200 }, 1: { modifiedMs: 210 }, 2: { modifiedMs: 310 } }
    const attempts = attemptsOf({ state: 'completed', logs, outputs, attempts: { 2: 3 } }, [])
    expect(attempts).toMatchObject([
      { chunk: 0, start: 100, end: 200, worker: 1, estimated: true },
      { chunk: 1, start: 110, end: 210, worker: 2 },
      { chunk: 2, start: 210, end: 310, worker: 1, attempt: 3 },
    ])
    expect(attempts).toHaveLength(3)
  })
})

describe('the console', () => {
  it('is understood, line by line, and given back', () => {
    const [heard, warned] = [[], []]
    const own = { ...console }
    const giveBack = listenToConsole(
      (event) => heard.push(event),
      (text) => warned.push(text),
    )
    console.log('[Worker 2] Starting chunk 7 (Attempt 1/3)...')
    console.warn('[Worker 2] Chunk 7 failed (Attempt 1/3). Retrying in 12.4ms... Error: a\nRetrying in 5ms... Error: b')
    console.warn('[Worker 2] Chunk 7 was put off (Attempt 1/3). Retrying in 5ms... Error: busy')
    console.error('[Worker 2] Chunk 7 failed after 3 attempts:', 'why')
    console.log('[Worker 2] Chunk 7 completed (1/2)')
    console.log('All chunks completed. Starting merge step via mergeCommand...')
    console.log('Job 0-1 paused')
    console.error('Merge step failed:', 'no space')
    console.error('Job 0-1 failed:', new Error('no space'))
    console.error('Unhandled error in job x:', new Error('disk full'))
    giveBack()
    expect(heard).toEqual([
      { event: 'attemptStarted', worker: 2, chunk: 7, attempt: 1, attempts: 3 },
      {
        event: 'attemptFailed',
        worker: 2,
        chunk: 7,
        attempt: 1,
        putOff: false,
        retryInMs: 12,
        error: 'a\nRetrying in 5ms... Error: b',
      },
      { event: 'attemptFailed', worker: 2, chunk: 7, attempt: 1, putOff: true, retryInMs: 5, error: 'busy' },
      { event: 'attemptFailed', worker: 2, chunk: 7, attempt: 3, putOff: false, error: 'why' },
      { event: 'phase', phase: 'merging' },
      { event: 'paused' },
    ])
    expect(warned).toEqual(['Unhandled error in job x: disk full'])
    expect(console.log).toBe(own.log)
  })
})

describe('a check of a video', () => {
  const streams = [
    { type: 'video', codec: 'h264', width: 64, height: 36, pixelFormat: 'yuv420p', frameRate: 30_000 / 1001 },
  ]
  const metadata = { totalFrames: 30, fps: 29.97, width: 64, height: 36, duration: 1 }

  it('knows the rates of television, and a frame more or less of duration', () => {
    const checks = compare({ spec: { metadata } }, { frames: 30, duration: 1.001, streams })
    expect(checks.map(({ what, ok }) => [what, ok])).toEqual([
      ['frames', true],
      ['duration', true],
      ['frames per second', true],
      ['size', true],
    ])
  })

  it('finds what differs, also from the proof', () => {
    const result = { frames: 30, duration: 1, streams }
    const now = [{ ...streams[0], width: 32, frameRate: undefined }]
    const checks = compare({ spec: { metadata }, result }, { frames: 29, duration: 0.9, streams: now })
    expect(checks.filter(({ ok }) => ok)).toEqual([])
    expect(checks).toHaveLength(7)
    expect(compare({ spec: {} }, { frames: 1, duration: 1, streams })).toEqual([])
  })
})

describe('the bar', () => {
  /** A terminal that keeps what is written to it. */
  const screen = (columns) => ({
    isTTY: true,
    columns,
    rows: 10,
    text: '',
    write: (text) => void (stream.text += text),
  })
  let stream

  it('fits, with its lines, into a terminal of any width', () => {
    for (const columns of [20, 40, 80, 200]) {
      stream = screen(columns)
      const details = () =>
        Array.from({ length: 30 }, () => [['日本'.repeat(10)], ['x'.repeat(300), (text) => `<${text}>`]])
      const progress = startProgress({
        label: 'Rendering',
        total: 100,
        chunks: 10,
        details,
        stream,
        env: { NO_COLOR: '1' },
      })
      progress.update({ frames: 50, chunks: 5 })
      progress.stop()
      const lines = stream.text.split(/\r|\n|\x1b\[\d*[A-Z]/).map((line) => line.replace(/[<>]/g, '')) // oxlint-disable-line no-control-regex
      expect(lines.filter((line) => width(line) >= columns)).toEqual([])
      expect(lines.filter((line) => line.includes('日')).length).toBeLessThan(10)
    }
  })

  it('counts only what is new for the time that remains', () => {
    stream = { text: '', write: (text) => void (stream.text += text) }
    const progress = startProgress({ label: 'Rendering', total: 100, chunks: 10, from: 90, stream, env: {} })
    progress.update({ frames: 90, chunks: 9 })
    progress.update({ frames: 100, chunks: 10 })
    expect(stream.text).toMatch(
      /^Rendering: 9\/10 chunks, 90%, 0:00 elapsed, ETA -:--\nRendering: 10\/10 chunks, 100%, .*ETA 0:00\n$/,
    )
  })
})

describe('recover', () => {
  it('warns of what any of its rounds has met, and of jobs that the last one could not recover', async () => {
    const unread = 'Failed to read job file jobs/x.json: it is no JSON'
    const left = 'Warning: the containers of a process that has died could not be removed: no daemon'
    const refused = (id) => `Job ${id} was not recovered: options.stitcher must be given again`
    const warnings = []
    const rounds = [
      { ids: ['a'], said: [left, unread, refused('b'), refused('c')] },
      { ids: ['b'], said: [unread, refused('c')] },
    ]
    const manager = {
      async recover() {
        const { ids, said } = rounds.shift()
        warnings.push(...said)
        return ids
      },
    }
    expect(await recoverAll(manager, warnings)).toEqual(['a', 'b'])
    expect(warnings).toEqual([left, unread, refused('c')])
  })
})
