import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BuildOptions } from '../../src/index.ts';
import { build, pullImage } from '../../src/index.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { pushImage } from '../../src/registry/push.ts';
import { makeImage, testClient } from '../support/registry-client.ts';
import { startRegistry } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

suite('C-CA-3: when a registry is asked for a base image', [tool('docker-registry')], () => {
  test('always, for what is missing, for what is newer, never', async () => {
    await using registry = await startRegistry();
    await using work = await tempFolder('pull');
    const name = `${registry.host}/base:1`;
    const offer = async (text: string): Promise<void> => {
      await using http = testClient();
      await pushImage(http, { images: [await makeImage([text])], reference: parseReference(name) });
    };
    const context = join(work.path, 'context');
    await mkdir(context);
    await writeFile(join(context, 'Dockerfile'), `FROM ${name}\nLABEL a=b\n`);
    const common = { root: join(work.path, 'store'), env: { HOME: work.path } };
    const made = async (pull?: BuildOptions['pull']): Promise<string | undefined> =>
      (await build({ ...common, context, pull })).digest;

    await offer('one');
    // What a build has looked up is remembered, and not there for builds that may ask nobody.
    const one = await made();
    await expect(made('never')).rejects.toMatchObject({
      code: 'IMAGE_NOT_FOUND',
      hint: expect.stringContaining(`tsbuild pull ${name}`) as string,
      source: { range: { start: { line: 1 } } },
    });
    await pullImage({ ...common, image: name });
    expect(await made('never')).toBe(one);

    await offer('two');
    for (const pull of [undefined, false, 'missing', 'never'] as const) expect(await made(pull)).toBe(one);
    const two = await made('newer');
    expect(two).not.toBe(one);
    expect([await made('always'), await made(true)]).toEqual([two, two]);

    await registry.close();
    await expect(made('always')).rejects.toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
    for (const pull of ['newer', 'missing', 'never'] as const) expect(await made(pull)).toBe(one);
  });
});
