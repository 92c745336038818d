import type { ViteUserConfig } from 'vitest/config';
import { defineConfig } from 'vitest/config';

// Three projects by what they need: `unit` needs Node alone, `integration` real tools and root,
// `e2e` the built command, `chaos` kills it and fills disks. All but the first run one file at a time: they share the
// machine's mounts and ports.
const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/sandbox/**', 'test/e2e/**', 'test/chaos/**'],
        },
      },
      {
        test: {
          name: 'integration',
          globalSetup: ['test/support/global-setup.ts'],
          include: ['test/integration/**/*.test.ts', 'test/sandbox/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'e2e',
          globalSetup: ['test/support/global-setup.ts'],
          include: ['test/e2e/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'chaos',
          globalSetup: ['test/support/global-setup.ts'],
          include: ['test/chaos/**/*.test.ts'],
          fileParallelism: false,
          // After all others: it kills builds and fills disks.
          sequence: { groupOrder: 1 },
          testTimeout: 240_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});

export default config;
