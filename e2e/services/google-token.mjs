// Where a service account changes what it has signed for an access token.
import { generateKeyPairSync, verify } from 'node:crypto'
import { createServer } from 'node:http'

/** Starts an endpoint that gives `token`. Gives the `credentials` that it takes, how many it has `given`, and `stop()`. */
export async function serviceAccount(token) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const state = { given: 0 }
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (data) => (body += data))
    request.on('end', () => {
      const [header, claims, signature] = new URLSearchParams(body).get('assertion').split('.')
      const signed = Buffer.from(`${header}.${claims}`)
      if (!verify('RSA-SHA256', signed, publicKey, Buffer.from(signature, 'base64url')))
        return response.writeHead(401).end()
      state.given += 1
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: 3600 }))
    })
  })
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
  const credentials = {
    type: 'service_account',
    project_id: 'project',
    client_email: 'worker@project.iam.gserviceaccount.com',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    token_uri: `http://127.0.0.1:${server.address().port}/token`,
  }
  const stop = () => new Promise((closed) => (server.closeAllConnections(), server.close(closed)))
  return { credentials, state, stop }
}
