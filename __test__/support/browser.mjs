// A browser without a window, Debian's chromium, driven through its DevTools protocol over a pipe.
import { spawn } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { makeFolder, removeFolder } from './files.mjs'
import { within } from './wait.mjs'

/** Opens a page; `messages` are the console's, `requests` the URLs that were asked for. It is closed with the test. */
export async function openPage(url, { dark = false, width = 1200 } = {}) {
  const profile = makeFolder('helios-browser-')
  const flags = [
    '--headless=new',
    '--disable-gpu',
    '--no-first-run',
    '--hide-scrollbars',
    '--disable-background-networking',
  ]
  // Root may not have a sandbox; what is opened here is ours.
  const args = [...flags, '--no-sandbox', `--user-data-dir=${profile}`, '--remote-debugging-pipe', 'about:blank']
  const child = spawn('chromium', args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true })
  const gone = new Promise((resolve) => child.on('close', resolve).on('error', resolve))
  onTestFinished(async () => {
    end(child)
    await gone
    removeFolder(profile)
  })
  const { call, listen } = connect(child)
  const { targetId } = await call('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true })
  const ask = (method, params) => call(method, params, sessionId)
  const page = { messages: [], requests: [], ask }
  const loaded = new Promise((resolve) => listen('Page.loadEventFired', resolve))
  listen('Network.requestWillBeSent', ({ request }) => page.requests.push(request.url))
  listen('Log.entryAdded', ({ entry }) => page.messages.push(entry.text))
  listen('Runtime.consoleAPICalled', ({ args: parts }) => page.messages.push(parts.map(({ value }) => value).join(' ')))
  listen('Runtime.exceptionThrown', ({ exceptionDetails }) => page.messages.push(exceptionDetails.text))
  for (const domain of ['Page', 'Network', 'Log', 'Runtime']) await ask(`${domain}.enable`)
  await ask('Emulation.setEmulatedMedia', {
    features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }],
  })
  await ask('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: false })
  await ask('Page.navigate', { url })
  await within(15_000, loaded, 'the page')
  /** The value of an expression in the page. */
  page.evaluate = async (expression) => {
    const { result, exceptionDetails } = await ask('Runtime.evaluate', { expression, returnByValue: true })
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }
  /** All of the page as a PNG. */
  page.screenshot = async () => {
    const { data } = await ask('Page.captureScreenshot', { captureBeyondViewport: true })
    return Buffer.from(data, 'base64')
  }
  return page
}

/** The protocol: messages are JSON texts that end with NUL. */
function connect(child) {
  const [input, output] = [child.stdio[3], child.stdio[4]]
  const [answers, listeners] = [new Map(), []]
  let [text, last] = ['', 0]
  input.on('error', () => {})
  output.setEncoding('utf8').on('data', (data) => {
    const messages = (text + data).split('\0')
    text = messages.pop()
    for (const { id, result, error, method, params } of messages.map((one) => JSON.parse(one))) {
      if (id === undefined) for (const [, listener] of listeners.filter(([name]) => name === method)) listener(params)
      else if (error) answers.get(id).reject(new Error(error.message))
      else answers.get(id).resolve(result)
    }
  })
  const call = (method, params = {}, sessionId = undefined) => {
    const id = ++last
    const answer = new Promise((resolve, reject) => answers.set(id, { resolve, reject }))
    input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    return within(15_000, answer, method)
  }
  return { call, listen: (name, listener) => void listeners.push([name, listener]) }
}

/** It has children of its own, in the process group that it leads. */
function end(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
