// The CommonJS entry: hands the realm it is loaded into to the addon. Its classes are those of the ES module entry.
const { isMainThread } = require('node:worker_threads')
const native = require('./native.cjs')

native.enterRealm(globalThis, isMainThread)

// What is for the loaders only stays here.
const { enterRealm, __napiBindingTarget, ...exported } = native
module.exports = exported
