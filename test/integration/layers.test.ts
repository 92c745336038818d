import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lgetxattr, lsetxattr, mknod } from '../../src/host/syscalls.ts';
import { applyEntries } from '../../src/image/apply.ts';
import { overlayDiff } from '../../src/image/diff.ts';
import { dockerArchiveEntries, readImageArchive } from '../../src/image/docker-archive.ts';
import type { Entry } from '../../src/image/entry.ts';
import { layerTree } from '../../src/image/layer-tree.ts';
import { openLayoutImage, writeLayout } from '../../src/image/oci-layout.ts';
import { writeTar } from '../../src/image/tar.ts';
import { validateImage } from '../../src/image/validate.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { readAll } from '../../src/util/streams.ts';
import {
  described,
  dir,
  file,
  hardlink,
  opaque,
  outline,
  streamOfEntries,
  symlink,
  whiteout,
} from '../image/entries.ts';
import { smallImage } from '../image/images.ts';
import type { LocalStore } from '../image/local-store.ts';
import { localStore } from '../image/local-store.ts';
import { suite, tool } from '../support/require.ts';

const capability = Buffer.from('0100000280200000000000000000000000000000', 'hex');

let base = '';
let store: LocalStore;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'layers-'));
  store = localStore();
  // Overlay directories must be on a filesystem that overlayfs takes.
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', base]);
});

afterEach(() => {
  execFileSync('umount', ['-l', base]);
  rmSync(base, { recursive: true });
  store[Symbol.dispose]();
});

const make = (name: string): string => {
  mkdirSync(join(base, name));
  return join(base, name);
};

const everything: readonly Entry[] = [
  dir('d', { mode: 0o1777, uid: 1000, gid: 1001, mtime: 1_600_000_000_000_000_001n }),
  file('d/f', 'text', {
    mode: 0o4755,
    uid: 5,
    gid: 6,
    mtime: 3n,
    xattrs: { 'security.capability': capability },
  }),
  hardlink('d/g', 'd/f'),
  symlink('d/l', '/nowhere', { uid: 7, gid: 8, mtime: 4n }),
  { ...file('d/null', ''), type: 'char', mode: 0o666, devMajor: 1, devMinor: 300 },
  { ...file('d/pipe', ''), type: 'fifo', mode: 0o600 },
  { ...file('d/sda', ''), type: 'block', mode: 0o660, devMajor: 8, devMinor: 1 },
  whiteout('gone'),
  dir('o'),
  opaque('o'),
];

suite('layers on disk', ['root'], () => {
  test('unpacking and diffing give back every entry', async () => {
    const upper = make('upper');
    await applyEntries(streamOfEntries(...everything), upper, { form: 'overlay' });
    const found = await described(overlayDiff(upper));
    const given = await described(streamOfEntries(...everything));
    const plain = (list: readonly Record<string, unknown>[]): unknown =>
      list.map(({ type, mode, uid, gid, mtime, ...rest }) =>
        // A hard link has the attributes of its file.
        type === 'hardlink'
          ? { type, path: rest['path'], linkTarget: rest['linkTarget'] }
          : type === 'opaque'
            ? { type, path: rest['path'] }
            : { type, mode, uid, gid, ...rest, ...(type === 'whiteout' ? {} : { mtime }) },
      );
    expect(plain(found)).toEqual(plain(given));
  });

  test('foreign overlay attributes and labels do not reach the disk', async () => {
    const upper = make('upper');
    const value = Buffer.from('y');
    const xattrs = {
      'trusted.overlay.opaque': value,
      'user.overlay.opaque': value,
      'security.ima': value,
      'trusted.x': value,
    };
    await applyEntries(streamOfEntries(dir('d', { xattrs }), file('f', 'x', { xattrs })), upper, {
      form: 'overlay',
    });
    for (const name of Object.keys(xattrs)) {
      for (const path of ['d', 'f']) expect(lgetxattr(join(upper, path), name)).toBeUndefined();
    }
  });

  test('a directory over a whiteout of the same layer hides what was below', async () => {
    const lower = make('lower');
    mkdirSync(join(lower, 'a'));
    writeFileSync(join(lower, 'a', 'old'), '');
    for (const [name, entries] of [
      ['one', [whiteout('a'), dir('a'), file('a/new')]],
      ['two', [dir('a'), file('a/new'), whiteout('a')]],
      ['three', [whiteout('a'), file('a/new')]],
    ] as const) {
      const upper = make(name);
      await applyEntries(streamOfEntries(...entries), upper, { form: 'overlay' });
      const merged = make(`${name}-merged`);
      execFileSync('mount', ['-t', 'overlay', '-o', `lowerdir=${upper}:${lower}`, 'overlay', merged]);
      expect(readdirSync(join(merged, 'a'))).toEqual(['new']);
      execFileSync('umount', [merged]);
    }
  });

  test('a whiteout made by an attacker cannot be linked to, nor leave the root', async () => {
    const upper = make('upper');
    const outside = make('outside');
    writeFileSync(join(outside, 'x'), 'safe');
    const invalid = { code: 'IMAGE_INVALID' };
    const apply = (...entries: readonly Entry[]): Promise<void> =>
      applyEntries(streamOfEntries(...entries), upper, { form: 'overlay' });
    await expect(apply(whiteout('w'), hardlink('h', 'w'))).rejects.toMatchObject(invalid);
    await apply(symlink('l', outside), whiteout('l/x'), opaque('l'), file('l/y', 'in'));
    expect(readdirSync(outside)).toEqual(['x']);
    expect(lgetxattr(outside, 'trusted.overlay.opaque')).toBeUndefined();
    await expect(apply(opaque(''))).rejects.toMatchObject(invalid);
  });

  test('what an overlay mount records becomes a layer, and the tree shows what the mount shows', async () => {
    const lower = await store.layers.fromEntries(
      streamOfEntries(
        dir('a'),
        file('a/1', 'one'),
        file('a/2', 'two'),
        dir('r'),
        file('r/x', 'x'),
        dir('k'),
        file('k/y', 'y'),
      ),
    );
    // The store's own filesystem may be an overlay, which cannot hold whiteouts of another.
    const stack = make('stack');
    for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(stack, name));
    const { entries } = await lower.index();
    await applyEntries(layerTree([lower]).walk(''), join(stack, 'lower'), { form: 'overlay' });
    const merged = join(stack, 'merged');
    const data = `lowerdir=${stack}/lower,upperdir=${stack}/upper,workdir=${stack}/work`;
    execFileSync('mount', ['-t', 'overlay', '-o', data, 'overlay', merged]);
    const server = createServer();
    try {
      rmSync(join(merged, 'a', '1'));
      rmSync(join(merged, 'r'), { recursive: true });
      mkdirSync(join(merged, 'r'));
      writeFileSync(join(merged, 'r', 'new'), 'new');
      rmSync(join(merged, 'k'), { recursive: true });
      writeFileSync(join(merged, 'made'), 'made');
      linkSync(join(merged, 'made'), join(merged, 'again'));
      symlinkSync('made', join(merged, 'link'));
      mknod(join(merged, 'zero'), 0o020666, { major: 1, minor: 5 });
      lsetxattr(join(merged, 'made'), 'security.capability', capability);
      await new Promise<void>((resolve) => server.listen(join(merged, 'socket'), resolve));
      const upper = join(stack, 'upper');
      expect(await outline(overlayDiff(upper))).toEqual([
        'directory a',
        'whiteout a/1',
        'file again',
        'whiteout k',
        'symlink link -> made',
        'hardlink made -> again',
        'directory r',
        'opaque r',
        'file r/new',
        'char zero',
      ]);
      expect(entries).toHaveLength(7);
      // As another process sees the layer, through its tar.
      const layer = await store.layers.fromEntries(overlayDiff(upper));
      const names = async (): Promise<string[]> => {
        const all: string[] = [];
        for await (const { path } of layerTree([lower, layer]).walk('')) if (path !== '') all.push(path);
        return all;
      };
      const mounted = (readdirSync(merged, { recursive: true }) as string[]).filter(
        (name) => name !== 'socket',
      );
      expect((await names()).toSorted()).toEqual(mounted.toSorted());
    } finally {
      server.close();
      execFileSync('umount', ['-l', merged]);
    }
  });

  test('an upper directory becomes a layer by moving, and gives the bytes that were hashed', async () => {
    using local = localStore();
    const upper = join(local.root, 'upper');
    const fill = (): void => {
      mkdirSync(join(upper, 'd'), { recursive: true });
      writeFileSync(join(upper, 'd', 'f'), 'content');
      lsetxattr(join(upper, 'd', 'f'), 'security.capability', capability);
    };
    fill();
    const layer = await local.layers.fromDirectory(upper, { clampMtime: 1_000_000_000_000_000_000n });
    expect(existsSync(upper)).toBe(false);
    const directory = await layer.directory();
    expect(readFileSync(join(directory, 'd', 'f'), 'utf8')).toBe('content');
    expect(lstatSync(join(directory, 'd')).mtimeMs).toBe(1_000_000_000_000);
    expect((await readAll(layer.uncompressed(), 1e6)).length).toBeGreaterThan(0);
    const digest = await layer.digest();
    fill();
    const again = await local.reopen().fromDirectory(upper, { clampMtime: 1_000_000_000_000_000_000n });
    expect([again.knownDiffId, await again.digest(), existsSync(upper)]).toEqual([
      layer.knownDiffId,
      digest,
      false,
    ]);
    writeFileSync(join(directory, 'd', 'f'), 'changed');
    rmSync(join(local.root, 'blobs', 'sha256', digest.slice(7)));
    await expect(layer.digest()).rejects.toMatchObject({ code: 'STORE_FAILED' });
  });

  test('a name that is not UTF-8 is refused, not changed', async () => {
    const upper = make('upper');
    writeFileSync(Buffer.concat([Buffer.from(`${upper}/a`), Buffer.from([0xff])]), '');
    await expect(outline(overlayDiff(upper))).rejects.toMatchObject({ code: 'UNSUPPORTED_HERE' });
  });
});

suite('images for other tools', ['root', tool('skopeo'), tool('umoci')], () => {
  test('skopeo reads our layout and docker archive, and we read what it writes', async () => {
    const image = await smallImage(
      store,
      [
        [dir('a'), file('a/f', 'hello', { uid: 3_000_000 })],
        [dir('a'), whiteout('a/f')],
      ],
      {
        architecture: hostPlatform().architecture,
      },
    );
    const named = [{ image, names: ['docker.io/library/app:1'] }];
    const layout = join(base, 'layout');
    await writeLayout(layout, named);
    const archive = join(base, 'docker.tar');
    writeFileSync(archive, await readAll(writeTar(dockerArchiveEntries(named)), 1e7));
    const { config } = await image.manifest();
    const inspected = execFileSync('skopeo', ['inspect', '--raw', `oci:${layout}:1`]);
    expect(inspected.equals(Buffer.from(await image.rawManifest()))).toBe(true);
    execFileSync('skopeo', [
      'copy',
      '--quiet',
      '--insecure-policy',
      `docker-archive:${archive}`,
      `oci:${base}/copied:1`,
    ]);
    const copied = await openLayoutImage(join(base, 'copied'), { name: '1' });
    expect((await copied.manifest()).config.digest).toBe(config.digest);
    expect(await validateImage(copied)).toEqual([]);
    const args = [
      'copy',
      '--quiet',
      '--insecure-policy',
      `oci:${layout}:1`,
      `docker-archive:${base}/old.tar:app:1`,
    ];
    execFileSync('skopeo', args);
    const bytes = readFileSync(join(base, 'old.tar'));
    const read = await readImageArchive(
      (async function* () {
        yield bytes;
      })(),
      base,
    );
    expect(read[0]?.names).toEqual(['docker.io/library/app:1']);
    expect((await read[0]?.image.manifest())?.config.digest).toBe(config.digest);
  });

  test('umoci unpacks our layout to the same files', async () => {
    const image = await smallImage(store, [
      [dir('a'), file('a/f', 'hello', { uid: 12 }), hardlink('a/h', 'a/f')],
      [dir('a'), whiteout('a/f')],
    ]);
    const layout = join(base, 'layout');
    await writeLayout(layout, [{ image, names: ['docker.io/library/app:1'] }]);
    execFileSync('umoci', ['unpack', '--image', `${layout}:1`, join(base, 'bundle')], { stdio: 'pipe' });
    expect(readdirSync(join(base, 'bundle', 'rootfs', 'a'))).toEqual(['h']);
    expect(lstatSync(join(base, 'bundle', 'rootfs', 'a', 'h')).uid).toBe(12);
  });
});
