// Finds ffmpeg and ffprobe: the ones named by FFMPEG_PATH and FFPROBE_PATH, else those on PATH, else the binaries that
// the development dependencies of this package bring along.

import { execFile } from 'node:child_process'
import { chmod } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'

export const run = promisify(execFile)

/** Fixed arguments, as one would type them. */
export const words = (text) => text.split(' ')

const TOOLS = {
  // An ffmpeg without the H.264 encoder (some distributions have one) is of no use here.
  ffmpeg: {
    variable: 'FFMPEG_PATH',
    bundled: '@ffmpeg-installer/ffmpeg',
    test: ['-h', 'encoder=libx264'],
    expected: 'Encoder libx264',
  },
  ffprobe: {
    variable: 'FFPROBE_PATH',
    bundled: '@ffprobe-installer/ffprobe',
    test: ['-version'],
    expected: 'ffprobe version',
  },
}

export async function findTools() {
  return { ffmpegPath: await find('ffmpeg'), ffprobePath: await find('ffprobe') }
}

async function find(name) {
  const { variable, bundled } = TOOLS[name]
  const wanted = process.env[variable]
  if (wanted) {
    if (await works(name, wanted)) return wanted
    throw new Error(`${variable} is ${wanted}, which is not a working ${name} (one that can encode H.264)`)
  }
  if (await works(name, name)) return name
  const path = bundledPath(bundled)
  if (path) {
    // npm does not run install scripts unless asked to, and it is such a script that makes the file executable.
    await chmod(path, 0o755).catch(() => {}) // a file of somebody else's may be executable all the same: `works` tells
    if (await works(name, path)) return path
  }
  throw new Error(`${name} was not found: install FFmpeg (https://ffmpeg.org/download.html) or set ${variable}`)
}

async function works(name, path) {
  const { test, expected } = TOOLS[name]
  try {
    return (await run(path, ['-hide_banner', ...test])).stdout.includes(expected)
  } catch {
    return false
  }
}

function bundledPath(packageName) {
  try {
    return createRequire(import.meta.url)(packageName).path
  } catch {
    return undefined // not installed, or there is no binary for this platform
  }
}
