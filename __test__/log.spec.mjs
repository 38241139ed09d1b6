// HELIOS_LOG: what is done on the native side, for those who ask.
import { describe, expect, it } from 'vitest'
import { runScript } from './support/scripts.mjs'
import { loopback } from './support/loopback.mjs'

const SCRIPT = `
  const [url] = process.argv.slice(-1)
  await new lib.LocalWorkerAdapter().execute({ command: 'sh', args: ['-c', 'exit 0 # hush'], env: { ...process.env, KEY: 'hush' } })
  const adapter = new lib.VercelAdapter({ serviceUrl: url + '/render?key=hush', authToken: 'hush' })
  await adapter.execute({ command: 'render', meta: { chunkId: 1, jobDefUrl: 'https://bucket/job.json?signature=hush' } })
`

async function said(log) {
  const server = await loopback((_, response) => response.end('{"exitCode":0}'))
  const { HELIOS_LOG: _, ...env } = process.env
  const { code, stderr } = await runScript(SCRIPT, { args: [server.url], env: log ? { ...env, HELIOS_LOG: log } : env })
  expect(code).toBe(0)
  return stderr
}

describe('HELIOS_LOG', () => {
  it('has it said what is done, and nothing secret', async () => {
    const text = await said('debug')
    expect(text).toMatch(/DEBUG helios_infrastructure::process::supervisor: process started pid=\d+ program=sh/)
    expect(text).toMatch(/process ended pid=\d+ code=0/)
    expect(text).toMatch(/DEBUG helios_infrastructure::cloud::http: answer status=200 host="127.0.0.1" path="\/render"/)
    expect(text).not.toContain('hush')
    // Libraries speak when they are asked by name.
    expect(text).not.toContain(' hyper_util')
  })

  it('lets libraries speak that are named', async () => {
    expect(await said('helios_infrastructure=warn,hyper_util=debug')).toMatch(/DEBUG hyper_util/)
  })

  it.each([['off'], ['warn'], [undefined]])('has nothing said when it is %s', async (log) => {
    expect(await said(log)).toBe('')
  })

  it('says so when it is not understood', async () => {
    expect(await said('a=b=c')).toMatch(/^HELIOS_LOG is not understood: .+\n$/)
  })
})
