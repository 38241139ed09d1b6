// The chunks of each worker over time.

import { spansOf } from '../lib/attempts.mjs'
import { clock, plural, span } from '../lib/format.mjs'
import { html } from './html.mjs'

const NAMES = { done: 'rendered', failed: 'failed', stopped: 'stopped with the job', running: 'still running' }

/** The section with a row per worker; a text where no times are known. */
export function timeline(attempts, merges, now) {
  const shown = [...attempts, ...merges].map((one) => ({ ...one, end: one.end ?? now }))
  if (shown.length === 0) {
    return html`<section aria-labelledby="timeline">
      <h2 id="timeline">Timeline</h2>
      <p class="soft">Nothing is known of when chunks were rendered.</p>
    </section>`
  }
  const scale = makeScale(shown)
  const lanes = groupBy(shown, laneOf)
  const rows = [...lanes].sort(([a], [b]) => a - b).map(([lane, bars]) => row(lane, bars, scale))
  const kinds = new Set(shown.map(({ outcome }) => outcome))
  const workers = [...lanes.keys()].filter(Number.isFinite).length
  const failed = shown.filter(({ outcome }) => outcome === 'failed').length
  const about = `${plural(attempts.length, 'attempt')} of ${plural(workers, 'worker')} over ${span(scale.busy)}, ${failed} of them failed. The table of all chunks has the figures.`
  return html`<section aria-labelledby="timeline">
    <h2 id="timeline">Timeline</h2>
    <div class="scroll" tabindex="0" role="img" aria-label="${about}">
      <div class="lanes">
        ${rows}
        <span></span>
        <div class="axis">${ticks(scale)}</div>
        <span></span>
      </div>
    </div>
    <ul class="legend">
      ${legend(kinds, shown, scale)}
    </ul>
  </section>`
}

const laneOf = ({ outcome, worker }) => (outcome === 'merge' ? Infinity : worker)

function groupBy(list, keyOf) {
  const groups = new Map()
  for (const one of list) {
    const group = groups.get(keyOf(one))
    if (group) group.push(one)
    else groups.set(keyOf(one), [one])
  }
  return groups
}

function row(lane, bars, scale) {
  const isMerge = lane === Infinity
  const busy = bars.reduce((sum, { start, end }) => sum + end - start, 0)
  const share = isMerge ? span(busy) : `${Math.min(100, Math.round((busy / scale.busy) * 100))}% busy`
  return html`<span class="right">${isMerge ? 'Merge' : `Worker ${lane}`}</span>
    <div class="lane">
      ${bars.map((one) => barOf(one, scale))}${scale.cuts.map((at) => html`<b class="cut" style="left:${percent(at)}"></b>`)}
    </div>
    <span class="right soft">${share}</span>`
}

function barOf({ chunk, attempt, start, end, outcome, estimated, error }, scale) {
  const [left, right] = [scale.at(start), scale.at(end)]
  const what = outcome === 'merge' ? 'Merge' : `Chunk ${chunk}, attempt ${attempt}, ${NAMES[outcome]}`
  const title = `${what}: ${span(end - start)}, from ${clock(start - scale.start)}${estimated ? ' (estimated)' : ''}${error ? `\n${error.slice(0, 300)}` : ''}`
  const label = outcome === 'merge' || right - left < 0.022 ? '' : chunk
  const kind = `${outcome}-bar${estimated ? ' estimated' : ''}`
  return html`<i class="${kind}" style="left:${percent(left)};width:${percent(right - left)}" title="${title}"
    >${label}</i
  >`
}

const percent = (share) => `${(share * 100).toFixed(3)}%`

/**
 * From times to shares of the width. Where nobody worked for a good while, as between a pause and the day after, the
 * time is cut out and marked: it would press everything else together.
 */
function makeScale(bars) {
  const spans = spansOf(bars)
  const work = spans.reduce((sum, { start, end }) => sum + end - start, 0)
  const longest = Math.max(2000, work * 0.2)
  const cutTo = work * 0.02
  const points = []
  let shown = 0
  for (const [index, { start, end }] of spans.entries()) {
    const before = spans[index - 1]
    const gap = before ? start - before.end : 0
    const isCut = gap > longest
    shown += isCut ? cutTo : gap
    points.push({ start, end, shown, isCut })
    shown += end - start
  }
  const total = shown || 1
  const at = (time) => {
    const point = points.findLast(({ start }) => start <= time) ?? points[0]
    return Math.min(1, Math.max(0, (point.shown + Math.max(0, time - point.start)) / total))
  }
  const cuts = points.filter(({ isCut }) => isCut).map(({ shown: place }) => (place - cutTo / 2) / total)
  return { at, cuts, start: spans[0].start, total, busy: total, hasCuts: cuts.length > 0 }
}

/** Marks at round times. With cuts they count what is shown. */
function ticks({ total }) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map(
    (s) => s * 1000,
  )
  const step = steps.find((one) => total / one <= 8) ?? total / 8
  const marks = Array.from({ length: Math.floor(total / step) + 1 }, (_, i) => i * step)
  const lasts = (mark) => mark / total > 0.96
  return marks.map(
    (mark) =>
      html`<span class="${lasts(mark) && mark > 0 ? 'last' : ''}" style="left:${percent(mark / total)}"
        >${clock(mark)}</span
      >`,
  )
}

function legend(kinds, shown, scale) {
  const entry = (kind, text) => html`<li><i class="${kind}"></i>${text}</li>`
  const names = {
    done: 'Rendered',
    failed: 'Failed',
    stopped: 'Stopped with the job',
    running: 'Running',
    merge: 'Merge',
  }
  return [
    ...Object.entries(names)
      .filter(([kind]) => kinds.has(kind))
      .map(([kind, text]) => entry(`${kind}-bar`, text)),
    shown.some(({ estimated }) => estimated) && entry('done-bar estimated', 'Estimated from the times of files'),
    scale.hasCuts && html`<li>Dotted lines: time without work is cut out</li>`,
  ]
}
