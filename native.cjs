// Opens the addon, the one that was built here or that of the package for this platform, and adds what is JavaScript.

/** Platforms there are packages for, as process.platform and process.arch name them, and those packages' ends. */
const TARGETS = {
  'linux-x64': ['linux-x64-gnu', 'linux-x64-musl'],
  'linux-arm64': ['linux-arm64-gnu', 'linux-arm64-musl'],
  'darwin-x64': ['darwin-x64'],
  'darwin-arm64': ['darwin-arm64'],
  'win32-x64': ['win32-x64-msvc'],
}
const PACKAGE = '@helios-project/infrastructure'

function open() {
  const platform = `${process.platform}-${process.arch}`
  const targets = TARGETS[platform]
  if (!targets) {
    throw new Error(`${PACKAGE} has no build for ${platform}, only for ${Object.keys(TARGETS).join(', ')}.`)
  }
  const errors = []
  for (const target of targets) {
    for (const place of [`./helios-infrastructure.${target}.node`, `${PACKAGE}-${target}`]) {
      try {
        return require(place)
      } catch (error) {
        const isAbsent = error.code === 'MODULE_NOT_FOUND' && error.message.includes(`'${place}'`)
        if (!isAbsent) errors.push(error)
      }
    }
  }
  const packages = targets.map((target) => `${PACKAGE}-${target}`).join(' or ')
  if (errors.length > 0) {
    const reasons = errors.map(({ message }) => message).join('; ')
    const cause = errors.length > 1 ? new AggregateError(errors) : errors[0]
    throw new Error(`${PACKAGE} has a build for ${platform} (${packages}) that does not load here: ${reasons}`, {
      cause,
    })
  }
  throw new Error(
    `${PACKAGE} needs the package ${packages} on ${platform}, which is not installed. Install again with optional ` +
      'dependencies (without --omit=optional). Where package-lock.json was written on another platform, remove it and ' +
      'node_modules first (https://github.com/npm/cli/issues/4828).',
  )
}

const addon = open()
addon.createCloudRunServer = function createCloudRunServer(config) {
  // Most people start no server.
  return require('./worker/server.cjs').createCloudRunServer(config)
}

module.exports = addon
