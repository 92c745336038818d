import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxRootfs, makeBase } from '../support/base-images.ts';
import type { CommandResult } from '../support/cli.ts';
import { command, must, tsbuild } from '../support/cli.ts';
import { suite, tool } from '../support/require.ts';
import { startRegistry } from '../support/registry-server.ts';
import { tempFolder } from '../support/temp.ts';
import { readLayout } from '../support/tree.ts';

const needs = [
  'root',
  tool('skopeo'),
  tool('umoci'),
  tool('podman'),
  tool('runc'),
  tool('docker-registry'),
  tool('busybox', 'busybox-static'),
] as const;

interface Inspected {
  readonly Digest: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Layers: readonly string[];
  readonly Os: string;
}

suite('other tools take what tsbuild writes', needs, () => {
  const stack = new AsyncDisposableStack();
  let folder: string;
  let store: string;
  let digest: string;

  beforeAll(async () => {
    folder = stack.use(await tempFolder('interop')).path;
    store = join(folder, 'store');
    await makeBase(store, 'localhost/busybox', busyboxRootfs());
    writeFileSync(join(folder, 'file.txt'), 'from the context\n');
    writeFileSync(
      join(folder, 'Dockerfile'),
      [
        'FROM localhost/busybox',
        'LABEL org.example.made=by-tsbuild',
        'COPY --chown=app file.txt /home/app/',
        'RUN ln /home/app/file.txt /home/app/hard && ln -s file.txt /home/app/soft && chmod 4755 /bin/busybox && rm /bin/yes',
        'ENV WORD=environment',
        'CMD ["sh", "-c", "cat /home/app/file.txt; echo $WORD"]',
        '',
      ].join('\n'),
    );
    const outputs = ['oci,dest=oci.tar', 'oci,tar=false,dest=oci', 'docker,dest=docker.tar', 'image'].map(
      (text) => `type=${text.replace('dest=', `dest=${folder}/`)}`,
    );
    const build = ['-t', 'localhost/interop:1', '--metadata-file', join(folder, 'metadata.json')];
    await must(tsbuild(['--root', store, ...build, ...outputs.flatMap((text) => ['-o', text]), folder]));
    digest = (await readLayout(join(folder, 'oci'))).digest;
  });
  afterAll(() => stack.disposeAsync());

  async function inspect(image: string): Promise<Inspected> {
    return JSON.parse(await must(command('skopeo', ['inspect', image]))) as Inspected;
  }

  test('skopeo inspects the store and each archive', async () => {
    const oci = ['oci:store:localhost/interop:1', 'oci-archive:oci.tar', 'oci:oci'];
    for (const image of oci.map((text) => text.replace(':', `:${folder}/`))) {
      expect(await inspect(image), image).toMatchObject({
        Digest: digest,
        Os: 'linux',
        Labels: { 'org.example.made': 'by-tsbuild' },
      });
    }
    const docker = await inspect(`docker-archive:${folder}/docker.tar:localhost/interop:1`);
    expect(docker.Labels).toEqual({ 'org.example.made': 'by-tsbuild' });
    expect(docker.Layers).toHaveLength(3);
  });

  test('skopeo copies from the store and from each archive, with the same digest', async () => {
    for (const [at, image] of [
      `oci:${store}:localhost/interop:1`,
      `oci-archive:${folder}/oci.tar`,
      `oci:${folder}/oci`,
    ].entries()) {
      const copy = join(folder, `copy-${at}`);
      await must(command('skopeo', ['copy', '-q', '--preserve-digests', image, `oci:${copy}:copied`]));
      expect((await readLayout(copy)).digest, image).toBe(digest);
    }
    const copy = join(folder, 'copy-docker');
    const archive = `docker-archive:${folder}/docker.tar:localhost/interop:1`;
    await must(command('skopeo', ['copy', '-q', archive, `oci:${copy}:copied`]));
    const { config } = await readLayout(copy);
    expect(config.rootfs.diff_ids).toEqual((await readLayout(join(folder, 'oci'))).config.rootfs.diff_ids);
  });

  test('umoci unpacks the image', async () => {
    const bundle = join(folder, 'bundle');
    await must(command('skopeo', ['copy', '-q', `oci:${folder}/oci`, `oci:${folder}/for-umoci:tag`]));
    await must(command('umoci', ['unpack', '--image', `${folder}/for-umoci:tag`, bundle]));
    const look =
      'cd "$1/rootfs/home/app"; cat file.txt; stat -c "%U:%u:%g %h %F" file.txt; readlink soft; ls ../../bin/yes 2>&1';
    const said = await command('sh', ['-c', look, 'sh', bundle]);
    expect(said.stdout).toMatch(/^from the context\n\S+:1000:1000 2 regular file\nfile\.txt\n.*No such file/);
  });

  test('podman runs the loaded image', async () => {
    const storage = ['--root', join(folder, 'podman'), '--runroot', join(folder, 'podman-run')];
    const engine = [
      ...storage,
      '--storage-driver',
      'overlay',
      '--cgroup-manager',
      'cgroupfs',
      '--runtime',
      'runc',
    ];
    const podman = (args: readonly string[]): Promise<CommandResult> =>
      command('podman', [...engine, '--events-backend', 'none', ...args]);
    try {
      for (const archive of ['docker.tar', 'oci.tar']) {
        await must(podman(['load', '-q', '-i', join(folder, archive)]));
        // podman's own default limits lie above what this container may set.
        const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];
        const said = await must(
          podman(['run', '--rm', '--network', 'host', ...limits, 'localhost/interop:1']),
        );
        expect(said).toBe('from the context\nenvironment\n');
        await must(podman(['rmi', '--all', '--force']));
      }
    } finally {
      await podman(['rmi', '--all', '--force']);
    }
  });

  test('a push to docker-registry comes back by skopeo with the same digest', async () => {
    await using registry = await startRegistry();
    const name = `${registry.host}/team/interop:1`;
    await must(tsbuild(['tag', '--root', store, 'localhost/interop:1', name]));
    await must(tsbuild(['push', '--root', store, name]));
    const pulled = join(folder, 'pulled');
    const pull = [
      'copy',
      '-q',
      '--src-tls-verify=false',
      '--preserve-digests',
      `docker://${name}`,
      `oci:${pulled}:back`,
    ];
    await must(command('skopeo', pull));
    expect((await readLayout(pulled)).digest).toBe(digest);
    // And the other way: what skopeo pushed is pulled, into a fresh store.
    const fresh = join(folder, 'fresh-store');
    const copy = [
      'copy',
      '-q',
      '--dest-tls-verify=false',
      `oci:${pulled}:back`,
      `docker://${registry.host}/by/skopeo:1`,
    ];
    await must(command('skopeo', copy));
    await must(tsbuild(['pull', '--root', fresh, `${registry.host}/by/skopeo:1`]));
    const said = await must(tsbuild(['run', '--rm', '--root', fresh, `${registry.host}/by/skopeo:1`]));
    expect(said).toBe('from the context\nenvironment\n');
  });

  test('build --push pushes the digest that it prints', async () => {
    await using registry = await startRegistry();
    const name = `${registry.host}/pushed`;
    const printed = (await must(tsbuild(['--root', store, '-q', '--push', '-t', name, folder]))).trim();
    const raw = ['inspect', '--tls-verify=false', '--format', '{{.Digest}}', `docker://${name}`];
    expect((await must(command('skopeo', raw))).trim()).toBe(printed);
  });
});
