import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { mappedIds } from '../../../src/host/probe.ts';
import { applyEntries } from '../../../src/image/apply.ts';
import { readTar } from '../../../src/image/tar.ts';
import { streamOf } from '../../../src/util/streams.ts';
import type { RawMember } from '../../image/raw-tar.ts';
import { rawTar } from '../../image/raw-tar.ts';
import type { Attempt, Lab } from '../attempt.ts';

// Layers of a hostile image (S-P-3), unpacked as steps need them, and by tar(1) told to trust them.

/** A directory beside the layer: a file, and a directory with a file. */
function place(lab: Lab): { readonly outside: string; readonly layer: string } {
  const outside = join(lab.folder, 'outside');
  const layer = join(lab.folder, 'layer');
  mkdirSync(join(outside, 'dir'), { recursive: true });
  mkdirSync(layer);
  writeFileSync(join(outside, 'file'), 'host', { mode: 0o600 });
  writeFileSync(join(outside, 'dir/inner'), 'host');
  chmodSync(outside, 0o750);
  return { outside, layer };
}

function state(outside: string): string {
  if (!existsSync(join(outside, 'file'))) return 'removed';
  const { mode, nlink } = statSync(join(outside, 'file'));
  const text = readFileSync(join(outside, 'file'), 'utf8');
  return [
    (readdirSync(outside, { recursive: true }) as string[]).toSorted(),
    text,
    mode,
    nlink,
    statSync(outside).mode,
  ].join();
}

/** tar(1) knows no whiteouts: how whiteouts would be done by joining names. */
function removeNaively(layer: string, members: readonly RawMember[]): void {
  for (const { name } of members) {
    const [, directory = '', whited = ''] = /^(.*?)\.wh\.(.*)$/.exec(name) ?? [];
    if (whited === '.wh..opq') rmSync(join(layer, directory, 'dir'), { recursive: true });
    else if (whited !== '') rmSync(join(layer, directory, whited), { recursive: true });
  }
}

function unpack(tar: Uint8Array, layer: string): Promise<void> {
  const overlayXattrs = mappedIds() === undefined ? 'trusted' : 'user';
  const entries = readTar(streamOf(tar), { whiteouts: true });
  return applyEntries(entries, layer, { form: 'overlay', overlayXattrs });
}

/** A layer; `naively` is what trusting its names comes to. */
function hostile(
  row: string,
  what: string,
  members: (outside: string) => readonly RawMember[],
  naively: (place: { readonly outside: string; readonly layer: string }) => void,
): Attempt {
  return {
    row,
    what,
    async attack(lab) {
      const { outside, layer } = place(lab);
      const before = state(outside);
      await unpack(rawTar(...members(outside)), layer).catch(() => {});
      return state(outside) !== before;
    },
    weakened(lab) {
      const places = place(lab);
      const before = state(places.outside);
      naively(places);
      return state(places.outside) !== before;
    },
  };
}

/** A layer with which tar(1) gets into trouble; `options` make it do what the attack wants. */
function archive(
  row: string,
  what: string,
  members: (outside: string) => readonly RawMember[],
  options: readonly string[] = [],
): Attempt {
  return hostile(row, what, members, ({ outside, layer }) => {
    spawnSync('tar', ['-xPf', '-', '-C', layer, '--no-same-owner', ...options], {
      input: rawTar(...members(outside)),
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    removeNaively(layer, members(outside));
  });
}

const link = (name: string, linkname: string): RawMember => ({ name, typeflag: '2', linkname });
const hardLink = (name: string, linkname: string): RawMember => ({ name, typeflag: '1', linkname });

export const archives: readonly Attempt[] = [
  archive('CVE-2026-28406', 'a name that climbs', () => [{ name: '../outside/file', body: 'evil' }]),
  archive('CVE-2021-32804', 'an absolute name', (outside) => [{ name: join(outside, 'file'), body: 'evil' }]),
  archive('CVE-2020-10696', 'a file through a link', (outside) => [
    link('l', outside),
    { name: 'l/file', body: 'evil' },
  ]),
  archive(
    'CVE-2021-32803',
    'a directory that was seen, and becomes a link',
    (outside) => [
      { name: 'd/', typeflag: '5', mode: 0o755 },
      { name: 'd/first', body: 'x' },
      link('d', outside),
      { name: 'd/file', body: 'evil' },
    ],
    ['--recursive-unlink'],
  ),
  archive('CVE-2026-24842', 'a hard link to a file of the host', (outside) => [
    hardLink('h', join(outside, 'file')),
  ]),
  archive('CVE-2026-26960', 'a hard link through a chain of links', (outside) => [
    link('a', 'b'),
    link('b', outside),
    hardLink('h', 'a/file'),
  ]),
  archive(
    'CVE-2026-23745',
    'a hard link, and then writing to its name',
    () => [hardLink('h', '../outside/file'), { name: 'h', body: 'evil' }],
    ['--overwrite'],
  ),
  archive('S-P-3', 'a whiteout through a link', (outside) => [link('l', outside), { name: 'l/.wh.file' }]),
  archive('S-P-3', 'an opaque directory through a link', (outside) => [
    link('l', outside),
    { name: 'l/.wh..wh..opq' },
  ]),
  hostile(
    'CVE-2021-29136',
    'a root that is a link',
    (outside) => [
      { name: './', typeflag: '2', linkname: outside },
      { name: 'file', body: 'evil' },
    ],
    ({ outside, layer }) => {
      rmdirSync(layer);
      symlinkSync(outside, layer);
      writeFileSync(join(layer, 'file'), 'evil');
    },
  ),
  hostile(
    'CVE-2021-32760',
    'the mode of a directory through a link',
    (outside) => [link('l', outside), { name: 'l/', typeflag: '5', mode: 0o777 }],
    ({ outside, layer }) => {
      symlinkSync(outside, join(layer, 'l'));
      chmodSync(join(layer, 'l'), 0o777);
    },
  ),
  {
    row: 'S-SB-7',
    what: "a layer that brings a device of the host's",
    async attack(lab) {
      const { layer } = place(lab);
      // 1, 11: the log of the kernel.
      const tar = rawTar({ name: 'kmsg', typeflag: '3', mode: 0o666, devMajor: 1, devMinor: 11 });
      await unpack(tar, layer);
      return (await lab.run('[ -c /kmsg ] && (: >/kmsg)', { layers: [lab.layer, layer] })).exitCode === 0;
    },
    weakened: 'devices',
  },
];
