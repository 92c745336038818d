import { availableParallelism } from 'node:os';
import type { ViteUserConfig } from 'vitest/config';
import { defineConfig } from 'vitest/config';

// Projects by what they need: `unit` needs Node alone, `integration` real tools and root, `e2e` the built command. Their files run
// two at a time at least, as what they make on the machine (users, mounts, ports) is each file's own. Those of `alone` do not: they kill builds,
// fill disks, look at the machine as a whole, or compare times.
const alone = ['test/chaos/**/*.test.ts', 'test/e2e/kills.test.ts', 'test/e2e/parallel.test.ts'];
const maxWorkers = Math.min(4, Math.max(2, availableParallelism() - 1));
const globalSetup = ['test/support/global-setup.ts'];
// Limits are for what hangs, not for what is slow on a busy machine.
const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/sandbox/**', 'test/e2e/**', 'test/chaos/**'],
          maxWorkers,
          // They keep nothing that others could see, and starting a process for each takes as long as they do.
          isolate: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'integration',
          globalSetup,
          include: ['test/integration/**/*.test.ts', 'test/sandbox/**/*.test.ts'],
          maxWorkers,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'e2e',
          globalSetup,
          include: ['test/e2e/**/*.test.ts'],
          exclude: alone,
          maxWorkers,
          sequence: { groupOrder: 1 },
          testTimeout: 180_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'alone',
          globalSetup,
          include: alone,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          testTimeout: 240_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});

export default config;
