// `helios-jobs report`: what is on the page, that it needs nothing else, and how a browser sees it. With HELIOS_SCREENSHOTS set to a
// folder, pictures of the pages are left there.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { need } from './support/abilities.mjs'
import { openPage } from './support/browser.mjs'
import { command, eventsIn, quick, writeJob } from './support/command.mjs'
import { tempFolder } from './support/files.mjs'

const evil = `"'><img src=x onerror="console.log('owned')"><script>console.log('owned')</script>\u202e&amp;`
const START = 1_790_000_000_000

/** A job that has seen much: retries, a pause over night, a chunk that failed for good, and an owner who means no good. */
function eventful({ state = 'failed', count = 12 } = {}) {
  const id = 'c0ffee00-1111-4222-8333-444455556666'
  const chunks = Array.from({ length: count }, (_, chunk) => {
    return {
      id: chunk,
      startFrame: chunk * 30,
      frameCount: 30,
      outputFile: `part-${chunk}${chunk === 3 ? evil : ''}.mp4`,
      command: 'x',
    }
  })
  const events = [{ event: 'submitted', at: START, job: id }]
  const [logs, outputs, attempts] = [[], {}, {}]
  const begin = (at, chunk, worker, attempt = 1) =>
    events.push({ event: 'attemptStarted', at, chunk, worker, attempt, attempts: 3 })
  const done = (at, chunk, durationMs) => {
    events.push({ event: 'chunkDone', at, chunk, durationMs })
    logs.push({
      chunkId: chunk,
      durationMs,
      stdout: `frame=30\nprogress=end\n`,
      stderr: chunk === 4 ? evil : `encoded ${chunk}\n`,
    })
    outputs[chunk] = { size: 100_000 + chunk * 7000, modifiedMs: at }
    attempts[chunk] = (attempts[chunk] ?? 0) + 1
  }
  let at = START
  for (let chunk = 0; chunk < count - 1; chunk += 1) {
    const worker = (chunk % 3) + 1
    if (worker === 1) at += 9000
    // The night.
    if (chunk === 6) {
      events.push({ event: 'ended', at, state: 'paused' })
      at += 40_000_000
      events.push({ event: 'resumed', at })
    }
    if (chunk === 2 || chunk === 7) {
      begin(at, chunk, worker)
      events.push({
        event: 'attemptFailed',
        at: at + 1500,
        chunk,
        worker,
        attempt: 1,
        error: `${evil} failed`,
        exitCode: 3,
        stderr: evil,
      })
      attempts[chunk] = 1
    }
    begin(at + 2000, chunk, worker, attempts[chunk] ? 2 : 1)
    done(at + 7000 + chunk * 100, chunk, 5000 + chunk * 100)
  }
  begin(at + 9000, count - 1, 1)
  events.push({
    event: 'attemptFailed',
    at: at + 12_000,
    chunk: count - 1,
    worker: 1,
    attempt: 1,
    error: 'lost',
    signal: 'SIGKILL',
  })
  attempts[count - 1] = 1
  events.push({ event: 'ended', at: at + 12_100, state })
  const metadata = { totalFrames: count * 30, fps: 30, width: 640, height: 360, duration: count }
  const streams = [{ type: 'video', codec: evil, width: 640, height: 360, pixelFormat: 'yuv420p', frameRate: 30 }]
  const record = {
    id,
    state,
    spec: { id: evil, metadata, chunks, mergeCommand: '' },
    totalChunks: count,
    completedChunks: count - 1,
    createdAt: START,
    startedAt: START,
    updatedAt: at + 12_100,
    finishedAt: at + 12_100,
    logs,
    outputs,
    attempts,
    options: { concurrency: 3, jobDir: `/work/${evil}` },
    error: `Chunk failed: ${evil}`,
    result: {
      outputFile: `/films/${evil}.mp4`,
      frames: count * 30 - 1,
      duration: count,
      streams,
      chunks: [{ chunkId: 0, frames: 7 }],
    },
  }
  return { id, record, events }
}

/** The report of such a job, in a folder of its own. */
async function reportOf({ id, record, events }) {
  const cwd = tempFolder()
  mkdirSync(join(cwd, 'jobs'))
  writeFileSync(join(cwd, 'jobs', `${id}.json`), JSON.stringify(record))
  const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('')
  // The last line was torn when its process was killed.
  if (events.length > 0) writeFileSync(join(cwd, 'jobs', `${id}.events.jsonl`), `${lines}{"event":"chunkDo`)
  const { code, stdout, stderr } = await command(['report', id.slice(0, 4)], { cwd })
  expect([code, stdout, stderr]).toEqual([0, `report-${id.slice(0, 8)}.html\n`, ''])
  const file = join(cwd, stdout.trim())
  return { file, url: pathToFileURL(file).href, html: readFileSync(file, 'utf8') }
}

async function keep(page, name) {
  const folder = process.env.HELIOS_SCREENSHOTS
  if (!folder) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `${name}.png`), await page.screenshot())
}

describe('the report', () => {
  it('of a job that has run says what there is to say', async () => {
    const cwd = tempFolder()
    const flaky = `sh -c "[ -e again ] || { touch again; echo lost >&2; exit 3; }; echo said; printf d > 1.out"`
    writeJob(cwd, [quick(0), flaky])
    const run = await command(['run', 'job.json', '--json', '--retry-delay', '1ms'], { cwd })
    const { job } = eventsIn(run.stdout)[0]
    const { code, stdout } = await command(['report', job, '-o', '-'], { cwd })
    expect(code).toBe(0)
    for (const text of [
      '<title>Job film</title>',
      '2 of 2',
      'Worker 1',
      'Chunk 1, attempt 1: exit code 3',
      'Chunk 1 failed with exit code 3: lost',
      'said',
      'There is none: only where ffmpeg joins the chunks',
      'Times are those that were written down while the job ran.',
    ]) {
      expect(stdout.replace(/\s+/g, ' ')).toContain(text)
    }
  })

  it('has nothing from elsewhere, and no text of users as HTML', async () => {
    const { html } = await reportOf(eventful())
    expect(html).not.toMatch(/<(script|img|link|iframe|object|embed)\b/i)
    expect(html).not.toMatch(/url\(|@import|https?:/)
    // The night between does not count.
    expect(html).toMatch(/<dt>Frames<\/dt>\s*<dd>330\s*<small>1\d\.\d a second<\/small>/)
    expect(html).toContain("default-src 'none'; style-src 'unsafe-inline'")
    expect(html).not.toContain('\u202e')
    expect(html).toContain('&lt;script&gt;')
  })

  it('of thousands of chunks is still of some use', async () => {
    const { html } = await reportOf(eventful({ count: 3000 }))
    expect(html.length).toBeLessThan(4e6)
    expect(html.match(/<summary>/g).length).toBeLessThan(250)
    expect(html).toContain('2899 chunks more')
  })

  it('is written again over an older one, and to where --output says', async () => {
    const { file } = await reportOf(eventful())
    const cwd = join(file, '..')
    expect(await command(['report', 'c0ffee', '-o', 'a.html'], { cwd })).toMatchObject({ code: 0, stdout: 'a.html\n' })
    expect(await command(['report', 'c0ffee', '-o', 'none/a.html'], { cwd })).toMatchObject({ code: 1 })
    expect(await command(['report', 'c0ffee'], { cwd })).toMatchObject({ code: 0 })
  })
})

describe('in a browser the report', () => {
  it('asks for nothing, runs nothing and complains about nothing', async (context) => {
    need(context, 'browser')
    const { url } = await reportOf(eventful())
    const page = await openPage(url)
    expect(page.requests).toEqual([url])
    expect(page.messages).toEqual([])
    expect(
      await page.evaluate('document.querySelectorAll("script, img, link, iframe, [src], [href], [onerror]").length'),
    ).toBe(0)
    expect(await page.evaluate('document.querySelector("h1").textContent')).toBe(evil.replace('\u202e', '\ufffd'))
  })

  it('is whole: sections, bars in their places, rows', async (context) => {
    need(context, 'browser')
    const { url } = await reportOf(eventful())
    const page = await openPage(url)
    expect(await page.evaluate('[...document.querySelectorAll("h2")].map((one) => one.textContent)')).toEqual([
      'Why it failed',
      'Proof of the video',
      'Timeline',
      'Slowest chunks',
      'Attempts that failed',
      'Output, the last lines of each chunk',
      'All chunks',
    ])
    const bars = await page.evaluate(`[...document.querySelectorAll('.lane i')].map((bar) => {
      const [own, lane] = [bar.getBoundingClientRect(), bar.parentElement.getBoundingClientRect()]
      return [bar.className, own.width >= 2, own.left >= lane.left - 1 && own.right <= lane.right + 3]
    })`)
    expect(bars.filter(([kind]) => kind === 'done-bar')).toHaveLength(11)
    expect(bars.filter(([kind]) => kind === 'failed-bar')).toHaveLength(3)
    expect(bars.filter(([, isSeen, isInside]) => !isSeen || !isInside)).toEqual([])
    expect(await page.evaluate(`document.querySelectorAll('.cut').length`)).toBe(3)
    expect(await page.evaluate(`document.querySelectorAll('#chunks ~ details tbody tr').length`)).toBe(12)
    expect(await page.evaluate(`[...document.querySelectorAll('.no')].length`)).toBe(2)
  })

  it.for([
    ['light', 1200],
    ['dark', 1200],
    ['light', 390],
    ['dark', 390],
  ])('in %s, %i pixels wide, has contrast and does not overflow', async ([scheme, width], context) => {
    need(context, 'browser')
    const { url } = await reportOf(eventful())
    const page = await openPage(url, { dark: scheme === 'dark', width })
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true)
    await page.evaluate(`for (const one of document.querySelectorAll('details')) one.open = true`)
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true)
    expect(await page.evaluate(`(${poorContrast})()`)).toEqual([])
    await page.evaluate(`for (const one of document.querySelectorAll('details')) one.open = false`)
    await keep(page, `report-${scheme}-${width}`)
  })

  it('has names for what can be reached by the keyboard, and a language', async (context) => {
    need(context, 'browser')
    const { url } = await reportOf(eventful())
    const page = await openPage(url)
    expect(await page.evaluate('document.documentElement.lang')).toBe('en')
    const { nodes } = await page.ask('Accessibility.getFullAXTree')
    const of = (role) => nodes.filter((node) => node.role?.value === role).map((node) => node.name?.value ?? '')
    expect(of('image')).toEqual([expect.stringMatching(/^14 attempts of 3 workers over .*, 3 of them failed\./)])
    expect(of('region').filter((name) => name === '')).toEqual([])
    expect(of('region').length).toBeGreaterThanOrEqual(7)
    expect(of('columnheader').filter((name) => name === '')).toEqual([])
  })
})

/** Runs in the page: texts whose contrast with what is behind them is less than 4.5:1. */
function poorContrast() {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number)
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((value) => (value <= 10.3 ? value / 3294.6 : ((value / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
  }
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(one).backgroundColor)
      if (a > 0) return [r, g, b]
    }
    return [255, 255, 255]
  }
  const poor = []
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement
    // Bars with stripes have no one colour; the table of all chunks says the same.
    const isStriped = getComputedStyle(element).backgroundImage !== 'none'
    if (texts.currentNode.textContent.trim() === '' || isStriped) continue
    const [one, other] = [numbers(getComputedStyle(element).color), behind(element)].map(luminance)
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
    if (contrast < 4.5) poor.push([texts.currentNode.textContent.trim().slice(0, 30), contrast.toFixed(2)])
  }
  return poor
}
