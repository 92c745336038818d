import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { BuildOptions } from '../../src/index.ts';
import { makeTempDir } from '../../src/util/temp-dir.ts';
import { buildResult, parsedBuild, runCli } from './fake-context.ts';

type Row = readonly [words: string, expected: Partial<BuildOptions>, env?: NodeJS.ProcessEnv];

const rows: readonly Row[] = [
  ['-t a -t b:1 .', { tags: ['a', 'b:1'], context: '.' }],
  ['build --tag=a .', { tags: ['a'] }],
  ['-t=a .', { tags: ['a'] }],
  ['-ta .', { tags: ['a'] }],
  ['. -f x/Dockerfile', { dockerfile: 'x/Dockerfile' }],
  ['--build-arg A=1=2 --build-arg B --build-arg GONE .', { buildArgs: { A: '1=2', B: 'env' } }, { B: 'env' }],
  ['--target s .', { target: 's' }],
  ['--label a=b --label c .', { labels: { a: 'b', c: '' } }],
  [
    '--annotation a=b --annotation manifest:c=d --annotation manifest[linux/amd64]:e=f .',
    { annotations: { a: 'b', c: 'd', e: 'f' } },
  ],
  ['--annotation org.example/x:y=z .', { annotations: { 'org.example/x:y': 'z' } }],
  ['--platform linux/arm64 .', { platform: 'linux/arm64' }],
  ['.', { platform: undefined }, { DOCKER_DEFAULT_PLATFORM: 'linux/arm/v7' }],
  ['--platform linux/amd64,x --platform y .', { platform: 'linux/amd64,x,y' }],
  ['--platform linux/amd64 .', { platform: 'linux/amd64' }, { DOCKER_DEFAULT_PLATFORM: 'linux/arm/v7' }],
  ['--no-cache .', { noCache: true }],
  ['--no-cache=false .', { noCache: undefined }],
  ['.', { noCache: undefined, noCacheFilter: [], outputs: undefined, load: undefined, pull: undefined }],
  ['--no-cache-filter a,b --no-cache-filter c .', { noCacheFilter: ['a', 'b', 'c'] }],
  ['--pull .', { pull: 'always' }],
  ['--pull=true .', { pull: 'always' }],
  ['--pull=false .', { pull: undefined }],
  ['--pull=never .', { pull: 'never' }],
  ['--pull=newer .', { pull: 'newer' }],
  ['--secret id=a,src=/f .', { secrets: [{ id: 'a', file: '/f' }] }],
  ['--secret type=file,id=a,source=/f .', { secrets: [{ id: 'a', file: '/f' }] }],
  ['--secret id=a,env=V .', { secrets: [{ id: 'a', env: 'V' }] }],
  ['--secret type=env,id=a,src=V .', { secrets: [{ id: 'a', env: 'V' }] }],
  ['--secret type=env,id=a .', { secrets: [{ id: 'a', env: 'a' }] }],
  ['--secret id=TOKEN .', { secrets: [{ id: 'TOKEN', env: 'TOKEN' }] }, { TOKEN: 'x' }],
  ['--secret id=TOKEN .', { secrets: [{ id: 'TOKEN', file: 'TOKEN' }] }],
  ['--secret type=file,id=TOKEN .', { secrets: [{ id: 'TOKEN', file: 'TOKEN' }] }, { TOKEN: 'x' }],
  ['--secret id=a,"src=/f,g" .', { secrets: [{ id: 'a', file: '/f,g' }] }],
  [
    '--ssh default --ssh k=/a,/b .',
    {
      ssh: [
        { id: 'default', paths: [] },
        { id: 'k', paths: ['/a', '/b'] },
      ],
    },
  ],
  ['--build-context a=docker-image://alpine:3 .', { buildContexts: { a: 'docker-image://alpine:3' } }],
  ['--add-host a:10.0.0.1 --add-host b=host-gateway .', { addHosts: ['a:10.0.0.1', 'b=host-gateway'] }],
  ['.', { limits: undefined }],
  ['-m 1g --cpus 1.5 .', { limits: { memory: 1_073_741_824, cpus: 1.5 } }],
  [
    '--memory=64m --memory-swap -1 -c 512 .',
    { limits: { memory: 67_108_864, memorySwap: -1, cpuShares: 512 } },
  ],
  [
    '--cpu-period 50000 --cpu-quota 25000 --cpuset-cpus 0-2,4 --cpuset-mems 0 .',
    { limits: { cpuPeriod: 50_000, cpuQuota: 25_000, cpusetCpus: '0-2,4', cpusetMems: '0' } },
  ],
  [
    '--resource memory=64m,memory-swap=128m --resource cpus=2 --memory 32m .',
    { limits: { memory: 33_554_432, memorySwap: 134_217_728, cpus: 2 } },
  ],
  ['--network isolated .', { network: 'isolated' }],
  ['--shm-size 64m .', { shmSize: 67_108_864 }],
  ['--shm-size 1.5GiB .', { shmSize: 1_610_612_736 }],
  ['--shm-size 100 .', { shmSize: 100 }],
  [
    '--ulimit nofile=1024:2048 --ulimit core=-1 .',
    {
      ulimits: [
        { name: 'nofile', soft: 1024, hard: 2048 },
        { name: 'core', soft: -1, hard: -1 },
      ],
    },
  ],
  ['--network host --allow network.host .', { network: 'host', allow: ['network.host'] }],
  ['-o out .', { outputs: [{ type: 'local', dest: 'out' }] }],
  [
    '-o type=local,dest=a -o type=oci,dest=b.tar .',
    {
      outputs: [
        { type: 'local', dest: 'a' },
        { type: 'oci', dest: 'b.tar' },
      ],
    },
  ],
  ['-o type=oci,dest=d,tar=false .', { outputs: [{ type: 'oci', dest: 'd', tar: false }] }],
  [
    '-o type=registry,name=a,compression=zstd,compression-level=19,force-compression=true,oci-mediatypes=false .',
    {
      outputs: [
        {
          type: 'registry',
          names: ['a'],
          compression: 'zstd',
          compressionLevel: 19,
          forceCompression: true,
          ociMediaTypes: false,
        },
      ],
    },
  ],
  [
    '-o type=image,"name=h:5000/a,h/b",push=true,compression=gzip,compression-level=9,annotation.Key=v,registry.insecure=1 .',
    {
      outputs: [
        {
          type: 'image',
          names: ['h:5000/a', 'h/b'],
          push: true,
          compression: 'gzip',
          compressionLevel: 9,
          annotations: { Key: 'v' },
          insecure: true,
        },
      ],
    },
  ],
  ['-o type=cacheonly .', { outputs: [{ type: 'cacheonly' }] }],
  ['-o type=image,prefer-nondist-layers=true .', { outputs: [{ type: 'image' }] }],
  ['-o type=docker .', { outputs: undefined, load: 'docker' }],
  ['-o type=docker,dest=x.tar .', { outputs: [{ type: 'docker', dest: 'x.tar' }] }],
  ['-t r/x --push .', { outputs: [{ type: 'registry' }] }],
  ['-t r/x --push -o type=image .', { outputs: [{ type: 'image', push: true }] }],
  ['-t r/x --push -o out .', { outputs: [{ type: 'local', dest: 'out' }, { type: 'registry' }] }],
  ['--load .', { load: true, context: '.' }],
  ['--load=podman .', { load: 'podman', context: '.' }],
  ['--load docker .', { load: 'docker', context: '.' }],
  ['. --load podman', { load: 'podman', context: '.' }],
  ['--load docker', { load: true, context: 'docker' }],
  ['--load=false .', { load: undefined }],
  ['--root /r --runtime crun --parallelism 3 .', { root: '/r', runtime: 'crun', parallelism: 3 }],
  ['--jobs 2 .', { parallelism: 2 }],
  ['--insecure-registry a:1 --insecure-registry b .', { insecureRegistries: ['a:1', 'b'] }],
  [
    '--insecure-registry * --insecure-registry 10.0.0.0/8 --insecure-registry fd00::/8 --insecure-registry [::1]:5000 .',
    { insecureRegistries: ['*', '10.0.0.0/8', 'fd00::/8', '[::1]:5000'] },
  ],
  [
    '--trusted-realm Auth.example --trusted-realm https://b.example:5001/ .',
    { trustedRealms: ['auth.example', 'https://b.example:5001'] },
  ],
  [
    '--registry-mirror m1 --registry-mirror docker.io=m2 --registry-mirror q.io=m3 .',
    { registryMirrors: { 'docker.io': ['m1', 'm2'], 'q.io': ['m3'] } },
  ],
  [
    '--registry-mirror constructor=https://m:5000/a --registry-mirror [::1]:5000=m .',
    { registryMirrors: { constructor: ['https://m:5000/a'], '[::1]:5000': ['m'] } },
  ],
  ['--source-date-epoch 0 .', { sourceDateEpoch: 0 }],
  ['-D --root /r build .', { root: '/r', context: '.' }],
  ['https://example.org/x.git#main', { context: 'https://example.org/x.git#main' }],
];

describe('each flag of a build', () => {
  for (const [words, expected, env] of rows) {
    test(`${env === undefined ? '' : `${JSON.stringify(env)} `}${words}`, async () => {
      const options = await parsedBuild(words.split(' '), { env });
      for (const [key, value] of Object.entries(expected)) {
        expect(options[key as keyof BuildOptions], key).toEqual(value);
      }
    });
  }
});

const wrong: readonly (readonly [words: string, message: RegExp, hint?: RegExp])[] = [
  ['-t x', /context is missing/, /tsbuild build \./],
  ['a/ b/', /one build context, not 2/],
  ['--annotation index:a=b .', /index/],
  ['--annotation a .', /not well formed/],
  ['-o type=image,prefer-nondist-layers=false .', /must not be distributed/, /--allow-nondistributable/],
  ['--build-arg =x .', /no name/],
  ['--secret src=x .', /no id/],
  ['--secret id=a,scr=x .', /scr=x/, /`src`/],
  ['--secret id=a,type=evn .', /evn/, /`env`/],
  ['--ssh =x .', /no id/],
  ['--build-context a .', /not well formed/],
  ['--shm-size 12q .', /no size/],
  ['--ulimit nofiel=1 .', /nofiel/, /`nofile`/],
  ['--ulimit nofile=3:2 .', /above/],
  ['--memory 0 .', /`--memory 0` is less than 6m/, /write 0m or 0g/],
  ['--memory 4 .', /`--memory 4` is less than 6m/, /write 4m or 4g/],
  ['--resource memory=1k .', /`--memory 1k` is less than 6m/],
  ['--cpus many .', /at least 0.01/],
  ['--cpuset-cpus all .', /no list/, /0-2,4/],
  ['--resource memroy=1m .', /not understood/, /memory-swap/],
  ['--add-host a .', /not understood/],
  ['--network brigde .', /brigde/],
  ['--parallelism 0 .', /at least 1/],
  ['--source-date-epoch -1 .', /whole number/],
  ['--source-date-epoch 253402300800 .', /after the year 9999/],
  ['--root= .', /`--root` is empty/],
  ['-o type=oic,dest=x .', /oic/, /`oci`/],
  ['-o dest=x .', /no type/],
  ['-o type=oci,dset=x .', /dset/, /`dest`/],
  ['-o type=local .', /needs its name/],
  ['-o type=image,dest=x .', /writes no file/],
  ['-o type=oci,dest=x,compression=estargz .', /estargz/],
  ['-o - -o type=oci .', /only one output/],
  ['-o "a .', /do not match/],
  ['--push .', /needs a name/],
  ['--pull=somtimes .', /somtimes/, /always/],
  ['--build-arg-file nosuch .', /nosuch/, /name=value/],
  ['--build-arg-file /dev/zero .', /no ordinary file/],
  ['--load=dokcer .', /dokcer/, /`docker`/],
  ['--progress tyt .', /tyt/, /`tty`/],
  ['--progress=json .', /`json` is no value/, /did you mean `rawjson`/],
  ['--progress tty .', /needs a terminal/],
  ['-q --progress plain .', /exclude/],
  ['--no-cache=maybe .', /true or false/],
  ['--insecure-registry a,b .', /is no host/],
  ['--insecure-registry 10.0.0.0/x .', /is no host/],
  ['--trusted-realm * .', /is no host/],
  ['--trusted-realm https://auth.example/token .', /is no host/],
  ['--registry-mirror =x .', /not understood/],
  ['--registry-mirror a=b=c .', /not understood/],
  ['--registry-mirror docker.io=ftp://m .', /not understood/],
  ['-f - -', /both come from stdin/],
  ['--taget x .', /--taget/, /--target/],
  ['-f', /argument missing/],
];

describe('a wrong command line ends with status 2', () => {
  for (const [words, message, hint] of wrong) {
    test(words, async () => {
      const result = await runCli(words.split(' '), {
        library: { build: () => Promise.reject(new Error('was called')) },
      });
      expect(result.stderr).toMatch(/^error\[USAGE\]: /);
      expect(result.stderr).toMatch(message);
      if (hint !== undefined) expect(result.stderr).toMatch(hint);
      expect(result.status).toBe(2);
      expect(result.stdout).toBe('');
    });
  }

  test('an archive is refused by a terminal', async () => {
    for (const output of ['-', 'type=oci', 'type=tar,dest=-']) {
      const result = await runCli(['-o', output, '.'], { terminal: true });
      expect(result.stderr).toContain('not written to a terminal');
      expect(result.status).toBe(2);
    }
  });
});

describe('stdin and stdout', () => {
  test('`-` as the context is stdin, and as the output stdout', async () => {
    const options = await parsedBuild(['-o', '-', '-'], { input: 'FROM scratch' });
    expect(options.context).toHaveProperty('stream');
    expect(options.outputs).toMatchObject([{ type: 'tar', dest: '-' }]);
    expect(options.outputs?.[0]?.stream).toBeDefined();
  });

  test('-f with nothing is the usual Dockerfile, as with docker', async () => {
    expect((await parsedBuild(['-f', '', '.'])).dockerfile).toBeUndefined();
  });

  test('`-f -` reads the Dockerfile from stdin', async () => {
    const options = await parsedBuild(['-f', '-', '.'], { input: 'FROM scratch' });
    expect(options.dockerfile).toHaveProperty('stream');
    expect(options.context).toBe('.');
  });

  test('a terminal is no build context', async () => {
    const result = await runCli(['-'], { terminal: true });
    expect(result.stderr).toContain('stdin is a terminal');
  });
});

describe('flags of other builders', () => {
  test('are accepted with one note each', async () => {
    const flags = [
      ...['--rm', '--force-rm', '--compress', '--squash', '--disable-content-trust'],
      ...['--cgroup-parent', 'x', '--security-opt', 'seccomp=x', '--builder', 'b'],
      ...['--provenance', 'true', '--sbom=true'],
    ];
    const result = await runCli([...flags, '.'], { library: { build: async () => buildResult() } });
    expect(result.status).toBe(0);
    const notes = result.stderr.split('\n').filter((line) => line.startsWith('note: '));
    expect(notes).toHaveLength(10);
    expect(notes).toContain('note: --squash is accepted, but is not in this version');
    expect(notes).toContain('note: --cgroup-parent is accepted, but has no effect here');
    expect(result.stdout).toBe('');
  });

  test('get no note where they ask for what is so anyway', async () => {
    const argv = ['--rm=false', '--provenance=false', '--sbom=false', '.'];
    const result = await runCli(argv, { library: { build: async () => buildResult() } });
    expect(result.stderr).not.toContain('note:');
  });
});

test('C-IN-8: arguments from a file, which the command line overrules', async () => {
  await using temp = await makeTempDir();
  const path = join(temp.path, 'args');
  await writeFile(path, '# comment\nA=1\r\n\n  B=x=y # kept\nFROM_ENV\nUNSET\n');
  const seen: unknown[] = [];
  const library = {
    build: (options: BuildOptions) => {
      seen.push(options.buildArgs);
      return Promise.reject(new Error('seen'));
    },
  };
  await runCli(['--build-arg', 'A=2', '--build-arg-file', path, '.'], { library, env: { FROM_ENV: 'e' } });
  expect(seen).toEqual([{ A: '2', B: 'x=y # kept', FROM_ENV: 'e' }]);
});
