import { defineConfig } from 'vitest/config'

// Every file runs in forks; what depends on the runner's realm runs once more in each of the other pools.
export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'forks', pool: 'forks', include: ['__test__/**/*.spec.*'] } },
      // Only by `npm run test:clouds`: they need servers that are built first.
      {
        extends: true,
        test: { name: 'e2e', pool: 'forks', include: ['e2e/*.spec.mjs'], exclude: ['e2e/cli*.spec.mjs'] },
      },
      // Only by `npm run test:cli`: they need the command-line program.
      { extends: true, test: { name: 'cli', pool: 'forks', include: ['e2e/cli*.spec.mjs'] } },
      ...['threads', 'vmThreads'].map((pool) => ({
        extends: true,
        test: { name: pool, pool, include: ['__test__/runners.spec.mjs'] },
      })),
    ],
  },
})
