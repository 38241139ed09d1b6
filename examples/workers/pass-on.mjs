// A Worker of Cloudflare, or a deployment on Deno Deploy. Neither can start processes: it passes chunks on to a server that
// can, such as server.mjs in a container, and its answers back. TOKEN and RENDERER_URL are variables of the deployment.

/** @typedef {{ TOKEN: string, RENDERER_URL: string, RENDERER_TOKEN: string }} Env */

/** @type {Env} */
const denoEnv = /** @type {any} */ (globalThis).Deno?.env.toObject()

export default {
  /**
   * @param {Request} request
   * @param {Env} [env]
   */
  async fetch(request, env) {
    const { TOKEN, RENDERER_URL, RENDERER_TOKEN } = denoEnv ?? env
    if (!TOKEN || request.headers.get('authorization') !== `Bearer ${TOKEN}`) {
      return new Response('Unauthorized', { status: 401 })
    }
    return fetch(RENDERER_URL, {
      method: 'POST',
      body: await request.text(),
      headers: { 'content-type': 'application/json', authorization: `Bearer ${RENDERER_TOKEN}` },
      // Where the platform tells that the caller has gone, the chunk ends.
      signal: request.signal,
    })
  },
}
