import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './paths.ts';
import { debianPackages, findTool } from './require.ts';

/**
 * Runs once before the integration and e2e projects: installs what the tests need where that is possible (root on a
 * Debian-like system), and compiles dist for the tests that start the built command.
 */
export function setup(): void {
  installTools();
  buildDist();
}

function installTools(): void {
  const wanted = Object.entries(debianPackages).filter(([name]) => findTool(name) === undefined);
  if (wanted.length === 0) return;
  const packages = [...new Set(wanted.map(([, name]) => name))];
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || findTool('apt-get') === undefined) {
    process.stderr.write(`tests: not installed here: ${packages.join(' ')}; what needs them is skipped\n`);
    return;
  }
  process.stderr.write(`tests: installing ${packages.join(' ')}\n`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '-qq'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  // One by one: a package that this release lacks must not keep the others away.
  for (const name of packages) {
    const args = ['install', '-y', '-qq', '--no-install-recommends', name];
    const { status } = spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) process.stderr.write(`tests: apt-get could not install ${name}\n`);
  }
}

function buildDist(): void {
  const dist = join(projectRoot, 'dist/index.js');
  if (existsSync(dist) && statSync(dist).mtimeMs > newest(join(projectRoot, 'src'))) return;
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: projectRoot, stdio: 'inherit' });
  if (status !== 0) throw new Error('the build of dist failed');
}

function newest(folder: string): number {
  let time = 0;
  for (const item of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    time = Math.max(time, statSync(join(item.parentPath, item.name)).mtimeMs);
  }
  return time;
}
