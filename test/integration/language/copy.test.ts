import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseModeChange } from '../../../src/image/copy-mode.ts';
import { build } from '../../../src/index.ts';
import { makeProject, projectTime } from '../../language/built.ts';
import { requireTool, suite, tool } from '../../support/require.ts';
import { tempFolder } from '../../support/temp.ts';

suite('what COPY takes from a disk, and what comes to one', ['root', tool('setcap', 'libcap2-bin')], () => {
  test('L-COPY-10: devices and FIFOs are made anew, capabilities and attributes of users come along', async () => {
    await using project = await makeProject({ 'd/file': 'F', 'd/plain': '' });
    const folder = join(project.path, 'd');
    const make = (...args: readonly string[]): void => void execFileSync('mknod', args, { cwd: folder });
    make('-m', '666', 'null', 'c', '1', '3');
    make('-m', '600', 'disk', 'b', '7', '9');
    make('-m', '620', 'pipe', 'p');
    execFileSync(requireTool('setcap'), ['cap_net_raw+ep', join(folder, 'file')]);
    execFileSync('touch', [
      '-h',
      '-d',
      `@${projectTime}`,
      ...['null', 'disk', 'pipe', 'file'].map((name) => join(folder, name)),
    ]);
    const { lines, layers, times } = await project.build(
      'FROM scratch AS s\nCOPY d /d\nFROM scratch\nCOPY --from=s /d /o\nCOPY d/null d/pipe /n/\nADD --chown=4:5 --chmod=0 d/disk /b\n',
    );
    expect(lines).toEqual([
      'b 000 4:5 /b 7:9',
      'd 755 0:0 /n',
      'c 666 0:0 /n/null 1:3',
      'p 620 0:0 /n/pipe',
      'd 755 0:0 /o',
      'b 600 0:0 /o/disk 7:9',
      'f 644 0:0 /o/file=F',
      'c 666 0:0 /o/null 1:3',
      'p 620 0:0 /o/pipe',
      'f 644 0:0 /o/plain=',
    ]);
    expect(times['/o/null']).toBe(String(projectTime));
    const file = layers[0]?.find(({ path }) => path === 'o/file');
    expect(file?.xattrs['security.capability']).toMatch(/^0100000[02]/);
    expect(layers[0]?.find(({ path }) => path === 'o/plain')?.xattrs).toEqual({});
  });

  test('L-COPY-11: owners on disk say nothing for a context; tar(1) finds what --chown and --chmod gave', async () => {
    await using project = await makeProject({ 'd/f': 'F', 'd/s/x': '', 'd/l': { link: 'f' } });
    for (const name of ['d', 'd/f', 'd/s', 'd/s/x']) chownSync(join(project.path, name), 1234, 2345);
    chmodSync(join(project.path, 'd/f'), 0o4751);
    await using folder = await tempFolder('local');
    const dest = join(folder.path, 'out');
    const text = 'FROM scratch\nCOPY d /plain\nCOPY --chown=7:8 d /owned\n';
    await build({
      context: project.path,
      dockerfile: { text },
      env: {},
      root: join(folder.path, 'store'),
      outputs: [{ type: 'tar', dest: `${dest}.tar` }],
    });
    mkdirSync(dest);
    execFileSync('tar', ['-C', dest, '--numeric-owner', '-xpf', `${dest}.tar`]);
    const told = (path: string): unknown => {
      const { uid, gid, mode, mtimeMs } = lstatSync(join(dest, path));
      return [uid, gid, (mode & 0o7777).toString(8), mtimeMs / 1000];
    };
    expect(told('plain/f')).toEqual([0, 0, '4751', projectTime]);
    expect(told('plain/s/x')).toEqual([0, 0, '644', projectTime]);
    expect(told('owned')).toEqual([7, 8, '755', projectTime]);
    expect(told('owned/f')).toEqual([7, 8, '4751', projectTime]);
    expect(told('owned/l')).toEqual([7, 8, '777', projectTime]);
    expect(readlinkSync(join(dest, 'owned/l'))).toBe('f');
  });

  test('L-COPY-13: lists of permissions are those of the host’s chmod', async () => {
    await using folder = await tempFolder('chmod');
    const file = join(folder.path, 'file');
    const directory = join(folder.path, 'directory');
    writeFileSync(file, '');
    mkdirSync(directory);
    // What all systems agree on: permissions, without the set-id and sticky bits, and `X` before anything has changed.
    const who = fc.constantFrom('', 'u', 'g', 'o', 'a', 'ug', 'go', 'uo');
    const letters = fc.oneof(
      fc.string({ unit: fc.constantFrom('r', 'w', 'x'), maxLength: 3 }),
      fc.constantFrom('u', 'g', 'o'),
    );
    const action = fc.tuple(fc.constantFrom('+', '-', '='), letters).map((parts) => parts.join(''));
    const clause = fc
      .tuple(who, fc.array(action, { minLength: 1, maxLength: 2 }))
      .map(([w, a]) => w + a.join(''));
    const first = fc
      .tuple(who, fc.constantFrom('+X', '=X', '-X', '=rX', '+wX'))
      .map((parts) => parts.join(''));
    const list = fc.tuple(fc.option(first), fc.array(clause, { minLength: 1, maxLength: 3 }));
    fc.assert(
      fc.property(
        list,
        fc.integer({ min: 0, max: 0o777 }),
        fc.boolean(),
        ([x, clauses], mode, isDirectory) => {
          const text = [...(x === null ? [] : [x]), ...clauses].join(',');
          const path = isDirectory ? directory : file;
          chmodSync(path, mode);
          execFileSync('sh', ['-c', 'umask 0; exec chmod -- "$1" "$2"', 'sh', text, path]);
          const wanted = (lstatSync(path).mode & 0o7777).toString(8);
          expect(parseModeChange(text)(mode, isDirectory).toString(8), text).toBe(wanted);
        },
      ),
      { numRuns: 300 },
    );
  });
});
