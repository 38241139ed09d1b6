// The CommonJS entry: hands the realm it is loaded into to the addon. Its classes are those of the ES module entry.
// What is for the loaders only is not exported.
const { enterRealm, chunkService: _, ...exported } = require('./native.cjs')

enterRealm(globalThis)

module.exports = exported
