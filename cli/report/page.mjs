// The report of a job, section by section.

import { INFRASTRUCTURE_VERSION } from '../../index.js'
import { spansOf } from '../lib/attempts.mjs'
import { bytes, moment, plural, span, tail } from '../lib/format.mjs'
import { STATES, chunksOf, failuresOf, nameOf, tookOf } from '../lib/records.mjs'
import { everyChunk, slowest } from './chunks.mjs'
import { html, trusted } from './html.mjs'
import { failures, outputs } from './outputs.mjs'
import { proof } from './proof.mjs'
import { style } from './style.mjs'
import { timeline } from './timeline.mjs'

/** The whole page. */
export function page({ record, events, attempts, now }) {
  const times = new Map((record.logs ?? []).map(({ chunkId, durationMs }) => [chunkId, durationMs]))
  const about = { record, attempts, times, chunks: chunksOf(record), failed: failedOf(record, attempts), now }
  const title = `Job ${nameOf(record) || record.id}`
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'" />
        <title>${title}</title>
        <style>
          ${trusted(style)}
        </style>
      </head>
      <body>
        <main>
          ${header(about)} ${tiles(about)} ${error(about)} ${proof(about)}
          ${timeline(attempts, mergesOf(events, record, now), now)} ${slowest(about)} ${failures(about)}
          ${outputs(about)} ${everyChunk(about)}
          <footer>
            <p>${notes(about)}</p>
            <p>Written ${moment(now)} by helios-jobs ${INFRASTRUCTURE_VERSION}.</p>
          </footer>
        </main>
      </body>
    </html> `.text
}

const failedOf = (record, attempts) => {
  const { attempts: counted, chunks } = failuresOf(record)
  return { known: attempts.filter(({ outcome }) => outcome === 'failed'), counted, chunks }
}

/** When chunks were joined, from the events. */
function mergesOf(events, record, now) {
  const merges = []
  for (const { event, at, phase } of events) {
    const last = merges.at(-1)
    if (last && last.end === undefined) last.end = at
    if (event === 'phase' && phase === 'merging') merges.push({ outcome: 'merge', start: at })
  }
  const last = merges.at(-1)
  if (last && last.end === undefined) last.end = record.state === 'running' ? now : last.start
  return merges
}

function header({ record: { id, state, createdAt, options, ...record } }) {
  const kind = STATES.includes(state) ? state : ''
  return html`<header>
    <h1>${nameOf(record) || id}</h1>
    <span class="state ${kind}">${state ?? 'unknown'}</span>
    <p class="soft">
      Job <span class="id">${id}</span>, submitted
      ${moment(createdAt)}${options?.jobDir && html`, in <span class="id">${options.jobDir}</span>`}
    </p>
  </header>`
}

function tiles({ record, attempts, times, chunks, failed, now }) {
  const took = tookOf(record, now)
  const busy = [...times.values()].reduce((sum, ms) => sum + ms, 0)
  const frames = chunks
    .filter(({ id }) => times.has(id))
    .reduce((sum, { frameCount }) => sum + (frameCount > 0 ? frameCount : 0), 0)
  // Pauses do not count, nor does the time in which a chunk waits to be tried again while no other runs.
  const work = spansOf(attempts.map((one) => ({ ...one, end: one.end ?? now })))
  const rendering = work.reduce((sum, { start, end }) => sum + end - start, 0)
  const size = Object.values(record.outputs ?? {}).reduce((sum, { size: one }) => sum + one, 0)
  const tile = (name, value, more) =>
    html`<div>
      <dt>${name}</dt>
      <dd>${value}<small>${more}</small></dd>
    </div>`
  const isSteady = rendering > 0 && busy > 0
  return html`<dl class="tiles">
    ${tile('Took', span(took), record.finishedAt ? `until ${moment(record.finishedAt)}` : 'until now')}
    ${tile('Chunks', `${times.size} of ${chunks.length}`, `${plural(record.options?.concurrency ?? 1, 'worker')} at most`)}
    ${tile('Frames', frames || '-', isSteady && frames > 0 ? `${((frames / rendering) * 1000).toFixed(1)} a second` : '')}
    ${tile('Time of all chunks', span(busy), isSteady ? `${(busy / rendering).toFixed(1)} times that of rendering` : '')}
    ${tile('Failed attempts', failed.counted, failed.counted > 0 ? `${plural(failed.chunks, 'chunk')} affected` : 'none')}
    ${tile('Size of the chunks', size > 0 ? bytes(size) : '-', '')}
  </dl>`
}

const error = ({ record }) =>
  record.error !== undefined &&
  html`<section class="error" aria-labelledby="error">
    <h2 id="error">Why it failed</h2>
    <pre tabindex="0">${tail(String(record.error), 40)}</pre>
  </section>`

function notes({ attempts, record }) {
  const estimated = attempts.filter((one) => one.estimated).length
  if (attempts.length === 0)
    return 'Records do not hold when chunks began; the files of these would tell, but there are none.'
  if (estimated === 0) return `Times are those that were written down while the job ran.`
  return `The times of ${estimated} of ${plural((record.logs ?? []).length, 'chunk')} are estimated: a chunk ended when its file was last written, and began as much earlier as it took.`
}
