import { defineConfig } from 'rolldown';

// One file per entry and shared chunks instead of some 250 modules: a command starts in half the time (`npm run bench`).
// The init of the embedded runtime is an entry because it is started as a program of its own; it stands beside the chunks.
const config = defineConfig({
  input: {
    index: 'src/index.ts',
    'cli/main': 'src/cli/main.ts',
    'embedded-init': 'src/executor/embedded-init.ts',
  },
  platform: 'node',
  // Loaded seldom, or native.
  external: ['koffi', 'undici', 'seek-bzip', 'xz-decompress'],
  output: { dir: 'dist', format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
});

export { config as default };
