// HTML from templates in which everything is escaped that is not HTML already.

class Html {
  constructor(text) {
    this.text = text
  }
}

const ENTITIES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

// Characters that HTML cannot have, and those that change the direction of what follows.
const UNSEEN = /(?![\t\n\r])\p{Cc}|[\u202a-\u202e\u2066-\u2069\ufffe\uffff]/gu

const escape = (value) =>
  String(value)
    .replace(UNSEEN, '\ufffd')
    .replace(/[&<>"']/g, (character) => ENTITIES[character])

/** A template of HTML. Values are escaped; lists are joined; undefined, null and false are nothing. */
export function html(strings, ...values) {
  const texts = values.map(render)
  return new Html(strings.map((text, i) => text + (texts[i] ?? '')).join(''))
}

/** Text that is HTML already, and comes from here. */
export const trusted = (text) => new Html(text)

function render(value) {
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(render).join('')
  return value === undefined || value === null || value === false ? '' : escape(value)
}
