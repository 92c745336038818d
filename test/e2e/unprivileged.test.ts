import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { command, must } from '../support/cli.ts';
import { binary, examples } from '../support/paths.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';
import { unprivileged } from '../support/unprivileged.ts';
import { flatten, readLayout, treeLines } from '../support/tree.ts';

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
      const build = async (name: string): Promise<string[]> => {
        const output = `type=oci,tar=false,dest=${join(work.path, name)}`;
        const args = [binary, '--root', join(work.path, `store-${name}`), '-o', output, context];
        const options = { cwd: work.path, env: { HOME: work.path, SOURCE_DATE_EPOCH: '0' } };
        await must((name === 'user' ? unprivileged : command)(process.execPath, args, options));
        const image = await readLayout(join(work.path, name));
        return [image.digest, ...treeLines(flatten(image.layers))];
      };

      expect((await unprivileged('unshare', ['-Ur', 'true'])).code).not.toBe(0);
      expect((await must(unprivileged('id', ['-u']))).trim()).toBe('65534');
      const user = await build('user');
      expect(user).toContainEqual(expect.stringMatching(/^\/site\/index\.html file 0644 0:0 /));
      expect(user).not.toContainEqual(expect.stringContaining('draft'));
      expect(user).toEqual(await build('root'));
    });
  },
);
