import { build } from 'rolldown';

// Makes dist/ (`npm run build`). By rolldown's function, not by its command, which lists each file that it has written: here warnings alone are shown.

// A few files instead of some 250 modules: a command starts in half the time (`npm run bench`). What every build runs through is one
// chunk; registries, sandboxes and downloads are loaded when something needs them. The init of the embedded runtime is an entry
// because it is started as a program of its own; it stands beside the chunks.
const always =
  /src\/util\/(?!secret|byte-search|agent-protocol|unix-socket|temp-dir|edit)|src\/(oci|graph|solver|frontend|progress)\/|src\/store\/(?!check|prune)|src\/cache\/(local|components)|src\/api\/(?!builds|explain\.|history\/find|ssh|transfer|transports|copy|referrers|registry-settings|run\.|doctor|images|login|graph|store-image|check|outline|masked|secret-gate|shell\.|cache-|remote-caches|gc\.|du\.|prune|store-(check|task)|steps\/(?!open-))|src\/image\/(?!archive|copy-documents|documents|layout-directory|secret|xz|bzip2|zstd|docker-archive|image-archive|validate|check-layer)|src\/export\/(exporter|to-store)|src\/source\/(context|known|ignore|dockerfile|load|file|literal)|src\/cli\/(?!commands|step-table|template|usage-format|render\/(tty|palette)|prompt|call|check-report|on-fail)|src\/cli\/commands\/build\.|src\/host\/(syscalls|native|probe)|node_modules\/(commander|dockerfile-ast|p-limit|yocto|tar-stream|streamx)/;

// All that the library's entry imports: it must load on an old Node, to say that this one is too old.
const errors = /src\/util\/(build-error|error-codes)\.ts$/;

// commander asks for child_process when it is loaded, for commands that are programs of their own; tsbuild has none.
const lazyChildProcess = {
  name: 'lazy-child-process',
  transform: (code, id) => {
    if (!id.endsWith('commander/lib/command.js')) return undefined;
    const eager = "const childProcess = require('node:child_process');";
    if (!code.includes(eager)) throw new Error('commander has changed: see bundle.mjs');
    const lazy = "const childProcess = { get spawn() { return require('node:child_process').spawn; } };";
    return code.replace(eager, lazy);
  },
};

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

await build({
  input: {
    index: 'src/index.ts',
    'cli/main': 'src/cli/main.ts',
    worker: 'src/api/steps/worker.ts',
  },
  platform: 'node',
  plugins: [lazyChildProcess, plainBuiltins],
  // Loaded seldom, or native.
  external: ['koffi', 'seek-bzip', 'smol-toml', 'xz-decompress'],
  preserveEntrySignatures: 'allow-extension',
  // Dynamic imports keep their meaning for whoever runs the sources; here some end in the common chunk.
  checks: { ineffectiveDynamicImport: false },
  output: {
    dir: 'dist',
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    codeSplitting: {
      groups: [
        { name: 'errors', test: errors, priority: 1 },
        { name: 'core', test: always },
      ],
      includeDependenciesRecursively: false,
    },
  },
});

// A thread loads what it runs anew: not the chunk of the builds.
await build({
  input: 'src/store/blob-thread.ts',
  platform: 'node',
  plugins: [plainBuiltins],
  output: { file: 'dist/blob-thread.js', format: 'esm' },
});
