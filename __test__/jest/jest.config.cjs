// A smoke test under jest, whose tests run in a realm of their own: `jest --config __test__/jest/jest.config.cjs`.
module.exports = {
  rootDir: __dirname,
  testMatch: ['<rootDir>/*.test.cjs'],
  testEnvironment: 'node',
  transform: {},
}
