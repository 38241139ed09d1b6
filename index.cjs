// The CommonJS entry: hands the realm it is loaded into to the addon. Its classes are those of the ES module entry.
const native = require('./native.cjs')

native.enterRealm(globalThis)

module.exports = { ...native }
// What is for the loaders only stays here.
delete module.exports.enterRealm
delete module.exports.chunkService
