// `npm run demo`: builds examples/my-ubuntu and runs ifconfig in it. Arguments go to `tsbuild build` and `tsbuild run`
// alike: `npm run demo -- --runtime embedded`, `npm run demo -- --root /tmp/store`.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const project = dirname(here);
const passed = process.argv.slice(2);
const rootAt = passed.findIndex((word) => word === '--root' || word.startsWith('--root='));
const store =
  rootAt === -1 ? [] : passed.slice(rootAt, rootAt + (passed[rootAt]?.includes('=') === true ? 1 : 2));

await main();

async function main(): Promise<void> {
  if (!existsSync(join(project, 'dist/index.js'))) {
    say('dist is not there yet: compiling it');
    run('npm', ['run', '--silent', 'build']);
  }
  if (!tsbuildSucceeds('inspect', 'ubuntu:latest') && !(await pullUbuntu())) makeUbuntu();
  tsbuild(['build', ...passed, '-t', 'my-ubuntu:0.1', join(here, 'my-ubuntu')]);
  tsbuild(['run', '--rm', ...passed, 'my-ubuntu:0.1', 'ifconfig']);
  say('that was ifconfig, inside the image my-ubuntu:0.1');
}

/** Whether the base image could be had from Docker Hub. */
async function pullUbuntu(): Promise<boolean> {
  const proxied = Object.keys(process.env).some((name) => /^https?_proxy$/i.test(name));
  try {
    // A short look first: where packets are dropped, a pull would wait much longer. Behind a proxy the pull itself must tell.
    if (!proxied) await fetch('https://registry-1.docker.io/v2/', { signal: AbortSignal.timeout(5000) });
    if (tsbuildSucceeds('pull', 'ubuntu:latest')) return true;
    say('Docker Hub did not give us the image `ubuntu`.');
  } catch {
    say('Docker Hub cannot be reached from here.');
  }
  return false;
}

/** An image named `ubuntu` from this distribution's own packages, built by tsbuild from examples/base. */
function makeUbuntu(): void {
  say("Making a base image named `ubuntu` from this distribution's own packages instead (examples/base).");
  if (!has('mmdebstrap')) {
    if (process.getuid?.() !== 0 || !has('apt-get')) {
      fail('this needs mmdebstrap; on Debian and Ubuntu: sudo apt-get install mmdebstrap');
    }
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    run('apt-get', ['update', '-qq'], env);
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'mmdebstrap'], env);
  }
  run(join(here, 'base/make-rootfs.sh'), []);
  tsbuild(['build', ...store, '-t', 'ubuntu:latest', join(here, 'base')]);
}

function tsbuild(args: readonly string[]): void {
  say(`$ tsbuild ${args.map((word) => word.replace(`${project}/`, '')).join(' ')}`);
  run(process.execPath, [join(project, 'bin/tsbuild.js'), ...args]);
}

function tsbuildSucceeds(verb: string, image: string): boolean {
  const args = [join(project, 'bin/tsbuild.js'), verb, ...store, image];
  return spawnSync(process.execPath, args, { stdio: 'ignore', timeout: 300_000 }).status === 0;
}

function has(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): void {
  const { status, error } = spawnSync(program, args, {
    cwd: project,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) fail(`${program} ended with ${error?.message ?? `status ${status}`}`);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function fail(text: string): never {
  say(`demo: ${text}`);
  process.exit(1);
}
