// Imports one module in this fresh process, or nothing, and prints what that took as one line of JSON.
import { memoryUsage } from 'node:process'

const module = process.argv[2]
const start = performance.now()
if (module) await import(module)
const ms = performance.now() - start
const peakMb = memoryUsage.rss() / 2 ** 20
console.log(JSON.stringify({ ms, peakMb }))
