// A Worker that makes sandboxes for CloudflareSandboxAdapter, with Cloudflare's SDK. TOKEN is a secret of the deployment,
// Sandbox the binding of its container, whose image has Node, ffmpeg, curl, setsid, and chunk.mjs.
import { getSandbox } from '@cloudflare/sandbox'

export { Sandbox } from '@cloudflare/sandbox'

const PATH = /^\/accounts\/[^/]+\/sandbox\/namespaces\/[^/]+\/sandboxes(?:\/([\w-]+)(\/exec)?)?$/

export default {
  /**
   * @param {Request} request
   * @param {{ TOKEN: string, Sandbox: unknown }} env
   */
  async fetch(request, env) {
    if (request.headers.get('authorization') !== `Bearer ${env.TOKEN}`) return new Response(null, { status: 403 })
    const [path, id = crypto.randomUUID(), exec] = PATH.exec(new URL(request.url).pathname) ?? []
    if (!path) return new Response(null, { status: 404 })
    const sandbox = getSandbox(env.Sandbox, id, { keepAlive: true })
    if (exec) {
      const { command } = /** @type {{ command: string }} */ (await request.json())
      const { exitCode, stdout, stderr } = await sandbox.exec(command)
      return Response.json({ success: true, result: { exitCode, stdout, stderr } })
    }
    if (request.method === 'DELETE') await sandbox.destroy()
    return Response.json({ success: true, result: { id } })
  },
}
