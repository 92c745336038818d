import { statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { engineExporter } from '../../src/export/to-engine.ts';
import type { ExportResult } from '../../src/export/exporter.ts';
import { hostPlatform } from '../../src/oci/platform.ts';
import { file } from '../image/entries.ts';
import { smallImage } from '../image/images.ts';
import { localStore } from '../image/local-store.ts';
import { tempFolder } from '../support/temp.ts';

const context = { names: ['docker.io/library/x:1'], id: 'x', signal: new AbortController().signal };

test('the engine that answers is named, and gets the image', async () => {
  await using folder = await tempFolder();
  const env = { PATH: [folder.path, process.env['PATH']].join(delimiter) };
  const engine = (name: string, version: number): void =>
    writeFileSync(
      join(folder.path, name),
      `#!/bin/sh\n[ "$1" = load ] || exit ${version}\nexec cat >${folder.path}/${name}.tar\n`,
      { mode: 0o755 },
    );
  engine('podman', 1);
  engine('docker', 1);
  await expect(engineExporter(undefined, env)).rejects.toMatchObject({ code: 'LOAD_FAILED' });
  engine('docker', 0);
  const exporter = await engineExporter(undefined, env);
  expect(exporter.name).toBe('loading into docker');
  using store = localStore();
  const image = await smallImage(store, [[file('a', 'content')]]);
  const result: ExportResult = { images: [{ platform: hostPlatform(), image, layers: [] }] };
  await exporter.export(result, { ...context, emit: () => {} });
  expect(statSync(join(folder.path, 'docker.tar')).size).toBeGreaterThan(1024);
  engine('podman', 0);
  expect((await engineExporter(undefined, env)).name).toBe('loading into podman');
  expect((await engineExporter('docker', env)).name).toBe('loading into docker');
});
