// Figures and texts as people read them.

import { stripVTControlCharacters } from 'node:util'

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** The milliseconds of `90s`, `1h30m` or `7d`; undefined for anything else. */
export function parseDuration(text) {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)
  return [...parts].reduce((sum, [, number, unit]) => sum + Number(number) * UNITS[unit], 0)
}

/** `1:05` for 65,000 ms, `2:03:04` from an hour on, `-:--` for nothing. */
export function clock(ms) {
  if (ms === undefined) return '-:--'
  const seconds = Math.round(ms / 1000)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)]
  const two = (number) => String(number).padStart(2, '0')
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}

/** `850 ms`, `11.4 s`, `2 m 05 s`, `1 h 02 m`, `3 d 4 h`: short enough for a table, exact enough to compare. */
export function span(ms) {
  if (!Number.isFinite(ms)) return '-'
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 99_950) return `${(ms / 1000).toFixed(1)} s`
  const pair = (large, small, [one, other]) => {
    const count = Math.round(ms / UNITS[small])
    const per = UNITS[large] / UNITS[small]
    return `${Math.floor(count / per)} ${one} ${String(count % per).padStart(2, '0')} ${other}`
  }
  if (ms < UNITS.h) return pair('m', 's', ['m', 's'])
  return ms < 2 * UNITS.d ? pair('h', 'm', ['h', 'm']) : pair('d', 'h', ['d', 'h'])
}

/** How long ago something was, in one figure: `5 s`, `3 m`, `2 h`, `9 d`. */
export function age(ms) {
  const unit = ['d', 'h', 'm'].find((name) => ms >= UNITS[name]) ?? 's'
  return `${Math.max(0, Math.floor(ms / UNITS[unit]))} ${unit}`
}

/** `4.3 MB`. */
export function bytes(count) {
  if (!Number.isFinite(count)) return '-'
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3))
  return `${power === 0 ? count : (count / 1000 ** power).toFixed(1)} ${units[power]}`
}

/** `1 chunk`, `2 chunks`. */
export const plural = (count, what) => `${count} ${what}${count === 1 ? '' : 's'}`

/** A moment in local time, `2026-11-27 09:53:45`. */
export function moment(ms) {
  const date = new Date(ms)
  if (!Number.isFinite(ms) || Number.isNaN(date.getTime())) return '-'
  const local = new Date(ms - date.getTimezoneOffset() * UNITS.m)
  return local.toISOString().slice(0, 19).replace('T', ' ')
}

/**
 * What a job's own texts may put on a line of a terminal: no escape sequences, which would change what else is there, and
 * no line breaks.
 */
export function plain(text) {
  return stripVTControlCharacters(String(text))
    .replace(/[\s\p{Cc}\u202a-\u202e\u2066-\u2069]+/gu, ' ')
    .trim()
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u
const columnsOf = (character) => (/\p{M}|\u200d/u.test(character) ? 0 : WIDE.test(character) ? 2 : 1)

/** How many columns of a terminal a text takes. */
export const width = (text) => [...text].reduce((sum, character) => sum + columnsOf(character), 0)

/** The text in at most `most` columns; what is left out is marked. */
export function clip(text, most) {
  if (width(text) <= most) return text
  let [shown, left] = ['', most - 1]
  for (const character of text) {
    left -= columnsOf(character)
    if (left < 0) break
    shown += character
  }
  return most > 0 ? `${shown}…` : ''
}

/** The last `count` lines of a text, at most `most` characters of it. */
export function tail(text, count = 20, most = 4000) {
  const lines = text.trimEnd().split('\n').slice(-count).join('\n')
  return lines.length > most ? `…${lines.slice(-most)}` : lines
}

/**
 * Rows below a heading, each column as wide as it has to be. A column is `{ title, right? }`; cells are texts, or
 * `[text, paint]` for a text in colour.
 */
export function table(columns, rows, paint) {
  const texts = rows.map((row) => row.map((cell) => (Array.isArray(cell) ? cell[0] : String(cell))))
  const widths = columns.map(({ title }, i) => Math.max(...[title, ...texts.map((row) => row[i])].map(width)))
  const line = (cells, painters = []) =>
    cells
      .map((text, i) => {
        const space = ' '.repeat(widths[i] - width(text))
        const shown = painters[i] ? painters[i](text) : text
        const isLast = i === cells.length - 1
        return columns[i].right ? space + shown : isLast ? shown : shown + space
      })
      .join('  ')
  const head = line(columns.map(({ title }) => title)).trimEnd()
  const body = rows.map((row, at) =>
    line(
      texts[at],
      row.map((cell) => (Array.isArray(cell) ? cell[1] : undefined)),
    ),
  )
  return [paint.dim(head), ...body].join('\n') + '\n'
}

/** Names and values, one pair a line; pairs without a value are left out. */
export function facts(pairs, paint) {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== '')
  const widest = Math.max(...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `${paint.dim(name.padEnd(widest))}  ${value}\n`).join('')
}
