// A real S3 server, s3s-fs, with its buckets as folders.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root, rustEnvironment } from '../../scripts/build.mjs'
import { freePort, startServer } from './process.mjs'

const VERSION = '0.14.1'
const folder = join(root, 'target', 'e2e')
const program = join(folder, 'bin', process.platform === 'win32' ? 's3s-fs.exe' : 's3s-fs')

/** Builds the server, unless it is there. Takes minutes. */
export function install() {
  if (existsSync(program)) return
  const args = ['install', `s3s-fs@${VERSION}`, '--features', 'binary', '--locked', '--root', folder]
  const { status } = spawnSync('cargo', args, { stdio: 'inherit', env: rustEnvironment() })
  if (status !== 0) throw new Error('s3s-fs, the S3 server of the tests, could not be built.')
}

/**
 * Starts a server. Gives its `url`, the `folder` that holds the buckets, and `stop()`. Without a key it asks nobody who he is.
 */
export async function start({ key, secret, buckets = ['bucket'] } = {}) {
  const home = realpathSync(mkdtempSync(join(tmpdir(), 'helios-s3-')))
  for (const bucket of buckets) mkdirSync(join(home, bucket))
  const port = await freePort()
  const keys = key ? ['--access-key', key, '--secret-key', secret] : []
  const args = [...keys, '--host', '127.0.0.1', '--port', String(port), home]
  const env = { PATH: process.env.PATH, RUST_LOG: 'off' }
  const end = await startServer(program, args, port, { env })
  const stop = async () => {
    await end()
    rmSync(home, { recursive: true, force: true })
  }
  return { url: `http://127.0.0.1:${port}`, port, folder: home, stop }
}
