// Compares what was found in a video with what its job says of it.

const seconds = (value) => `${Number(value).toFixed(3)} s`
const isFigure = (value) => Number.isFinite(value) && value > 0

/** `29.97` means 30000/1001, as everywhere in the package. */
const isSameRate = (one, other) => Math.abs(one - other) < 0.005

const describe = (stream) =>
  stream.type === 'video'
    ? `${stream.codec} ${stream.width}x${stream.height} ${stream.pixelFormat}`
    : `${stream.codec} ${stream.sampleRate} Hz ${stream.channels} ch`

/** The streams of a video, in words. */
export const describeStreams = (streams = []) => streams.map(describe).join(', ')

/** A list of `{ what, expected, found, ok }`, of all that the record of a job says about its video. */
export function compare({ spec, result }, { frames, duration, streams = [] }) {
  const { totalFrames, fps, width, height, duration: wanted } = spec?.metadata ?? {}
  const picture = streams.find(({ type }) => type === 'video')
  const tolerance = isFigure(fps) ? 1 / fps : 0.05
  const isNear = (one, other) => Math.abs(one - other) <= tolerance + 1e-6
  const checks = []
  const check = (applies, what, expected, found, ok) => {
    if (applies) checks.push({ what, expected: String(expected), found: String(found), ok })
  }
  check(isFigure(totalFrames), 'frames', totalFrames, frames, totalFrames === frames)
  check(isFigure(wanted), 'duration', seconds(wanted), seconds(duration), isNear(wanted, duration))
  const rate = picture?.frameRate
  check(isFigure(fps), 'frames per second', fps, rate ?? 'not steady', rate !== undefined && isSameRate(rate, fps))
  const size = `${picture?.width}x${picture?.height}`
  check(isFigure(width) && isFigure(height), 'size', `${width}x${height}`, size, `${width}x${height}` === size)
  if (!result || !Number.isFinite(result.frames)) return checks
  const proven = (what, ...more) => check(true, `${what}, as proven`, ...more)
  proven('frames', result.frames, frames, result.frames === frames)
  proven('duration', seconds(result.duration), seconds(duration), isNear(result.duration, duration))
  const [before, now] = [describeStreams(result.streams), describeStreams(streams)]
  proven('streams', before, now, before === now)
  return checks
}
