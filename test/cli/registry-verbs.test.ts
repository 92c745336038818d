import { describe, expect, test } from 'vitest';
import type * as api from '../../src/index.ts';
import { digest, runCli } from './fake-context.ts';

type Seen = Record<string, unknown>;
const descriptor = { mediaType: 'application/vnd.oci.image.index.v1+json', digest, size: 3 };

/** What the library is asked for by a command line. */
async function asked(
  name: keyof typeof api,
  result: unknown,
  argv: readonly string[],
): Promise<Seen & { stdout: string }> {
  let seen: Seen = {};
  const library = {
    [name]: (options: Seen) => {
      seen = options;
      return Promise.resolve(result);
    },
  } as Partial<typeof api>;
  const ran = await runCli(argv, { library });
  expect({ status: ran.status, stderr: ran.stderr }).toEqual({ status: 0, stderr: ran.stderr });
  return { ...seen, stdout: ran.stdout };
}

const usage = async (...argv: readonly string[]): Promise<string> => {
  const result = await runCli(argv);
  expect(result.status).toBe(2);
  return result.stderr;
};

test('copy: places, platforms, credentials of the destination', async () => {
  const argv = ['copy', '-q', '--platform', 'linux/amd64,linux/arm64', '--platform', 'linux/s390x'];
  const seen = await asked('copyImage', descriptor, [...argv, '--creds', 'me:pw', 'oci:a:b', 'quay.io/c/d']);
  expect(seen).toMatchObject({
    source: 'oci:a:b',
    destination: 'quay.io/c/d',
    platforms: ['linux/amd64', 'linux/arm64', 'linux/s390x'],
    credentials: { 'quay.io': { username: 'me', password: 'pw' } },
    stdout: `${digest}\n`,
  });
  const into = await asked('copyImage', descriptor, [
    'copy',
    '-q',
    '--creds',
    'me:pw',
    'quay.io/c',
    'store:x',
  ]);
  expect(into).toMatchObject({ credentials: { 'quay.io': { username: 'me', password: 'pw' } } });
});

describe('--creds', () => {
  test.each([
    [['--creds', 'me:pw'], { 'docker.io': { username: 'me', password: 'pw' } }],
    [['--creds', 'quay.io=me:p=w:x@y'], { 'quay.io': { username: 'me', password: 'p=w:x@y' } }],
    [['--creds', 'localhost:5000=me:pw'], { 'localhost:5000': { username: 'me', password: 'pw' } }],
    [['--creds', 'me:12=3'], { 'docker.io': { username: 'me', password: '12=3' } }],
    [
      ['--creds', 'a.io=me:1', '--creds', 'b.io:1=you:2'],
      { 'a.io': { username: 'me', password: '1' }, 'b.io:1': { username: 'you', password: '2' } },
    ],
  ])('%j', async (flags, credentials) => {
    const seen = await asked('listTags', ['1'], ['ls', ...flags, 'library/alpine']);
    expect(seen).toMatchObject({ repository: 'library/alpine', credentials });
  });

  test.each(['me', 'quay.io=me', ':pw', 'me:'])('not understood, and not shown: %s', async (text) => {
    const said = await usage('ls', '--creds', text, 'a');
    expect(said).toContain('`--creds` is not understood');
    expect(said).not.toContain('pw');
  });

  test('without a registry, in a build without a name', async () => {
    expect(await usage('build', '--creds', 'me:pw', '.')).toContain('does not say for which registry');
  });
});

test('C-RE-2, C-RE-3, C-RE-4: how registries are reached', async () => {
  const flags = [
    '--ca',
    'a.pem',
    '--ca',
    'b.pem',
    '--hosts-dir',
    '/h',
    '--insecure-registry',
    'x.io',
    '--registry-mirror',
    'm.io',
  ];
  expect(await asked('listTags', [], ['ls', ...flags, 'a'])).toMatchObject({
    certificateAuthorities: ['a.pem', 'b.pem'],
    registryFiles: { hostsDirectories: ['/h'] },
    insecureRegistries: ['x.io'],
    registryMirrors: { 'docker.io': ['m.io'] },
  });
  const buildkit = ['--buildkitd-config', 'b.toml', '--skip-default-registry-fallback'];
  expect(await asked('listTags', [], ['ls', ...buildkit, 'a'])).toMatchObject({
    registryFiles: { buildkitdConfig: 'b.toml' },
    mirrorsOnly: true,
  });
  const none = await asked('listTags', [], ['ls', '--no-registry-files', '--insecure', 'a']);
  expect(none).toMatchObject({ registryFiles: false, insecureRegistries: ['*'] });
  const plain = await asked('listTags', [], ['ls', 'a']);
  expect(plain['registryFiles']).toBeUndefined();
});

test('ls, digest, referrers', async () => {
  expect((await asked('listTags', ['1', '2'], ['ls', 'a'])).stdout).toBe('1\n2\n');
  const found = await asked('imageDigest', digest, ['digest', '--platform', 'linux/arm64', 'store:a']);
  expect(found).toMatchObject({ image: 'store:a', platform: 'linux/arm64', stdout: `${digest}\n` });
  const referrers = [{ ...descriptor, artifactType: 'x/y\u001b[31m' }, descriptor];
  const listed = await asked('listReferrers', { subject: digest, referrers }, [
    'referrers',
    '--artifact-type',
    'x/y',
    'a',
  ]);
  expect(listed).toMatchObject({ image: 'a', artifactType: 'x/y' });
  expect(listed.stdout).not.toContain('\u001b');
  expect(listed.stdout.split('\n')).toHaveLength(3);
  const json = await asked('listReferrers', { subject: digest, referrers: [] }, ['referrers', '--json', 'a']);
  expect(JSON.parse(json.stdout)).toEqual({ subject: digest, referrers: [] });
});

test('manifest inspect and create', async () => {
  const document = { schemaVersion: 2 };
  const made = { descriptor, bytes: Buffer.from('{"schemaVersion":2}'), document };
  const raw = await asked('inspectManifest', made, ['manifest', 'inspect', '--raw', 'a']);
  expect(raw.stdout).toBe('{"schemaVersion":2}');
  const shown = await asked('inspectManifest', made, [
    'manifest',
    'inspect',
    '--platform',
    'linux/arm64',
    'a',
  ]);
  expect(shown).toMatchObject({
    image: 'a',
    platform: 'linux/arm64',
    stdout: '{\n  "schemaVersion": 2\n}\n',
  });
  const flags = [
    '-q',
    '-t',
    'q.io/w:1',
    '-t',
    'q.io/w:2',
    '--append',
    '--annotation',
    'a=b',
    '--annotation',
    '__proto__=e',
    '--annotation',
    'index,manifest-descriptor[linux/arm64]:c=d',
    '--platform',
    'y=linux/arm/v7',
  ];
  const seen = await asked('createIndex', made, ['manifest', 'create', ...flags, 'x', 'y']);
  expect(seen).toMatchObject({
    names: ['q.io/w:1', 'q.io/w:2'],
    sources: ['x', 'y'],
    append: true,
    annotations: { a: 'b', ['__proto__']: 'e', c: 'd' },
    descriptorAnnotations: [{ platform: 'linux/arm64', name: 'c', value: 'd' }],
    platforms: { y: 'linux/arm/v7' },
    stdout: `${digest}\n`,
  });
  const dry = await asked('createIndex', made, ['manifest', 'create', '-q', '--dry-run', 'x']);
  expect(JSON.parse(dry.stdout)).toEqual(document);
  expect(await usage('manifest', 'create', '-t', 'n', '--annotation', 'manifest:a=b', 'x')).toContain(
    'set when it is built',
  );
  expect(await usage('manifest', 'create', '-t', 'n', '--annotation', 'a', 'x')).toContain('well formed');
  expect(await asked('deleteManifest', undefined, ['manifest', 'rm', 'q.io/w:1'])).toMatchObject({
    image: 'q.io/w:1',
    stdout: 'q.io/w:1\n',
  });
  expect(await usage('manifest', 'creat', 'x')).toContain('did you mean `create`');
  expect(await usage('manifest', 'q.io/w:1')).toContain('known are inspect, create, rm');
  expect(await usage('manifest', 'rm')).toContain('needs the name of an image');
  expect(await usage('manifest', 'create', 'x')).toContain('the index has no name');
  expect(await usage('manifest', 'create', '-t', 'n', '--platform', 'z=linux/arm64', 'x')).toContain(
    'none of the images',
  );
  expect(await usage('manifest', 'inspect', 'x', 'y')).toContain('takes one image');
});

test('attach', async () => {
  const argv = [
    'attach',
    '-q',
    '--artifact-type',
    'x/y',
    '--annotation',
    'k=v',
    'a',
    'f.json:application/json',
    'g',
    'h:1',
  ];
  expect(await asked('attachArtifact', descriptor, argv)).toMatchObject({
    image: 'a',
    artifactType: 'x/y',
    files: [{ path: 'f.json', mediaType: 'application/json' }, { path: 'g' }, { path: 'h:1' }],
    annotations: { k: 'v' },
    stdout: `${digest}\n`,
  });
  expect(await usage('attach', 'a', 'f')).toContain('needs --artifact-type');
});

test('words that are in the wrong place are shown where they belong', async () => {
  expect(await usage('load', 'a.tar')).toContain(
    'too many arguments\n  = hint: write `tsbuild load [options]`',
  );
  expect(await usage('--no-registry-files', 'digest', 'x')).toContain('a command stands before its options');
  expect(await usage('cp', 'a', 'b')).toContain('`tsbuild copy` copies images');
  expect(await usage('tags', 'a')).toContain('`tsbuild ls REPOSITORY`');
});

test.each([
  ['login', '--creds', 'me:pw'],
  ['login', '--registry-mirror', 'm.io'],
  ['ls', '--allow-nondistributable-artifacts', 'x.io'],
  ['referrers', '--allow-nondistributable-artifacts', 'x.io'],
  ['pull', '--allow-nondistributable-artifacts', 'x.io'],
])('%s takes nothing that has no effect there: %s', async (verb, flag, value) => {
  expect(await usage(verb, flag, value, 'a')).toContain(`unknown option \`${flag}`);
});

test('what a file says in vain is told by verbs without progress as well', async () => {
  const diagnostic = {
    severity: 'warning',
    rule: 'UnknownKey',
    message: 'f: `mirors`',
    hint: 'did you mean x?',
  };
  const listTags = ({ onEvent }: api.CommonOptions) => {
    onEvent?.({ type: 'diagnostic', diagnostic: diagnostic as api.Diagnostic });
    return Promise.resolve(['1']);
  };
  expect(await runCli(['ls', 'a'], { library: { listTags } })).toMatchObject({
    ...{ status: 0, stdout: '1\n', stderr: 'warning: f: `mirors`: did you mean x?\n' },
  });
});
