// The libraries of an old Linux (glibc 2.17), to link the addon with, so that it loads wherever Node itself does.
//
// They are those of the toolchain of napi-rs, from npm. Only its libraries are used: its compiler is too old for the linker
// that makes the addon small.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './run.mjs'

const VERSION = '1.0.0'
const NAME = 'x64-target-x86_64'
const INTEGRITY = 'sha512-lecoghCfoTAX9MLFcIx9/nL9M8xdkZ9n8Pki8qjKUNzjiq1zbECdEbzIZAMMHRtrXxifK9dAyYuh8gSxNbr2og=='
const TRIPLE = 'x86_64-unknown-linux-gnu'

/** Brings the libraries (of x86_64) into `folder`, unless they are there; gives where they are. */
export function sysroot(folder) {
  const place = join(folder, `sysroot-${TRIPLE}-${VERSION}`)
  if (existsSync(place)) return place
  mkdirSync(folder, { recursive: true })
  const work = mkdtempSync(join(folder, 'sysroot-'))
  const quietly = { cwd: work, stdio: ['ignore', 'inherit', 'inherit'] }
  try {
    run('npm', ['pack', '--silent', `@napi-rs/cross-toolchain-${NAME}@${VERSION}`], quietly)
    const archive = join(work, `napi-rs-cross-toolchain-${NAME}-${VERSION}.tgz`)
    const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`
    if (found !== INTEGRITY) throw new Error(`${archive} is not what it should be: ${found}`)
    run('tar', ['-xzf', archive], quietly)
    run('tar', ['-xJf', join('package', `${TRIPLE}.tar.xz`), `./${TRIPLE}/sysroot`], quietly)
    renameSync(join(work, TRIPLE, 'sysroot'), place)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return place
}
