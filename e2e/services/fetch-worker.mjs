// The runtimes of Cloudflare Workers and Deno Deploy themselves, serving workers/fetch.mjs or another file.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, startServer } from './process.mjs'

const require = createRequire(import.meta.url)
const worker = fileURLToPath(new URL('../workers/fetch.mjs', import.meta.url))
const { arch, platform } = process

/** The program in the package of npm for this platform. */
const programOf = (name, file) => join(dirname(require.resolve(`${name}/package.json`)), file)
const RUNTIMES = {
  workerd: () => programOf(`@cloudflare/workerd-${platform}-${arch === 'x64' ? '64' : arch}`, 'bin/workerd'),
  deno: () => programOf(`@deno/${platform}-${arch}${platform === 'linux' ? '-glibc' : ''}`, 'deno'),
}

/** What is missing for `runtime`; nothing, if it can be started. */
export function missing(runtime) {
  try {
    return existsSync(RUNTIMES[runtime]()) ? '' : `there is no ${runtime} for this machine`
  } catch {
    return `there is no ${runtime} for ${platform} on ${arch}`
  }
}

/**
 * Starts `runtime` with the worker in `file`, which lets in who knows `token`, and has more `variables`. Gives `url`, `beats()`
 * and `stop()`.
 */
export async function startWorker(runtime, token, { file = worker, variables = {} } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'helios-worker-'))
  const port = await freePort()
  const start = { workerd, deno }[runtime]
  const end = await start(RUNTIMES[runtime](), { folder, port, file, variables: { TOKEN: token, ...variables } })
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    /** What its endless jobs have done so far. */
    beats: async () => Number(await (await fetch(url)).text()),
    async stop() {
      await end()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function workerd(program, { folder, port, file, variables }) {
  const bindings = Object.entries(variables).map(([name, value]) => `(name = "${name}", text = "${value}")`)
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker), (name = "internet", network = (allow = ["public", "private"]))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.mjs", esModule = embed "worker.mjs")],
  bindings = [${bindings}],
  compatibilityDate = "2026-01-01",
  compatibilityFlags = ["enable_request_signal"]
);`
  writeFileSync(join(folder, 'config.capnp'), config)
  writeFileSync(join(folder, 'worker.mjs'), readFileSync(file))
  return startServer(program, ['serve', join(folder, 'config.capnp')], port)
}

function deno(program, { folder, port, file, variables }) {
  const env = { ...process.env, DENO_DIR: folder, DENO_NO_UPDATE_CHECK: '1', ...variables }
  const args = [
    'serve',
    '--quiet',
    '--no-config',
    '--allow-env',
    '--allow-net',
    '--host=127.0.0.1',
    `--port=${port}`,
    file,
  ]
  return startServer(program, args, port, { env })
}
