import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Entry } from '../../src/image/entry.ts';
import type { BuildOptions } from '../../src/index.ts';
import { dir, file, hardlink, opaque, symlink, whiteout } from '../image/entries.ts';
import { writeForeignImage } from '../support/foreign-image.ts';
import { suite, tool } from '../support/require.ts';
import { runtimes } from './executor-steps.ts';
import type { Steps } from './language/steps.ts';
import { openSteps } from './language/steps.ts';

// Layers that other tools have made: what a step sees of them is what COPY --from and cache keys see, and what containerd unpacks.

const seconds = (count: number): bigint => BigInt(count) * 1_000_000_000n;
const app = { mode: 0o1777, uid: 1000, gid: 1001, mtime: seconds(1_100_000_000) };
const lower: readonly Entry[] = [
  dir('opt', { mode: 0o711, uid: 3, gid: 4, mtime: seconds(1_000_000_001) }),
  dir('opt/app', { ...app, xattrs: { 'user.note': Buffer.from('kept') } }),
  dir('opt/app/sub', { mode: 0o700, uid: 5, gid: 6 }),
  file('opt/app/sub/low', 'low'),
  dir('gone', { mode: 0o700, uid: 9, gid: 9 }),
  dir('emptied', { mode: 0o2750, uid: 1, gid: 2, mtime: seconds(1_000_000_002) }),
  file('emptied/low', 'low'),
  dir('named', { mode: 0o700 }),
  dir('usr/lib'),
  file('usr/lib/kept', 'kept'),
  symlink('lib', 'usr/lib'),
  symlink('out', '../../../../../../etc'),
  file('etc/secret', 'kept'),
];
const look = (paths: string): string => `RUN stat -c '%n %a %u:%g %Y' ${paths}`;

suite('layers of other tools', ['root', tool('runc'), tool('busybox', 'busybox-static')], () => {
  describe.each(runtimes)('on %s', (runtime) => {
    let steps: Steps;
    beforeAll(async () => {
      steps = await openSteps(`foreign-${runtime}`, runtime);
    });
    afterAll(() => steps[Symbol.asyncDispose]());

    /** What builds from an image of these layers need. */
    async function image(
      name: string,
      ...layers: readonly (readonly Entry[])[]
    ): Promise<Pick<BuildOptions, 'buildContexts'>> {
      const directory = join(steps.path, name);
      await writeForeignImage(directory, [lower, ...layers]);
      return { buildContexts: { foreign: `oci-layout://${directory}` } };
    }

    test('a directory that a layer puts something into without naming it stays as lower layers have it', async () => {
      const options = await image(
        'implied',
        [file('opt/app/file'), whiteout('opt/app/sub/low'), whiteout('gone')],
        [file('gone/new'), opaque('emptied'), dir('named', { mode: 0o711 })],
      );
      const paths = '/opt /opt/app /opt/app/sub /gone /emptied /named /';
      const shown = await steps.says(`FROM foreign\n${look(paths)}`, options);
      expect(shown).toEqual([
        '/opt 711 3:4 1000000001',
        '/opt/app 1777 1000:1001 1100000000',
        '/opt/app/sub 700 5:6 1700000000',
        '/gone 755 0:0 0',
        '/emptied 2750 1:2 1000000002',
        '/named 711 0:0 1700000000',
        expect.stringMatching(/^\/ 755 0:0 \d+$/),
      ]);
      // A bind mount of it, which is another stack, and COPY, which knows no stack.
      const mounted = look(paths.replaceAll(/(?<= |^)\//g, '/m/').replace(/ \/m\/$/, ''));
      expect(
        await steps.says(
          `FROM base\n${mounted.replace('RUN', 'RUN --mount=from=foreign,target=/m')}`,
          options,
        ),
      ).toEqual(shown.slice(0, -1).map((line) => `/m${line}`));
      const copied = await steps.says(`FROM base\nCOPY --from=foreign / /m/\n${mounted}`, options);
      expect(copied.map((line) => line.slice(0, line.lastIndexOf(' ')))).toEqual(
        shown.slice(0, -1).map((line) => `/m${line.slice(0, line.lastIndexOf(' '))}`),
      );
      // What a step does in it is on the right directory.
      const [, , , ...made] = await steps.layers(
        'FROM foreign\nRUN touch /opt/app/made && ls -A /emptied /gone',
        options,
      );
      expect(made).toHaveLength(1);
      expect(made[0]?.map(({ path, mode, uid, gid }) => `${path} ${mode.toString(8)} ${uid}:${gid}`)).toEqual(
        ['opt 711 3:4', 'opt/app 1777 1000:1001', 'opt/app/made 644 0:0'],
      );
      expect(made[0]?.[1]?.xattrs).toEqual({ 'user.note': Buffer.from('kept').toString('hex') });
      expect(readdirSync(join(steps.path, 'store', 'tmp'))).toEqual([]);
    });

    test.each([
      ['a link', 'lib', 'kept'],
      ['a link out of the root', 'out', 'secret'],
    ])('a whiteout below %s of a lower layer takes its place, for all', async (_, link, name) => {
      for (const [kind, hidden] of [
        ['whiteout', whiteout(`${link}/${name}`)],
        ['opaque', opaque(link)],
      ] as const) {
        const options = await image(`${kind}-${link}`, [hidden]);
        const words = (root: string): string =>
          `RUN stat -c '%F %a' ${root}/${link} && ls -A ${root}/${link} && cat ${root}/usr/lib/kept ${root}/etc/secret`;
        const expected = ['directory 755', 'keptkept'];
        expect(await steps.says(`FROM foreign\n${words('')}`, options)).toEqual(expected);
        expect(await steps.says(`FROM base\nCOPY --from=foreign / /m/\n${words('/m')}`, options)).toEqual(
          expected,
        );
      }
    });

    test('a directory in the place of a file of its own layer shows nothing of lower layers, for all', async () => {
      const options = await image('replaced', [
        file('opt/app'),
        dir('opt/app', { mode: 0o711 }),
        symlink('usr/lib', 'x'),
        dir('usr/lib'),
        file('usr/lib/new'),
      ]);
      const words = (root: string): string =>
        `RUN stat -c '%F %a' ${root}/opt/app && ls -A ${root}/opt/app ${root}/usr/lib`;
      const lines = await steps.says(`FROM foreign\n${words('')}`, options);
      expect(lines.filter((line) => line !== '')).toEqual(['directory 711', '/opt/app:', '/usr/lib:', 'new']);
      const copied = await steps.says(`FROM base\nCOPY --from=foreign / /m/\n${words('/m')}`, options);
      expect(copied.map((line) => line.replace('/m/', '/'))).toEqual(lines);
    });

    test('a hard link to a file of a lower layer is refused by all, with what to do', async () => {
      const options = await image('linked', [hardlink('again', 'usr/lib/kept')]);
      for (const text of ['FROM foreign\nRUN true', 'FROM base\nCOPY --from=foreign /bin /m'])
        expect(await steps.error(text, options)).toMatchObject({
          code: 'IMAGE_INVALID',
          message: expect.stringContaining(
            '/again is a hard link to usr/lib/kept, which is no file of this layer',
          ) as string,
          hint: expect.stringContaining('a layer can link its own files only') as string,
        });
    });
  });
});
