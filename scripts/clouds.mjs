// The tests against the services of clouds, and what stands in for them on this machine: installed when it is missing.
//
//   npm run test:clouds -- [arguments of vitest]

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { install as installS3 } from '../e2e/services/s3.mjs'
import { root } from './build.mjs'
import { run } from './run.mjs'

try {
  const packages = join(root, 'e2e')
  if (!existsSync(join(packages, 'node_modules'))) {
    console.log('Installing what stands in for the clouds...')
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: packages })
  }
  installS3()
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  run(process.execPath, [vitest, 'run', '--project', 'e2e', ...process.argv.slice(2)], { cwd: root })
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
