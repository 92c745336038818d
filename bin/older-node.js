// Finds a newer Node and runs tsbuild again under it. Loaded by tsbuild.js on a Node that is too old, so: no syntax newer than
// 2020, and nothing imported by a name that old versions lack.
import childProcess from 'child_process';
import fs from 'fs';
import os from 'os';
import path from 'path';
import url from 'url';

const project = path.dirname(path.dirname(fs.realpathSync(url.fileURLToPath(import.meta.url))));
const self = path.join(project, 'bin', 'tsbuild.js');
let wanted;

function major(version) {
  const match = /^v?(\d+)\./.exec(version);
  return match ? Number(match[1]) : 0;
}

function list(directory) {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

/** Places where a newer node may be, the likeliest first. */
function* candidates() {
  for (let directory = project; ; directory = path.dirname(directory)) {
    yield path.join(directory, 'node_modules', 'node', 'bin', 'node');
    yield path.join(directory, 'node_modules', '.bin', 'node');
    if (path.dirname(directory) === directory) break;
  }
  const onPath = (process.env.PATH || '').split(path.delimiter).filter((entry) => path.isAbsolute(entry));
  for (const directory of onPath.concat('/usr/local/bin', '/usr/bin')) {
    for (const name of list(directory).sort().reverse()) {
      if (/^node(js)?[-.]?\d*$/.test(name)) yield path.join(directory, name);
    }
  }
  const home = os.homedir();
  const versionFolders = [
    [path.join(home, '.nvm/versions/node'), 'bin/node'],
    [path.join(home, '.local/share/fnm/node-versions'), 'installation/bin/node'],
    [path.join(home, '.volta/tools/image/node'), 'bin/node'],
    [path.join(home, '.asdf/installs/nodejs'), 'bin/node'],
    ['/usr/local/n/versions/node', 'bin/node'],
    ['/usr/local/lib/nodejs', 'bin/node'],
    ['/opt', 'bin/node'],
  ];
  for (const [folder, rest] of versionFolders) {
    const names = list(folder).filter((name) => folder !== '/opt' || /node/.test(name));
    for (const name of names.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))) {
      yield path.join(folder, name, rest);
    }
  }
}

function findNewer() {
  const seen = new Set();
  for (const file of candidates()) {
    if (!fs.existsSync(file) || seen.has(fs.realpathSync(file))) continue;
    seen.add(fs.realpathSync(file));
    const answer = childProcess.spawnSync(file, ['--version'], { encoding: 'utf8', timeout: 5000 });
    if (answer.status === 0 && major(answer.stdout) >= wanted) return file;
  }
  return undefined;
}

function runUnder(node) {
  const child = childProcess.spawn(node, [self].concat(process.argv.slice(2)), { stdio: 'inherit' });
  // A Ctrl-C reaches the child twice, from the terminal and from here; it takes both as one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'])
    process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`tsbuild: ${node} does not start: ${error.message}\n`);
    process.exit(2);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** Runs tsbuild under a Node of this major version or a later one; where there is none says so and ends with status 2. */
export function runUnderNewer(version) {
  wanted = version;
  const newer = findNewer();
  if (newer !== undefined) {
    runUnder(newer);
    return;
  }
  process.stderr.write(
    `tsbuild: needs Node.js ${wanted} or newer, this is ${process.versions.node} and no newer one was found\n`,
  );
  process.exit(2);
}
