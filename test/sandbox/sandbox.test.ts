import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { removeTree } from '../../src/util/remove-tree.ts';
import { command, must } from '../support/cli.ts';
import { suite, tool } from '../support/require.ts';
import type { TempFolder } from '../support/temp.ts';
import { tempFolder } from '../support/temp.ts';
import type { TestUser } from '../support/users.ts';
import { makeUser } from '../support/users.ts';
import type { Outcome } from './attempt.ts';
import { titleOf } from './attempt.ts';
import { attempts, families } from './attempts/index.ts';

// Attempts to get out of a step, or to learn what is not its business: refused on every rung and runtime, and shown to be real ones by
// bundles with one protection less.

/** A rung of the ladder, and a runtime on it. */
interface Rung {
  readonly name: string;
  readonly runtime: string;
  /** Who builds: root, a user with subordinate ids, or one with none. */
  readonly user: 'root' | 'subordinate' | 'none';
}

const rungs: readonly Rung[] = [
  { name: 'root', runtime: 'runc', user: 'root' },
  { name: 'root', runtime: 'crun', user: 'root' },
  { name: 'root', runtime: 'embedded', user: 'root' },
  { name: 'subordinate ids', runtime: 'runc', user: 'subordinate' },
  { name: 'subordinate ids', runtime: 'crun', user: 'subordinate' },
  { name: 'subordinate ids', runtime: 'embedded', user: 'subordinate' },
  { name: 'single id', runtime: 'embedded', user: 'none' },
];

const program = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const needs = [
  'root',
  'x64',
  tool('runc'),
  tool('crun'),
  tool('busybox', 'busybox-static'),
  tool('newuidmap', 'uidmap'),
  tool('tar'),
  tool('script', 'bsdutils'),
] as const;

suite('the sandbox', needs, () => {
  let folder: TempFolder;
  const users: TestUser[] = [];
  beforeAll(async () => {
    folder = await tempFolder('sandbox');
  });
  afterAll(async () => {
    // Some of what was tried lies deeper than the usual removal gets.
    for (const { home } of users) await removeTree(home);
    await removeTree(folder.path);
    for (const made of [folder, ...users]) await made[Symbol.asyncDispose]();
  });

  /** Makes all attempts, in a process of its own that has inherited a descriptor which it does not know of. */
  async function outcomes(rung: Rung, mode: 'refused' | 'weakened'): Promise<Map<string, Outcome>> {
    let user: TestUser | undefined;
    if (rung.user !== 'root') users.push((user = await makeUser(rung.user)));
    const place = join(user?.home ?? folder.path, `${mode}-${rung.runtime}`);
    const node = [process.execPath, '--no-warnings'];
    const words = [
      ...(user === undefined ? [] : [...node, program('as-root-of-namespace.ts')]),
      ...['unshare', '--mount', ...node, program('main.ts'), rung.runtime, mode, place],
    ];
    // script(1) gives it a terminal.
    const args = ['-qec', `exec 9</ && exec ${words.map((word) => `'${word}'`).join(' ')}`, '/dev/null'];
    await must(user === undefined ? command('script', args) : user.run('script', args));
    const made = JSON.parse(readFileSync(join(place, 'outcomes.json'), 'utf8')) as Outcome[];
    return new Map(made.map((outcome) => [outcome.title, outcome]));
  }

  describe.each(rungs)('on the rung `$name`, $runtime', (rung) => {
    let seen: Map<string, Outcome>;
    beforeAll(async () => {
      seen = await outcomes(rung, 'refused');
    });

    describe.each(Object.entries(families))('%s', (_family, members) => {
      test.each(members.map((attempt) => [titleOf(attempt), attempt] as const))('%s', (title, attempt) => {
        const { escaped, said } = seen.get(title) ?? { said: 'it was not made' };
        // An exception must not outlive what it is for.
        expect({ escaped, said }).toEqual({
          escaped: attempt.exceptions?.[rung.name] !== undefined,
          said,
        });
      });
    });
  });

  describe.each(['runc', 'crun', 'embedded'])('a weakened bundle on %s lets through', (runtime) => {
    let seen: Map<string, Outcome>;
    beforeAll(async () => {
      seen = await outcomes({ name: 'root', runtime, user: 'root' }, 'weakened');
    });

    const wanted = attempts.filter(({ weakenedOn }) => weakenedOn?.includes(runtime) ?? true);
    test.each(wanted.map(titleOf))('%s', (title) => {
      const { escaped, said } = seen.get(title) ?? { said: 'it was not made' };
      expect({ escaped, said }).toEqual({ escaped: true, said });
    });
  });

  test('each attempt has a name of its own, and gets through somewhere', () => {
    expect(new Set(attempts.map(titleOf)).size).toBe(attempts.length);
    expect(attempts.filter(({ weakenedOn }) => weakenedOn?.length === 0)).toEqual([]);
    expect(attempts.length).toBeGreaterThanOrEqual(60);
  });
});
