// What was counted in the video, against what was asked for.

import { compare, describeStreams } from '../lib/checks.mjs'
import { html } from './html.mjs'

export function proof({ record }) {
  const { result } = record
  if (!Number.isFinite(result?.frames)) {
    return html`<section aria-labelledby="proof">
      <h2 id="proof">Proof of the video</h2>
      <p class="soft">
        There is none: only where ffmpeg joins the chunks on this machine (<code>--output</code>) it is counted what is
        in the video.
      </p>
    </section>`
  }
  // The checks against the proof itself say nothing here.
  const checks = compare({ spec: record.spec }, result)
  const sum = (result.chunks ?? []).reduce((total, { frames }) => total + frames, 0)
  checks.push({
    what: 'frames of the chunks',
    expected: String(sum),
    found: String(result.frames),
    ok: sum === result.frames,
  })
  const rows = checks.map(
    ({ what, expected, found, ok }) =>
      html`<tr>
        <th scope="row">${what}</th>
        <td class="right">${expected}</td>
        <td class="right">${found}</td>
        <td class="${ok ? 'yes' : 'no'}">${ok ? '✓ same' : '✗ differs'}</td>
      </tr>`,
  )
  return html`<section aria-labelledby="proof">
    <h2 id="proof">Proof of the video</h2>
    <p class="wrap"><code>${result.outputFile}</code></p>
    <p class="soft">
      ${describeStreams(result.streams)}. Counted in the video when it was made, before it was put in its place.
    </p>
    <div class="scroll" tabindex="0">
      <table class="compact">
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col" class="right">Asked for</th>
            <th scope="col" class="right">In the video</th>
            <th scope="col">Result</th>
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>
  </section>`
}
