// Google's identities on this machine: an issuer of signed tokens (oauth2-mock-server), a metadata server and an IAM endpoint
// in front of it, and a front for services that lets pass only who shows a token made out for them, as Cloud Run's does.
import { once } from 'node:events'
import { createPublicKey } from 'node:crypto'
import { createServer } from 'node:http'
import { OAuth2Client } from 'google-auth-library'
import { OAuth2Server } from 'oauth2-mock-server'

const ISSUER = 'https://accounts.google.com'
/** The program that users log in with. */
export const LOGIN_CLIENT = 'gcloud.apps.googleusercontent.com'

/** Starts the issuer. `issued` counts the tokens by the door they came from; `lifetime` is that of the next ones, in seconds. */
export async function startIdentities() {
  const issuer = new OAuth2Server()
  await issuer.issuer.keys.generate('RS256')
  await issuer.start(0, '127.0.0.1')
  const { port } = issuer.address()
  issuer.issuer.url = ISSUER
  const state = { issued: { metadata: 0, iam: 0, login: 0 }, lifetime: 3600 }

  const mint = (door, audience) => {
    state.issued[door] += 1
    const scopesOrTransform = (_, payload) =>
      void Object.assign(payload, { aud: audience, azp: '1', sub: '1', email: 'render@film.iam.gserviceaccount.com' })
    return issuer.issuer.buildToken({ scopesOrTransform, expiresIn: state.lifetime })
  }
  const front = await serve(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://metadata')
    const json = (value) =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (pathname.endsWith('/identity') && request.headers['metadata-flavor'] === 'Google') {
      response.writeHead(200, { 'metadata-flavor': 'Google' }).end(await mint('metadata', searchParams.get('audience')))
    } else if (pathname.endsWith(':generateIdToken') && request.headers.authorization === 'Bearer access') {
      json({ token: await mint('iam', JSON.parse(await text(request)).audience) })
    } else if (pathname === '/token') {
      // As Google does: a user's token is made out for the program that he has logged in with.
      const identity = await mint('login', LOGIN_CLIENT)
      json({ access_token: 'access', token_type: 'Bearer', expires_in: 3600, id_token: identity })
    } else {
      response.writeHead(404).end()
    }
  })
  const keys = await (await fetch(`http://127.0.0.1:${port}/jwks`)).json()
  return Object.assign(state, {
    metadataHost: `127.0.0.1:${front.port}`,
    url: front.url,
    certificates: Object.fromEntries(keys.keys.map((key) => [key.kid, pem(key)])),
    stop: async () => {
      await front.stop()
      await issuer.stop()
    },
  })
}

/** A service that `answer`s those whose token is signed by the issuer, still valid, and made out for `audience()`. */
export async function startGuarded(identities, answer, audience) {
  const verifier = new OAuth2Client()
  const refused = []
  const service = await serve(async (request, response) => {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    try {
      const wanted = audience?.() ?? service.url
      await verifier.verifySignedJwtWithCertsAsync(token, identities.certificates, wanted, [ISSUER])
    } catch (error) {
      refused.push(error.message)
      return void response.writeHead(401).end('<html>Unauthorized</html>')
    }
    answer(request, response, await text(request))
  })
  return Object.assign(service, { refused })
}

const pem = (key) => createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' })

async function text(request) {
  const pieces = []
  for await (const piece of request) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

async function serve(answer) {
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => response.writeHead(500).end(String(error)))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address()
  const stop = () => {
    server.closeAllConnections()
    return new Promise((resolve) => void server.close(resolve))
  }
  return { port, url: `http://127.0.0.1:${port}`, stop }
}
