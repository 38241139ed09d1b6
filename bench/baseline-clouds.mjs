// The adapters for services as one writes them in JavaScript: on AWS's own client, and on fetch.
// The client is a package of e2e/; it is loaded when it is needed, so that other rows do without.
import { createRequire } from 'node:module'

const load = createRequire(new URL('../e2e/package.json', import.meta.url))

export class AwsLambdaAdapter {
  #config
  #client
  #Command

  constructor(config) {
    const { InvokeCommand, LambdaClient } = load('@aws-sdk/client-lambda')
    this.#config = config
    this.#client = new LambdaClient({
      region: config.region,
      endpoint: config.endpoint,
      requestHandler: { httpAgent: { maxSockets: 64 } },
    })
    this.#Command = InvokeCommand
  }

  async execute({ meta, signal }) {
    const startedAt = Date.now()
    const payload = JSON.stringify({ jobPath: meta.jobDefUrl, chunkIndex: meta.chunkId })
    const { functionName: FunctionName } = this.#config
    const command = new this.#Command({
      FunctionName,
      InvocationType: 'RequestResponse',
      Payload: Buffer.from(payload),
    })
    const response = await this.#client.send(command, { abortSignal: signal })
    const { statusCode, body } = JSON.parse(Buffer.from(response.Payload).toString())
    const { output } = JSON.parse(body)
    return { exitCode: statusCode === 200 ? 0 : 1, stdout: output, stderr: '', durationMs: Date.now() - startedAt }
  }
}

/** A service that renders a chunk for one request. */
class FetchAdapter {
  #url
  #headers

  constructor({ serviceUrl, endpointUrl, authToken }) {
    this.#url = serviceUrl ?? endpointUrl
    this.#headers = { 'content-type': 'application/json', ...(authToken && { authorization: `Bearer ${authToken}` }) }
  }

  async execute({ meta, signal }) {
    const startedAt = Date.now()
    const body = JSON.stringify({ jobPath: meta.jobDefUrl, chunkIndex: meta.chunkId })
    const response = await fetch(this.#url, { method: 'POST', headers: this.#headers, body, signal })
    const { exitCode, stdout, stderr } = await response.json()
    return { exitCode, stdout, stderr, durationMs: Date.now() - startedAt }
  }
}
export {
  FetchAdapter as AzureFunctionsAdapter,
  FetchAdapter as CloudRunAdapter,
  FetchAdapter as CloudflareWorkersAdapter,
  FetchAdapter as DenoDeployAdapter,
  FetchAdapter as ModalAdapter,
  FetchAdapter as VercelAdapter,
}
