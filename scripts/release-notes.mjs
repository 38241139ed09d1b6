// What CHANGELOG.md has of a version, if package.json and Cargo.toml are of that version.
//
//   node scripts/release-notes.mjs VERSION
import { readFileSync } from 'node:fs'

const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8')
const [version] = process.argv.slice(2)
const versions = {
  'package.json': JSON.parse(read('package.json')).version,
  'Cargo.toml': /^version = "(.+)"$/m.exec(read('Cargo.toml'))?.[1],
}
const sections = read('CHANGELOG.md').split(/^## /m)
const section = sections.find((text) => text.startsWith(`[${version}]`))
for (const [file, found] of Object.entries(versions)) {
  if (found !== version) fail(`${file} has version ${found}, not ${version}.`)
}
if (!section) fail(`CHANGELOG.md has no section "## [${version}]".`)
console.log(section.slice(section.indexOf('\n')).trim())

function fail(text) {
  console.error(text)
  process.exit(1)
}
