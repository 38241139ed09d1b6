// The documents: links lead somewhere, and docs/compatibility.md has every export and every text that users may see.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import * as lib from '../index.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file) => readFileSync(join(root, file), 'utf8')
const below = (folder, ending) =>
  readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith(ending) && !name.includes('node_modules'))

const documents = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...['docs', 'npm', 'examples', 'bench', '.github'].flatMap((folder) => below(folder, '.md')),
]
/** A file of Rust without its tests, its comments, and what it notes for those who look inside. */
const code = (file) =>
  read(file)
    .split('#[cfg(test)]')[0]
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/\b(?:trace|debug|info|warn|error)!\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)/g, '')
const withoutCode = (text) => text.replace(/^ *```.*?^ *```/gms, '').replace(/`[^`\n]*`/g, '')

/** What a heading is called in a link to it, as GitHub does. */
function anchors(text) {
  const seen = new Map()
  const headings = text.replace(/^ *```.*?^ *```/gms, '').matchAll(/^#{1,6} +(.*)$/gm)
  return [...headings].map(([, heading]) => {
    const plain = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replaceAll('`', '')
      .trim()
    const name = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-')
    const times = seen.get(name) ?? 0
    seen.set(name, times + 1)
    return times === 0 ? name : `${name}-${times}`
  })
}

describe.each(documents)('%s', (document) => {
  const text = read(document)
  const links = [...withoutCode(text).matchAll(/\]\(<?([^)>\s]+)>?(?:\s+"[^"]*")?\)|^\[[^\]]+\]: +(\S+)/gm)]
    .map(([, inline, reference]) => inline ?? reference)
    .filter((link) => !/^[a-z][a-z+.-]*:/i.test(link))

  it('has links that lead somewhere', () => {
    const broken = links.filter((link) => {
      const [path, anchor] = link.split('#')
      const file = path ? join(dirname(document), decodeURIComponent(path)) : document
      if (!existsSync(join(root, file)) || relative('.', file).startsWith('..')) return true
      return anchor !== undefined && file.endsWith('.md') && !anchors(read(file)).includes(anchor)
    })
    expect(broken).toEqual([])
  })
})

const compatibility = read('docs/compatibility.md')

describe('examples/README.md', () => {
  it('has every example', () => {
    const text = read('examples/README.md')
    const examples = below('examples/adapters', '.mjs').map((file) => relative('examples', file).replaceAll('\\', '/'))
    expect(examples.length).toBeGreaterThan(12)
    expect(examples.filter((file) => !text.includes(`](${file})`))).toEqual([])
  })
})

describe('docs/compatibility.md', () => {
  it('has every section in its contents', () => {
    const [contents] = compatibility.split(/^## /m)
    const sections = [...compatibility.matchAll(/^## (.*)$/gm)].map(([heading]) => anchors(heading)[0])
    expect(sections.length).toBeGreaterThan(10)
    expect(sections.filter((anchor) => !contents.includes(`](#${anchor})`))).toEqual([])
  })

  const types = [...read('index.d.ts').matchAll(/^export (?:declare )?(?:interface|type|class|function|const) (\w+)/gm)]
  it('has every export', () => {
    const names = [...new Set([...Object.keys(lib), ...types.map(([, name]) => name)])]
    expect(names.length).toBeGreaterThan(60)
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(compatibility))).toEqual([])
  })

  // In a document all of a text is between backticks, whatever its placeholders are called.
  const spans = [...compatibility.replace(/\n/g, ' ').matchAll(/`([^`]+)`/g)].map(([, span]) =>
    span.replace(/ +/g, ' '),
  )
  const SOME = '[^`]*'
  const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  /** A text of the source as what it looks like in the document. Of what is between placeholders, words count. */
  const isThere = (template) => {
    const pieces = template.replaceAll('{{', '{').split(/\$?\{[^}]*\}/)
    if (!pieces.some((piece) => /\p{L}{3}/u.test(piece))) return true
    const pattern = new RegExp(`${pieces.map((piece) => escape(piece.replace(/(\\n|\s)+$/, ''))).join(SOME)}`, 'u')
    return spans.some((span) => pattern.test(span))
  }
  const rust = below('src', '.rs')
    .filter((file) => !/[\\/](tests|testing)(\.rs|[\\/])/.test(file))
    .map((file) => code(file))
  const javascript = [...below('worker', '.cjs'), ...below('src', '.cjs'), 'native.cjs'].map(read)
  const LITERAL = '"((?:[^"\\\\]|\\\\.)*)"'
  const texts = (sources, ...patterns) => {
    const found = sources.flatMap((source) =>
      patterns.flatMap((pattern) => [...source.matchAll(new RegExp(pattern, 'g'))].map(([, text]) => text)),
    )
    return [...new Set(found)].map((text) => text.replace(/\\\n\s*/g, '').replaceAll('\\"', '"'))
  }

  it('has every error', () => {
    const errors = texts(rust, `#\\[error\\(\\s*${LITERAL}`)
    expect(errors.length).toBeGreaterThan(50)
    expect(errors.filter((text) => !isThere(text))).toEqual([])
  })

  it('has every line for the console', () => {
    const calls = '\\.(?:log|warn|failure|error|problem)\\(\\s*(?:format_args!\\(|&format!\\()?\\s*'
    const lines = texts(rust, calls + LITERAL, '"(Warning: (?:[^"\\\\]|\\\\.)*)"', '"(\\[Worker (?:[^"\\\\]|\\\\.)*)"')
    expect(lines.length).toBeGreaterThan(25)
    expect(lines.filter((text) => !isThere(text))).toEqual([])
  })

  it('has what adapters say', () => {
    const folder = below(join('src', 'adapters'), '.rs').filter((file) => !/[\\/]tests\.rs/.test(file))
    const sources = folder.map((file) => code(file))
    // Whole sentences begin with a capital letter.
    const said = texts(sources, '"([A-Z][a-z]+ (?:[^"\\\\]|\\\\.)*)"').filter((text) => !text.startsWith('Bearer'))
    expect(said.length).toBeGreaterThan(40)
    expect(said.filter((text) => !isThere(text))).toEqual([])
  })

  it('has what is thrown and answered by JavaScript', () => {
    const call = '(?:Error|Refusal)\\(\\s*(?:\\d+, )?'
    const thrown = texts(
      javascript,
      `${call}'([^']+)'`,
      `${call}"([^"]+)"`,
      `${call}\`([^\`]+)\``,
      "= '([A-Z][a-z]+ [^']+)'",
    )
    expect(thrown.length).toBeGreaterThan(8)
    expect(thrown.filter((text) => !isThere(text))).toEqual([])
  })
})
