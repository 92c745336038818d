import { defineConfig } from 'rolldown';

// A few files instead of some 250 modules: a command starts in half the time (`npm run bench`). What every build runs through is one
// chunk; registries, sandboxes and downloads are loaded when something needs them. The init of the embedded runtime is an entry
// because it is started as a program of its own; it stands beside the chunks.
const always =
  /src\/(util|oci|graph|store|solver|frontend|cache|progress|api|cli|image|export)\/|src\/source\/(context|ignore|dockerfile|load|file|literal)|src\/host\/syscalls|node_modules\/(commander|dockerfile-ast|p-limit|yocto)/;

// An import of a built-in module makes Node copy all its exports, which loads what most programs never use (half of crypto, for
// example): 6 ms of a cached build. What is asked for by name is all that is needed.
const plainBuiltins = {
  name: 'plain-builtins',
  renderChunk: (code) =>
    code.replace(/^import (.+) from "(node:[a-z_/]+)";$/gm, (_, what, name) => {
      const wanted = what.startsWith('{') ? what.replaceAll(' as ', ': ') : what.replace(/^\* as /, '');
      return `const ${wanted} = process.getBuiltinModule("${name}");`;
    }),
};

const config = defineConfig({
  input: {
    index: 'src/index.ts',
    'cli/main': 'src/cli/main.ts',
    'embedded-init': 'src/executor/embedded-init.ts',
  },
  platform: 'node',
  plugins: [plainBuiltins],
  // Loaded seldom, or native.
  external: ['koffi', 'undici', 'seek-bzip', 'xz-decompress'],
  // Dynamic imports keep their meaning for whoever runs the sources; here some end in the common chunk.
  checks: { ineffectiveDynamicImport: false },
  output: {
    dir: 'dist',
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    codeSplitting: { groups: [{ name: 'core', test: always }] },
  },
});

export { config as default };
