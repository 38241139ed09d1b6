// The CommonJS entry: hands the realm it is loaded into to the addon. Its classes are those of the ES module entry.
const native = require('./native.cjs')

native.enterRealm(globalThis)

module.exports = {
  ...native,
  // Most people start no server.
  createCloudRunServer: (config) => require('./worker/server.cjs').createCloudRunServer(config),
}
// What is for the loaders only stays here.
delete module.exports.enterRealm
delete module.exports.chunkService
