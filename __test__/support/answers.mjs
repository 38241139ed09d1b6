// Answers of all sorts, and what is the same for all adapters that read them.
import { expect, it } from 'vitest'
import { loopback } from './loopback.mjs'

const statuses = [200, 201, 202, 206, 300, 302, 307, 400, 401, 403, 404, 408, 409, 413, 429, 500, 501, 502, 503, 504]
const types = [
  'application/json',
  'application/json; charset=utf-8',
  'text/html',
  'text/plain; charset=utf-8',
  'application/octet-stream',
  undefined,
]
const bodies = [
  '',
  'null',
  '5',
  '"text"',
  '[]',
  '{}',
  '{"exitCode":0,"stdout":"out","stderr":"err"}',
  '{"exitCode":3,"output":"out","stdout":""}',
  '{"exitCode":"0","stdout":7,"stderr":null,"output":"out"}',
  '{ "message" : "a \\"quoted\\" one",\n\t"zoo":[ 1, {} ], "ape": -2.5e3 }',
  '{"exitCode":-1,"outputUrl":"gcs://bucket/job/3.mp4"}',
  '{"exitCode":0.5}',
  '<html>a login page, "quoted"\n</html>',
  '{"exitCode":0',
  `ü€😀${'x'.repeat(300)}`,
]
const kinds = {
  408: 'transient',
  429: 'throttled',
  500: 'transient',
  501: 'transient',
  502: 'transient',
  503: 'transient',
  504: 'transient',
}

/** A body as the adapters see it: `object` when it is a JSON object, and its exit code where that is a number. */
export function read(body) {
  let value
  let isJson = true
  try {
    value = JSON.parse(body)
  } catch {
    isJson = false
  }
  const object = isJson && typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  const exitCode =
    typeof object?.exitCode !== 'number' ? undefined : Number.isInteger(object.exitCode) ? object.exitCode : 1
  const string = (name) => (typeof object?.[name] === 'string' ? object[name] : '')
  const outputUrl = object?.outputUrl && { outputUrl: object.outputUrl }
  return { value, isJson, object, exitCode, string, outputUrl }
}

/** What to make of an answer that is no success: nothing where a worker itself says how its chunk ended. */
export const retryOf = (status, { exitCode }) =>
  status < 300 || (status >= 500 && exitCode !== undefined) ? {} : { retry: { kind: kinds[status] ?? 'fatal' } }

/** The beginning of an answer that is none. */
export const shown = (body) => `the answer is not a JSON object: ${[...body].slice(0, 200).join('')}`

/** Every answer: `run(url, give)` has an adapter ask `url`, `expected(status, type, body)` is what comes of it. */
export function matrix(make, run, expected) {
  it.each(statuses)(
    `with status %i is what body and type say (${types.length} types, ${bodies.length} bodies)`,
    async (status) => {
      const cases = types.flatMap((type) => bodies.map((body) => [type, body]))
      const server = await loopback((_, response, { number }) => {
        const [type, body] = cases[number - 1]
        response.writeHead(status, 'Quite Odd', type && { 'content-type': type })
        response.end(body)
      })
      const adapter = make(server.url)
      for (const [type, body] of cases) {
        const result = await run(adapter)
        expect([type, body, result]).toEqual([
          type,
          body,
          { durationMs: expect.any(Number), ...expected(status, type, body) },
        ])
      }
      expect(server.requests.length).toBe(cases.length)
    },
  )
}
