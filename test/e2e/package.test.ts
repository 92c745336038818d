import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { command, must } from '../support/cli.ts';
import { packPackage } from '../support/pack.ts';
import { findTool, suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';

/** The Node that the machine has, not the one of this checkout. */
const system = (process.env['PATH'] ?? '')
  .split(':')
  .filter((folder) => !folder.includes('node_modules'))
  .join(':');

suite('the packed package', ['linux', 'npm-registry', tool('npm', 'npm')], () => {
  let work: TempFolder;
  let project: string;
  let env: Record<string, string | undefined>;

  beforeAll(async () => {
    work = await tempFolder('package');
    const tarball = await packPackage(work.path);
    project = join(work.path, 'project');
    mkdirSync(project);
    // Node 24 lies beside, under a name of its own; what `node` means on PATH stays the machine's.
    const beside = join(work.path, 'beside');
    mkdirSync(beside);
    symlinkSync(process.execPath, join(beside, 'node24'));
    env = {
      PATH: `${system}:${beside}`,
      XDG_DATA_HOME: join(work.path, 'data'),
      XDG_CACHE_HOME: join(work.path, 'cache'),
      npm_config_engine_strict: undefined,
    };
    writeFileSync(join(project, 'package.json'), '{ "name": "empty", "private": true, "type": "module" }');
    await must(command('npm', ['install', '--no-audit', '--no-fund', tarball], { cwd: project, env }));
    writeFileSync(join(project, 'Dockerfile'), 'FROM scratch\nCOPY package.json /\n');
  });
  afterAll(() => work[Symbol.asyncDispose]());

  test('brings the compiled command, and neither sources nor tests', () => {
    const installed = join(project, 'node_modules/tsbuild');
    expect(readdirSync(installed).toSorted()).toEqual(
      ['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'dist', 'package.json'].toSorted(),
    );
  });

  test('`npx tsbuild -t x .` works where `node` is older', async () => {
    const node = (await must(command('node', ['--version'], { cwd: project, env }))).trim();
    const result = await command('npx', ['tsbuild', '-t', 'x', '.'], { cwd: project, env });
    expect(result.code, `${node}\n${result.stderr}`).toBe(0);
    const images = await must(command('npx', ['tsbuild', 'images'], { cwd: project, env }));
    expect(images).toMatch(/\bx\b/);
  });

  test('the library is imported by its name', async () => {
    const script =
      "import { build, version } from 'tsbuild'; const r = await build({ context: '.' }); console.log(version, r.digest);";
    writeFileSync(join(project, 'library.js'), script);
    const said = await must(command(process.execPath, ['library.js'], { cwd: project, env }));
    expect(said).toMatch(/^0\.1\.0 sha256:[a-f0-9]{64}\n$/);
  });

  test('the library on an older Node says which one it needs', async () => {
    const script =
      "import('tsbuild').then(({ version }) => console.log(version), ({ message }) => console.log(message))";
    const said = await must(command('node', ['-e', script], { cwd: project, env }));
    const version = (await must(command('node', ['--version'], { cwd: project, env }))).trim().slice(1);
    const wanted =
      Number.parseInt(version, 10) >= 24 ? '0.1.0' : `tsbuild needs Node.js 24 or newer; this is ${version}`;
    expect(said).toBe(`${wanted}\n`);
  });

  test('without a Node that is new enough there is one clear line', async () => {
    const old = findTool('node') ?? '';
    const version = await must(command(join(dirname(old), 'node'), ['--version'], { env: { PATH: system } }));
    const plain = await command('npx', ['tsbuild', 'version'], {
      cwd: project,
      env: { ...env, PATH: system, HOME: work.path },
    });
    if (plain.code === 0) expect(plain.stdout).toContain('0.1.0');
    else
      expect(plain.stderr, version).toMatch(
        /^tsbuild: needs Node\.js 24 or newer, this is \d+\.\d+\.\d+ and no newer one was found$/m,
      );
  });
});
