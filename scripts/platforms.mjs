// Lints the crate for the other platforms, as far as their standard library is at hand (`rustup target add …`): nothing is
// linked or run, but what does not compile there is found here.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { root, rustEnvironment } from './build.mjs'

const TARGETS = ['aarch64-apple-darwin', 'x86_64-pc-windows-msvc']

const options = { cwd: root, env: rustEnvironment(), encoding: 'utf8' }
for (const target of TARGETS) {
  const { stdout } = spawnSync('rustc', ['--print', 'target-libdir', '--target', target], options)
  if (!existsSync(stdout.trim())) {
    console.log(`${target}: skipped, its standard library is not installed (rustup target add ${target})`)
    continue
  }
  for (const features of [[], ['--no-default-features']]) {
    const args = ['clippy', '--target', target, ...features, '--', '-D', 'warnings']
    const { status } = spawnSync('cargo', args, { ...options, stdio: 'inherit' })
    if (status !== 0) process.exitCode = 1
  }
}
