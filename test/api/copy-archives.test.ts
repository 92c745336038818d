import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { copyImage } from '../../src/index.ts';
import { writeLayout } from '../../src/image/oci-layout.ts';
import { memberBlocks, rawTar } from '../image/raw-tar.ts';
import type { RawMember } from '../image/raw-tar.ts';
import { projectRoot } from '../support/paths.ts';
import { failure, makeImage } from '../support/registry-client.ts';
import { tempFolder } from '../support/temp.ts';

let folder: Awaited<ReturnType<typeof tempFolder>>;
/** The files of an image. */
let members: RawMember[];

beforeAll(async () => {
  folder = await tempFolder('archives');
  const layout = join(folder.path, 'layout');
  await writeLayout(layout, [{ image: await makeImage(['x']), names: [] }]);
  const files = ['oci-layout', 'index.json'];
  for (const name of await readdir(join(layout, 'blobs/sha256'))) files.push(`blobs/sha256/${name}`);
  members = await Promise.all(
    files.map(async (name) => ({ name, body: await readFile(join(layout, name)) })),
  );
});
afterAll(() => folder[Symbol.asyncDispose]());

const copy = (source: string, destination = `oci:${join(folder.path, 'out')}`): Promise<unknown> =>
  failure(copyImage({ root: join(folder.path, 'store'), env: { HOME: folder.path }, source, destination }));

async function copyArchive(bytes: Uint8Array, kind = 'oci-archive'): Promise<unknown> {
  const file = join(folder.path, 'some.tar');
  await writeFile(file, bytes);
  return copy(`${kind}:${file}`);
}

const replaced = (name: string, member: RawMember): RawMember[] =>
  members.map((each) => (each.name === name ? member : each));

describe('an archive to copy from', () => {
  test('is a file; a device, a FIFO and a directory are refused before they are read', async () => {
    const fifo = join(folder.path, 'fifo');
    execFileSync('mkfifo', [fifo]);
    for (const kind of ['oci-archive', 'docker-archive']) {
      for (const path of ['/dev/zero', fifo, folder.path, join(folder.path, 'none')]) {
        expect(await copy(`${kind}:${path}`)).toMatchObject({
          code: 'IMAGE_NOT_FOUND',
          message: expect.stringContaining(path) as string,
        });
      }
    }
  });

  test('may be a pipe that is open already', () => {
    const script = `import { openArchiveFile } from '${projectRoot}/src/util/archive-file.ts';
      for (const path of ['/dev/stdin', '/proc/self/fd/3'])
        for await (const chunk of openArchiveFile(path)) process.stdout.write(chunk);`;
    const line = 'printf two | { exec 3<&0; printf one | "$0" --input-type=module -e "$1"; }';
    const said = execFileSync('sh', ['-c', line, process.execPath, script]);
    expect(said.toString()).toBe('onetwo');
  });

  test('is read whole, compressed as a whole, and with a file twice, of which the last counts', async () => {
    const good = rawTar(...members);
    for (const bytes of [good, gzipSync(good), rawTar({ name: 'index.json', body: '{' }, ...members)]) {
      expect(await copyArchive(bytes)).toBe('it worked');
      expect(await copyArchive(bytes, 'docker-archive')).toBe('it worked');
    }
  });

  test.each<[string, () => Uint8Array]>([
    ['nothing', () => Buffer.alloc(0)],
    ['zeros', () => Buffer.alloc(1024 * 1024)],
    ['cut short in a header', () => rawTar(...members).subarray(0, 700)],
    ['cut short in a blob', () => rawTar(...members).subarray(0, -1600)],
    ['cut short where it is compressed', () => gzipSync(rawTar(...members)).subarray(0, -20)],
    [
      'an extended header of 4 GiB',
      () => Buffer.concat([memberBlocks({ name: 'x', typeflag: 'x', size: 2 ** 32 }), rawTar(...members)]),
    ],
    [
      'an index of 9 MiB',
      () => rawTar(...replaced('index.json', { name: 'index.json', body: Buffer.alloc(9 * 2 ** 20, 32) })),
    ],
    [
      'an index that is a link',
      () => rawTar(...replaced('index.json', { name: 'index.json', typeflag: '2', linkname: '/etc/passwd' })),
    ],
    ['no oci-layout', () => rawTar(...members.slice(1))],
    ['a name that leads out', () => rawTar({ name: '../out', body: 'x' }, ...members)],
    [
      'other bytes in a blob',
      () =>
        rawTar(
          ...members.map(({ name, body = '' }) => ({
            name,
            body: name.startsWith('blobs')
              ? Buffer.concat([Buffer.from(body as Uint8Array), Buffer.from(' ')])
              : body,
          })),
        ),
    ],
    [
      'too many entries',
      () =>
        Buffer.concat([
          ...Array<Buffer>(100_001).fill(memberBlocks({ name: 'x', typeflag: '5' })),
          rawTar(...members),
        ]),
    ],
  ])('is refused: %s', async (_, bytes) => {
    for (const kind of ['oci-archive', 'docker-archive']) {
      const error = await copyArchive(bytes(), kind);
      expect(error).toMatchObject({ code: expect.stringMatching(/^IMAGE_(?:INVALID|NOT_FOUND)$/) as string });
    }
  });
});

test('a layout whose index is no file is neither read nor added to', async () => {
  const odd = join(folder.path, 'odd');
  await mkdir(odd);
  await writeFile(join(odd, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  execFileSync('mkfifo', [join(odd, 'index.json')]);
  const invalid = { code: 'IMAGE_INVALID' };
  expect(await copy(`oci:${odd}`)).toMatchObject(invalid);
  expect(await copy(`oci:${join(folder.path, 'layout')}`, `oci:${odd}`)).toMatchObject(invalid);
});
