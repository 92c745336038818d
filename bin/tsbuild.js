#!/usr/bin/env node
// Starts the command line. This file must load on every Node since 14: on one that is too old it runs itself
// again under a newer one. So: no syntax newer than 2020. It imports nothing: each import would cost every start.
const wanted = 24;

function start() {
  // Not imported: an import makes Node load more of its own modules than are used.
  const { existsSync, realpathSync } = process.getBuiltinModule('fs');
  const { dirname, isAbsolute, join } = process.getBuiltinModule('path');
  const { fileURLToPath, pathToFileURL } = process.getBuiltinModule('url');
  const project = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))));
  const home = process.env.XDG_CACHE_HOME || (process.env.HOME && join(process.env.HOME, '.cache'));
  if (home && isAbsolute(home)) {
    process.getBuiltinModule('module').enableCompileCache(join(home, 'tsbuild', 'compile'));
  }
  const built = join(project, 'dist', 'cli', 'main.js');
  const source = join(project, 'src', 'cli', 'main.ts');
  const main = existsSync(built) || !existsSync(source) ? built : source;
  import(pathToFileURL(main).href).then(
    (loaded) => loaded.start(),
    (error) => {
      process.stderr.write(`tsbuild: cannot load ${main}: ${(error && error.stack) || error}\n`);
      process.exit(70);
    },
  );
}

if (Number.parseInt(process.versions.node, 10) >= wanted) start();
else void import('./older-node.js').then((older) => older.runUnderNewer(wanted));
