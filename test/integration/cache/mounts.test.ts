import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { CacheMountBlob } from '../../../src/cache/mounts-format.ts';
import { emptyConfig, encodeCacheMounts } from '../../../src/cache/mounts-format.ts';
import { digestHex, digestOf } from '../../../src/oci/digest.ts';
import { busyboxRootfs, makeBase } from '../../support/base-images.ts';
import type { CommandResult } from '../../support/cli.ts';
import { must, tsbuild } from '../../support/cli.ts';
import { startRegistry } from '../../support/registry-server.ts';
import { suite, tool } from '../../support/require.ts';
import { tempFolder } from '../../support/temp.ts';
import { makeUser } from '../../support/users.ts';
import { tarOf } from '../../cache-corpus/tar-of.ts';

const needs = ['root', tool('busybox', 'busybox-static')] as const;

interface Kitchen extends AsyncDisposable {
  readonly path: string;
  /** A store with the base image. */
  store(name: string): Promise<string>;
  /** Builds these lines on the base, each time in a folder of its own. */
  build(store: string, lines: readonly string[], ...flags: readonly string[]): Promise<CommandResult>;
}

async function kitchen(): Promise<Kitchen> {
  const work = await tempFolder('mounts');
  let count = 0;
  return {
    path: work.path,
    store: async (name) => {
      const root = join(work.path, name);
      await makeBase(root, 'localhost/busybox', busyboxRootfs());
      return root;
    },
    build: (store, lines, ...flags) => {
      const context = join(work.path, `context-${(count += 1)}`);
      mkdirSync(context);
      writeFileSync(join(context, 'Dockerfile'), ['FROM localhost/busybox', ...lines, ''].join('\n'));
      const args = ['--root', store, '--progress', 'plain', '--network', 'none', '-o', 'type=cacheonly'];
      return tsbuild([...args, ...flags, context]);
    },
    [Symbol.asyncDispose]: async () => work[Symbol.asyncDispose](),
  };
}

/** Waits inside a step until the other step has done something, at most 10 s. */
const wait = (condition: string): string =>
  `i=0; until ${condition}; do i=$((i+1)); test $i -lt 200 || exit 9; sleep 0.05; done`;

suite('cache mounts of builds at the same time, each a process', needs, () => {
  test('shared: both are in it at once', async () => {
    await using it = await kitchen();
    const store = await it.store('store');
    const step = (own: string, other: string): string[] => [
      `RUN --mount=type=cache,id=s,target=/c touch /c/${own}; ${wait(`test -e /c/${other}`)}`,
    ];
    // One that seeds the directory has it alone.
    await must(it.build(store, ['RUN --mount=type=cache,id=s,target=/c true']));
    await Promise.all([must(it.build(store, step('a', 'b'))), must(it.build(store, step('b', 'a')))]);
  });

  test('locked: one after the other', async () => {
    await using it = await kitchen();
    const store = await it.store('store');
    const step = (name: string): string[] => [
      `RUN --mount=type=cache,id=l,sharing=locked,target=/c echo start ${name} >>/c/log; sleep 0.3; echo end ${name} >>/c/log`,
    ];
    await Promise.all(['a', 'b', 'c'].map((name) => must(it.build(store, step(name)))));
    const shown = await it.build(store, ['RUN --mount=type=cache,id=l,target=/c cat /c/log']);
    const log = [...shown.stderr.matchAll(/(start|end) ([abc])$/gm)].map(
      ([, what, name]) => `${what} ${name}`,
    );
    expect(log).toHaveLength(6);
    for (let at = 0; at < log.length; at += 2) expect(log[at + 1]).toBe(log[at]?.replace('start', 'end'));
  });

  test('private: each has its own while others have theirs', async () => {
    await using it = await kitchen();
    const store = await it.store('store');
    const meeting = join(it.path, 'meeting');
    mkdirSync(meeting);
    const step = (own: string, other: string): string[] => [
      // They meet in a shared mount, so that both surely run at the same time.
      'RUN --mount=type=cache,id=m,target=/m true',
      `RUN --mount=type=cache,id=p,sharing=private,target=/c --mount=type=cache,id=m,target=/m touch /c/${own} /m/${own}; ${wait(`test -e /m/${other}`)}; test "$(ls /c)" = ${own}`,
    ];
    await must(it.build(store, ['RUN --mount=type=cache,id=m,target=/m true']));
    await Promise.all([must(it.build(store, step('a', 'b'))), must(it.build(store, step('b', 'a')))]);
  });

  test('ids are opaque: no path, no pattern; each names one mount', async () => {
    await using it = await kitchen();
    const store = await it.store('store');
    const ids = ['../../../escape', '/etc', 'a/b', 'a', '.', '..', '*', 'ü', 'x'.repeat(300)];
    const lines = ids.map(
      (id, index) => `RUN --mount=type=cache,id=${id},target=/c test -z "$(ls /c)" && touch /c/${index}`,
    );
    await must(it.build(store, lines));
    const folders = readdirSync(join(store, 'cache-mounts'));
    expect(folders).toHaveLength(ids.length);
    for (const folder of folders) expect(folder).toMatch(/^[0-9a-f]{64}$/);
    expect(existsSync(join(it.path, 'escape'))).toBe(false);
  });

  test('a new one is seeded by from and source, and has the mode and owner that are asked for', async () => {
    await using it = await kitchen();
    const store = await it.store('store');
    const mount = 'type=cache,id=seeded,from=seed,source=/s,target=/c,mode=0750,uid=5,gid=6';
    const lines = [
      'RUN mkdir /s; echo seed >/s/file; chmod 600 /s/file; chown 7:8 /s/file',
      'FROM localhost/busybox',
      `RUN --mount=${mount} stat -c '%a %u:%g' /c /c/file | tr '\\n' ' ' | grep -x '750 5:6 600 7:8 '; echo changed >/c/file`,
      `RUN --mount=${mount} grep changed /c/file`,
    ];
    const context = join(it.path, 'seeded');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), ['FROM localhost/busybox AS seed', ...lines, ''].join('\n'));
    await must(tsbuild(['--root', store, '--network', 'none', '-o', 'type=cacheonly', context]));
  });
});

/** What a machine that has worked has in its cache mounts, and a check that another has the same. */
const worked = [
  'RUN --mount=type=cache,id=one,target=/c,mode=0710,uid=3,gid=4 cd /c && echo text >file && chmod 640 file && chown 1000:2000 file && ln file hard && ln -s file link && mkdir -m 1777 -p d/e && echo deep >d/e/f',
  'RUN --mount=type=cache,target=/root/.cache echo other >/root/.cache/x',
];
const warm = [
  `RUN --mount=type=cache,id=one,target=/c cd /c && test "$(stat -c '%a %u %g' . file)" = "$(printf '710 3 4\\n640 1000 2000')" && test file -ef hard && test "$(readlink link)" = file && test "$(cat d/e/f)" = deep && stat -c %a d/e | grep 1777`,
  'RUN --mount=type=cache,target=/root/.cache grep other /root/.cache/x',
];

suite(
  'cache mounts between machines',
  [...needs, tool('docker-registry'), tool('newuidmap', 'uidmap')],
  () => {
    test('a cold machine is warm: through a directory and through a registry, with owners, modes and links', async () => {
      await using it = await kitchen();
      await using registry = await startRegistry();
      const [first, second, third] = [
        await it.store('first'),
        await it.store('second'),
        await it.store('third'),
      ];
      const shared = join(it.path, 'shared');
      const ref = `${registry.host}/cache/mounts:1`;
      const to = [
        '--cache-mounts-to',
        `type=local,dest=${shared}`,
        '--cache-mounts-to',
        `type=registry,ref=${ref}`,
      ];
      await must(it.build(first, worked, ...to));
      expect((await it.build(second, warm)).code).not.toBe(0);
      rmSync(join(second, 'cache-mounts'), { recursive: true });
      await must(it.build(second, warm, '--cache-mounts-from', `type=local,src=${shared}`));
      await must(it.build(third, warm, '--cache-mounts-from', ref));
      // What a machine has itself is not touched, and steps that are cached need nothing.
      const again = await it.build(third, warm, '--cache-mounts-from', `type=local,src=${shared}`);
      expect(again.stderr).not.toContain('importing cache mount');
    });

    test('a user without rights writes and reads them too', async () => {
      await using it = await kitchen();
      await using user = await makeUser('subordinate');
      const seeds = await it.store('seed');
      const image = join(user.home, 'base.tar');
      await must(tsbuild(['save', '--root', seeds, '-o', image, 'localhost/busybox']));
      const build = async (store: string, lines: readonly string[], ...flags: string[]): Promise<void> => {
        await must(user.tsbuild(['load', '--root', store, '-i', image]));
        const text = ['FROM localhost/busybox', ...lines, ''].join('\n');
        const args = ['--root', store, '--network', 'none', '-o', 'type=cacheonly', ...flags, '-'];
        await must(user.tsbuild(args, { input: text }));
      };
      const shared = join(user.home, 'shared');
      await build(join(user.home, 'one'), worked, '--cache-mounts-to', `type=local,dest=${shared}`);
      await build(join(user.home, 'two'), warm, '--cache-mounts-from', `type=local,src=${shared}`);
      const store = await it.store('root');
      await must(it.build(store, warm, '--cache-mounts-from', `type=local,src=${shared}`));
    });

    test('what is broken or hostile is a warning, and leads nowhere', async () => {
      await using it = await kitchen();
      const step = ['RUN --mount=type=cache,id=x,target=/c ls -A /c >/list; echo $(ls -A /c) seen'];
      const layout = (
        name: string,
        tar: Uint8Array,
        change: (blob: CacheMountBlob) => CacheMountBlob,
      ): string => {
        const directory = join(it.path, name);
        const blobs = join(directory, 'blobs/sha256');
        mkdirSync(blobs, { recursive: true });
        const packed = zstdCompressSync(tar);
        const put = (bytes: Uint8Array): void =>
          writeFileSync(join(blobs, digestHex(digestOf(bytes))), bytes);
        const owner = { mode: 0o755, uid: 0, gid: 0 };
        const blob = {
          id: '/x',
          digest: digestOf(packed),
          size: packed.length,
          diffId: digestOf(tar),
          ...owner,
        };
        const manifest = encodeCacheMounts([change(blob)]);
        for (const bytes of [packed, emptyConfig, manifest.bytes]) put(bytes);
        const { mediaType, bytes } = manifest;
        const entry = { mediaType, digest: digestOf(bytes), size: bytes.length };
        const manifests = [{ ...entry, annotations: { 'org.opencontainers.image.ref.name': 'latest' } }];
        writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
        writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
        return directory;
      };
      const same = (blob: CacheMountBlob): CacheMountBlob => blob;
      const outside = join(it.path, 'outside');
      const hostile = {
        'a path that leads out': layout('out', tarOf({ '../../../outside': 'x' }), same),
        'an absolute path': layout('absolute', tarOf({ [outside]: 'x' }), same),
        'another content than it says': layout('other', tarOf({ f: 'x' }), (blob) => ({
          ...blob,
          diffId: digestOf(''),
        })),
        'a blob of another size': layout('size', tarOf({ f: 'x' }), (blob) => ({
          ...blob,
          size: blob.size - 1,
        })),
        'no tar': layout('garbage', Buffer.from('x'.repeat(2000)), same),
        'nothing at all': join(it.path, 'none'),
      };
      // An absolute path is one below the directory: it has no other root.
      const told = [
        'a path that leads out',
        'another content than it says',
        'a blob of another size',
        'no tar',
      ];
      const before = readFileSync('/etc/hostname', 'utf8');
      for (const [name, directory] of Object.entries(hostile)) {
        const store = await it.store(`store ${name}`);
        const result = await it.build(store, step, '--cache-mounts-from', `type=local,src=${directory}`);
        expect(result.code, `${name}: ${result.stderr}`).toBe(0);
        const isTold = result.stderr.includes('cache mount /x was not read');
        expect(isTold, `${name}: ${result.stderr}`).toBe(told.includes(name));
        expect(existsSync(outside), name).toBe(false);
        rmSync(store, { recursive: true, force: true });
      }
      expect(readFileSync('/etc/hostname', 'utf8')).toBe(before);
    });
  },
);
