// What went wrong, and what chunks have written.

import { plural, span, tail } from '../lib/format.mjs'
import { html } from './html.mjs'

/** A page of all the output of thousands of chunks would be of no use. */
const MOST_OUTPUTS = 100

/** Attempts that failed, with their reasons where these are known. */
export function failures({ failed }) {
  if (failed.counted === 0 && failed.known.length === 0) return undefined
  const unknown = failed.counted - failed.known.length
  const shown = failed.known.slice(0, MOST_OUTPUTS).map((one) => {
    const how = one.timedOut
      ? 'took too long'
      : one.signal
        ? `ended by ${one.signal}`
        : one.exitCode !== undefined
          ? `exit code ${one.exitCode}`
          : 'failed'
    return html`<details>
      <summary>Chunk ${one.chunk}, attempt ${one.attempt}: ${how}, after ${span(one.end - one.start)}</summary>
      <pre tabindex="0">${one.error ?? ''}</pre>
      ${
        one.stdout &&
        html`<p class="soft">Standard output, its end</p>
          <pre tabindex="0">${tail(interesting(one.stdout))}</pre>`
      }
    </details>`
  })
  const more =
    unknown > 0 &&
    html`<p class="soft">
      Of ${plural(unknown, 'attempt')} more only the number is known: see the table of all chunks.
    </p>`
  return html`<section aria-labelledby="failures">
    <h2 id="failures">Attempts that failed</h2>
    ${shown}${more}
  </section>`
}

/** The last lines of what chunks have written that are done. */
export function outputs({ record }) {
  const written = (record.logs ?? []).filter(({ stdout = '', stderr = '' }) => interesting(stdout) || stderr.trim())
  if (written.length === 0) return undefined
  // Those with something on standard error are more likely to be looked for.
  const shown = [...written].sort(
    (a, b) => Boolean(b.stderr?.trim()) - Boolean(a.stderr?.trim()) || a.chunkId - b.chunkId,
  )
  const entries = shown.slice(0, MOST_OUTPUTS).map(({ chunkId, stdout = '', stderr = '' }) => {
    const stream = (name, text) =>
      text.trim() &&
      html`<p class="soft">Standard ${name}</p>
        <pre tabindex="0">${tail(text)}</pre>`
    const first = tail(stderr.trim() || interesting(stdout), 1, 120)
    return html`<details>
      <summary>Chunk ${chunkId} <span class="soft wrap">${first}</span></summary>
      ${stream('error', stderr)}${stream('output', interesting(stdout))}
    </details>`
  })
  const rest = shown.length - entries.length
  return html`<section aria-labelledby="outputs">
    <h2 id="outputs">Output, the last lines of each chunk</h2>
    ${entries}
    ${rest > 0 && html`<p class="soft">${plural(rest, 'chunk')} more: <code>helios-jobs logs ${record.id}</code></p>`}
  </section>`
}

/** Output without the lines by which ffmpeg tells programs how far it is. */
const interesting = (text) =>
  text
    .split('\n')
    .filter(
      (line) =>
        !/^(frame|fps|stream_\d+_\d+_q|bitrate|total_size|out_time(_us|_ms)?|dup_frames|drop_frames|speed|progress)=/.test(
          line,
        ),
    )
    .join('\n')
    .trim()
