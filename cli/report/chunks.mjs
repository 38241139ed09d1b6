// The chunks as tables: the slowest, and all of them.

import { bytes, moment, plural, span } from '../lib/format.mjs'
import { framesOf } from '../lib/records.mjs'
import { html, trusted } from './html.mjs'

const SLOWEST = 10

/** The chunks that took longest, if there is anything to compare. */
export function slowest({ chunks, times }) {
  const ranked = chunks.filter(({ id }) => times.has(id)).sort((a, b) => times.get(b.id) - times.get(a.id))
  if (ranked.length < 2) return undefined
  const [most, median] = [times.get(ranked[0].id), times.get(ranked[Math.floor(ranked.length / 2)].id)]
  const rows = ranked.slice(0, SLOWEST).map((chunk) => {
    const ms = times.get(chunk.id)
    const each = chunk.frameCount > 0 ? `${(ms / chunk.frameCount).toFixed(1)} ms` : '-'
    return html`<tr>
      <th scope="row">${chunk.id}</th>
      <td class="frames">${framesOf(chunk)}</td>
      <td>
        <div class="meter" aria-hidden="true"><i style="width:${((ms / most) * 100).toFixed(1)}%"></i></div>
      </td>
      <td class="right">${span(ms)}</td>
      <td class="right">${each}</td>
      <td class="right">${(ms / (median || 1)).toFixed(1)} ×</td>
    </tr>`
  })
  return html`<section aria-labelledby="slowest">
    <h2 id="slowest">Slowest chunks</h2>
    <div class="scroll" tabindex="0">
      <table>
        <thead>
          <tr>
            <th scope="col">Chunk</th>
            <th scope="col">Frames</th>
            <th scope="col" class="compared">Compared</th>
            <th scope="col" class="right">Took</th>
            <th scope="col" class="right">A frame</th>
            <th scope="col" class="right">Median of all (${span(median)})</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>
  </section>`
}

/** All chunks, in their order. */
export function everyChunk({ record, chunks, times, attempts }) {
  const latest = new Map(attempts.map((attempt) => [attempt.chunk, attempt]))
  const rows = chunks.map((chunk) => {
    const { worker, start, outcome, estimated } = latest.get(chunk.id) ?? {}
    const state = times.has(chunk.id) ? 'done' : (outcome ?? (record.attempts?.[chunk.id] > 0 ? 'failed' : 'waiting'))
    const began = start === undefined ? '-' : `${estimated ? '≈ ' : ''}${moment(start).slice(11)}`
    return html`<tr>
      <th scope="row">${chunk.id}</th>
      <td class="frames">${framesOf(chunk)}</td>
      <td>${state}</td>
      <td class="right">${estimated ? '-' : (worker ?? '-')}</td>
      <td class="right">${began}</td>
      <td class="right">${span(times.get(chunk.id))}</td>
      <td class="right">${record.attempts?.[chunk.id] ?? '-'}</td>
      <td class="right">${bytes(record.outputs?.[chunk.id]?.size)}</td>
      <td class="wrap"><code>${chunk.outputFile}</code></td>
    </tr>`
  })
  const heads = ['Chunk', 'Frames', 'State', 'Worker', 'Began', 'Took', 'Attempts', 'Size', 'File']
  const head = heads.map((name, i) => html`<th scope="col" class="${i >= 3 && i <= 7 ? 'right' : ''}">${name}</th>`)
  return html`<section aria-labelledby="chunks">
    <h2 id="chunks">All chunks</h2>
    <details ${chunks.length <= 24 && trusted('open')}>
      <summary>${plural(chunks.length, 'chunk')}</summary>
      <div class="scroll" tabindex="0">
        <table>
          <thead>
            <tr>
              ${head}
            </tr>
          </thead>
          <tbody>
            ${rows}
          </tbody>
        </table>
      </div>
    </details>
  </section>`
}
