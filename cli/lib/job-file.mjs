// Reads job files, as `helios render --emit-job` writes them. What is wrong with one is said before a record is made of it.

import { readFile } from 'node:fs/promises'
import { usage } from './failure.mjs'

/** The job in a file. */
export async function readJobFile(file) {
  let text
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw usage(`The job file ${file} cannot be read: ${error.message}`)
  }
  let spec
  try {
    spec = JSON.parse(text)
  } catch (error) {
    throw usage(`The job file ${file} is not JSON: ${error.message}`)
  }
  const wrong = findFault(spec)
  if (wrong) throw usage(`The job file ${file} is not a job: ${wrong}`)
  return spec
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value) => typeof value === 'string' && value.trim() !== ''

/** What is wrong with a job; undefined when it can be run. */
function findFault(spec) {
  if (!isObject(spec)) return 'it is no object'
  if (!isText(spec.id)) return '`id` must be a text'
  if (!Array.isArray(spec.chunks) || spec.chunks.length === 0) return '`chunks` must be a list with at least one chunk'
  const seen = new Set()
  for (const [index, chunk] of spec.chunks.entries()) {
    const field = `chunks[${index}]`
    if (!isObject(chunk)) return `\`${field}\` must be an object`
    if (!Number.isFinite(chunk.id)) return `\`${field}.id\` must be a number`
    if (seen.has(chunk.id)) return `\`${field}.id\` is ${chunk.id}, which another chunk has`
    seen.add(chunk.id)
    if (!isText(chunk.command)) return `\`${field}.command\` must be a command`
    if (chunk.outputFile !== undefined && !isText(chunk.outputFile)) return `\`${field}.outputFile\` must be a file`
  }
  if (spec.mergeCommand !== undefined && typeof spec.mergeCommand !== 'string')
    return '`mergeCommand` must be a command'
  return undefined
}
