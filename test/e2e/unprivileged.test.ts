import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { command, must } from '../support/cli.ts';
import { binary, examples } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { flatten, readLayout, treeLines } from '../support/tree.ts';

const limit = '/proc/sys/user/max_user_namespaces';

suite(
  'an unprivileged user, with user namespaces switched off',
  ['root', tool('setpriv', 'util-linux')],
  () => {
    test('builds examples/static, and gets what root gets', async () => {
      await using work = await tempFolder('unprivileged');
      const context = join(work.path, 'static');
      cpSync(join(examples, 'static'), context, { recursive: true });
      await must(command('chmod', ['-R', 'u=rwX,go=rX', work.path]));
      await must(command('chown', ['-R', '65534:65534', work.path]));
      // No name, no home, no capability: less than any user of a CI runner has.
      const drop = [
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        '--bounding-set=-all',
        '--no-new-privs',
      ];
      const as = async (user: readonly string[], name: string): Promise<string[]> => {
        const output = `type=oci,tar=false,dest=${join(work.path, name)}`;
        const build = [
          process.execPath,
          binary,
          '--root',
          join(work.path, `store-${name}`),
          '-o',
          output,
          context,
        ];
        const [program = '', ...args] = [...user, ...build];
        await must(
          command(program, args, { cwd: work.path, env: { HOME: work.path, SOURCE_DATE_EPOCH: '0' } }),
        );
        const image = await readLayout(join(work.path, name));
        return [image.digest, ...treeLines(flatten(image.layers))];
      };

      const old = readFileSync(limit, 'utf8');
      let user: string[];
      writeFileSync(limit, '0');
      try {
        expect((await command('setpriv', [...drop, 'unshare', '-Ur', 'true'])).code).not.toBe(0);
        user = await as(['setpriv', ...drop], 'user');
      } finally {
        writeFileSync(limit, old);
      }
      expect(user).toContainEqual(expect.stringMatching(/^\/site\/index\.html file 0644 0:0 /));
      expect(user).not.toContainEqual(expect.stringContaining('draft'));
      expect(user).toEqual(await as([], 'root'));
    });
  },
);
