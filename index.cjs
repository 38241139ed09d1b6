// The CommonJS entry: hands the realm it is loaded into to the addon. Its classes are those of the ES module entry.
const { isMainThread } = require('node:worker_threads')
const native = require('./native.cjs')

native.enterRealm(globalThis, isMainThread)

module.exports = { ...native, ...require('./worker/server.cjs') }
// What is for the loaders only stays here.
delete module.exports.enterRealm
delete module.exports.chunkService
delete module.exports.__napiBindingTarget
