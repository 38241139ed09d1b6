// A server that renders one chunk per request: for Cloud Run, as a custom handler of Azure Functions, on Modal, in any
// container. Only definitions in its own storage (STORAGE) are let in; with a TOKEN only who knows that, too.
import { createHash, timingSafeEqual } from 'node:crypto'
import { createCloudRunServer } from '@helios-project/infrastructure'
import { jobPaths, setting, storageAt } from '../lib/settings.mjs'

const { server, listen } = createCloudRunServer({
  storage: storageAt(),
  allowedJobPaths: [jobPaths()],
  maxConcurrentChunks: Number(setting('MAX_CHUNKS', '1')),
  // The port that Azure names; else PORT, else 8080.
  port: process.env.FUNCTIONS_CUSTOMHANDLER_PORT ? Number(process.env.FUNCTIONS_CUSTOMHANDLER_PORT) : undefined,
})

const digest = (text = '') => createHash('sha256').update(text).digest()
const { TOKEN } = process.env
if (TOKEN) {
  const [render] = server.listeners('request')
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    const isKnown = timingSafeEqual(digest(request.headers.authorization), digest(`Bearer ${TOKEN}`))
    if (isKnown) render?.call(server, request, response)
    else response.writeHead(401).end()
  })
}
listen(() => console.log('Listening.'))
