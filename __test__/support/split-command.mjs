// The reading of a command string, written from the contract alone: an oracle, one character at a time.

/** ECMA-262 WhiteSpace and LineTerminator: what `\s` matches. */
export const SPACES = [
  ...'\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff',
  ...Array.from({ length: 11 }, (_, i) => String.fromCharCode(0x2000 + i)),
]

const space = new Set(SPACES)

/** The words of a command string; an empty list where there is none. */
export function words(text) {
  let start = 0
  let end = text.length
  while (start < end && space.has(text[start])) start += 1
  while (end > start && space.has(text[end - 1])) end -= 1
  const found = []
  let word // undefined between words
  let quote // the open quote
  for (let at = start; at < end; at += 1) {
    const char = text[at]
    if (char === '\\') {
      at += 1
      if (at < end) word = (word ?? '') + text[at]
    } else if (quote !== undefined) {
      if (char === quote) quote = undefined
      else word += char
    } else if (char === "'" || char === '"') {
      quote = char
      word ??= ''
    } else if (space.has(char)) {
      if (word !== undefined) found.push(word)
      word = undefined
    } else {
      word = (word ?? '') + char
    }
  }
  return word === undefined ? found : [...found, word]
}
