// What is deployed to Cloudflare Workers and Deno Deploy, in the form both understand. The name of the job says what it does.
/** What endless jobs have done so far. */
let beats = 0

const result = (chunk, more) =>
  Response.json({ exitCode: 0, stdout: `chunk ${chunk}`, stderr: '', durationMs: 5, ...more })

const JOBS = {
  fine: (chunk) => result(chunk),
  failing: (chunk) => result(chunk, { exitCode: 3, stderr: 'no font', outputUrl: 's3://film/3.mp4' }),
  long: (chunk) => result(chunk, { stdout: 'frame '.repeat(500_000) }),
  throttled: () => new Response('later', { status: 429, headers: { 'retry-after': '2' } }),
  page: () => new Response('<html>Please log in</html>', { headers: { 'content-type': 'text/html' } }),
  json: () => new Response('{"exitCode":0', { headers: { 'content-type': 'application/json' } }),
  throwing: () => {
    throw new Error('a mistake in the worker')
  },
  async endless(_, { signal }) {
    for (const end = Date.now() + 3000; !signal.aborted && Date.now() < end; beats++)
      await new Promise((wake) => setTimeout(wake, 20))
  },
}

export default {
  async fetch(request, env) {
    if (request.method === 'GET') return new Response(String(beats))
    const token = env?.TOKEN ?? globalThis.Deno?.env.get('TOKEN')
    if (request.headers.get('authorization') !== `Bearer ${token}`) return new Response('who?', { status: 401 })
    const { jobPath, chunkIndex } = await request.json()
    return JOBS[new URL(jobPath).pathname.slice(1)](chunkIndex, request)
  },
}
