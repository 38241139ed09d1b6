// Publishes archives, in the order in which pack.mjs has printed them. What the registry has already is left out: a release that
// failed half-way is run again.
//
//   node scripts/publish.mjs ARCHIVE...

import { run } from './run.mjs'

const QUIET = { stdio: 'pipe' }

function publish(archive) {
  const { name, version } = JSON.parse(run('tar', ['-xzOf', archive, 'package/package.json'], QUIET))
  if (isPublished(`${name}@${version}`)) return console.log(`${name}@${version} is there already.`)
  return run('npm', ['publish', archive, '--provenance', '--access', 'public'])
}

function isPublished(version) {
  try {
    // Of a version that is not there some of npm's own versions print nothing, and the others fail.
    return run('npm', ['view', version, 'version', '--prefer-online'], QUIET).trim() !== ''
  } catch (error) {
    if (error.message.includes('E404')) return false
    throw error
  }
}

try {
  const archives = process.argv.slice(2)
  if (archives.length === 0) throw new Error('There is nothing to publish.')
  archives.forEach(publish)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
