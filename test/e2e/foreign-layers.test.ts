import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Entry } from '../../src/image/entry.ts';
import { dir, file, opaque, symlink, whiteout } from '../image/entries.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { dockerContainer } from '../support/docker-container.ts';
import { writeForeignImage } from '../support/foreign-image.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import { readLayout } from '../support/tree.ts';
import type { TestUser } from '../support/users.ts';
import { makeUser } from '../support/users.ts';

const needs = ['root', tool('busybox', 'busybox-static'), tool('newuidmap', 'uidmap'), tool('runc')] as const;

const seconds = (count: number): bigint => BigInt(count) * 1_000_000_000n;
const device = (path: string): Entry => ({ ...file(path), type: 'char', devMajor: 1, devMinor: 3 });
const layers = [
  [
    dir('opt', { mode: 0o711, uid: 3, gid: 4, mtime: seconds(900_000_001) }),
    dir('opt/app', {
      ...{ mode: 0o1777, uid: 1000, gid: 1001, mtime: seconds(900_000_002) },
      xattrs: { 'user.note': Buffer.from('kept') },
    }),
    dir('gone', { mode: 0o700, uid: 9 }),
    dir('emptied', { mode: 0o2750, uid: 1, gid: 2, mtime: seconds(900_000_003) }),
    file('emptied/low'),
    dir('usr/lib'),
    file('usr/lib/kept'),
    symlink('lib', 'usr/lib'),
    ...[file('null', 'low'), dir('zero'), file('zero/low')],
  ],
  // Devices that a user namespace cannot make hide what is below them all the same.
  [
    device('null'),
    device('zero'),
    file('opt/app/file', 'of a layer without parents'),
    whiteout('gone'),
    whiteout('lib/kept'),
  ],
  [file('gone/new'), opaque('emptied')],
];
// What is changed is copied into the step's layer with what it was.
const dockerfile = `FROM foreign
RUN test -z "$(ls -A /lib; ls -A /emptied)" && test ! -f /null && test ! -d /zero && chmod g+w /opt/app/file /usr/lib/kept && chmod o+x /gone && chmod o+x /emptied
`;

suite('layers that name no parents, on each rung', needs, () => {
  let work: TempFolder;
  let many: TestUser;
  let one: TestUser;

  beforeAll(async () => {
    work = await tempFolder('foreign');
    await writeForeignImage(join(work.path, 'image'), layers);
    mkdirSync(join(work.path, 'context'));
    writeFileSync(join(work.path, 'context', 'Dockerfile'), dockerfile);
    await must(command('chmod', ['-R', 'u=rwX,go=rX', work.path]));
    many = await makeUser('subordinate');
    one = await makeUser('none');
  });
  afterAll(async () => {
    for (const made of [work, many, one]) await made[Symbol.asyncDispose]();
  });

  test('a step leaves their directories as the layers below have them', async () => {
    const env = { SOURCE_DATE_EPOCH: '1000000000' };
    const built = async (
      folder: string,
      as: (args: readonly string[], options: { env: typeof env }) => Promise<CommandResult>,
      how: readonly string[],
    ): Promise<{ readonly digest: string; readonly made: readonly string[] }> => {
      const name = how.join('').replaceAll(/\W/g, '');
      const out = join(folder, `out-${name}`);
      const image = ['--build-context', `foreign=oci-layout://${work.path}/image`];
      const output = ['--root', join(folder, `store-${name}`), '-o', `type=oci,tar=false,dest=${out}`];
      await must(as([...output, ...how, ...image, join(work.path, 'context')], { env }));
      const { digest, layers: all } = await readLayout(out);
      const made = all.at(-1)?.map(({ path, mode, uid, gid, mtime, xattrs }) => {
        const note = Buffer.from(xattrs['user.note'] ?? '', 'hex').toString();
        return `${path} ${mode.toString(8)} ${uid}:${gid} ${mtime} ${note}`.trim();
      });
      return { digest, made: made ?? [] };
    };
    const expected = await built(work.path, tsbuild, ['--runtime=embedded']);
    expect(expected.made).toEqual([
      'emptied 2751 1:2 900000003',
      'gone 755 0:0 0',
      'opt 711 3:4 900000001',
      'opt/app 1777 1000:1001 900000002 kept',
      'opt/app/file 664 0:0 1000000000',
      'usr 755 0:0 1000000000',
      'usr/lib 755 0:0 1000000000',
      'usr/lib/kept 664 0:0 1000000000',
    ]);
    expect(await built(work.path, tsbuild, ['--runtime=runc'])).toEqual(expected);
    expect(await built(many.home, many.tsbuild, ['--runtime=embedded'])).toEqual(expected);
    expect(await built(one.home, one.tsbuild, ['--runtime=embedded'])).toEqual(expected);
    const container = dockerContainer(work.path);
    expect(await built(work.path, container.tsbuild, ['--isolation=chroot'])).toEqual(expected);
  });
});
