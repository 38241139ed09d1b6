// The tests with the published command-line program, on this package in the place of the original one: installed when it is
// missing, and given the package anew every time.
//
//   npm run test:cli -- [arguments of vitest]

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './build.mjs'
import { run } from './run.mjs'

/** Puts what would be published, and the addon that was built here, into a folder. */
function unpack(folder) {
  const packed = mkdtempSync(join(tmpdir(), 'helios-pack-'))
  try {
    const pack = ['pack', '--json', '--loglevel=error', '--pack-destination', packed]
    run('npm', pack, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
    run('tar', ['-xf', join(packed, readdirSync(packed)[0]), '-C', folder, '--strip-components', '1'])
  } finally {
    rmSync(packed, { recursive: true, force: true })
  }
  // npm installs the development dependencies of folders, not those of packages.
  const file = join(folder, 'package.json')
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file)), devDependencies: undefined }, null, 2))
  for (const name of readdirSync(root)) if (name.endsWith('.node')) copyFileSync(join(root, name), join(folder, name))
}

try {
  const home = join(root, 'e2e', 'cli')
  unpack(join(home, 'infrastructure'))
  if (!existsSync(join(home, 'node_modules', '.package-lock.json'))) {
    console.log('Installing the command-line program...')
    const env = { ...process.env, PUPPETEER_SKIP_DOWNLOAD: '1', PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' }
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: home, env })
  }
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  run(process.execPath, [vitest, 'run', '--project', 'cli', '--no-file-parallelism', ...process.argv.slice(2)], {
    cwd: root,
  })
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
