import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseReference } from '../../src/oci/reference.ts';
import { openRegistryFiles, registryPlaces } from '../../src/registry/configuration.ts';
import type { RegistryPlaces } from '../../src/registry/configuration.ts';
import { endpointsOf } from '../../src/registry/endpoints.ts';
import type { Endpoints } from '../../src/registry/endpoints.ts';
import { testClient } from '../support/registry-client.ts';
import { tempFolder } from '../support/temp.ts';

interface Machine extends AsyncDisposable {
  readonly folder: string;
  readonly places: RegistryPlaces;
  endpoints(name: string): Promise<Endpoints>;
}

/** A machine with these files below a folder. */
async function machine(files: Readonly<Record<string, string>>): Promise<Machine> {
  const folder = await tempFolder('machine');
  for (const [name, text] of Object.entries(files)) {
    const path = join(folder.path, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text.replaceAll('$DIR', folder.path));
  }
  const places: RegistryPlaces = {
    hostsDirectories: [join(folder.path, 'own-certs.d'), join(folder.path, 'certs.d')],
    buildkitd: [join(folder.path, 'own-buildkitd.toml'), join(folder.path, 'buildkitd.toml')],
    registriesConf: [join(folder.path, 'own.conf'), join(folder.path, 'registries.conf')],
    registriesConfDirectories: [join(folder.path, 'registries.conf.d')],
    dockerDaemon: [join(folder.path, 'daemon.json')],
  };
  const opened = openRegistryFiles(places);
  return {
    folder: folder.path,
    places,
    endpoints: async (name) => {
      const reference = parseReference(name);
      return endpointsOf(reference, await opened.of(reference.registry));
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const hosts = async (here: Machine, name: string): Promise<readonly string[]> =>
  (await here.endpoints(name)).read.map(({ host, repository }) => `${host}/${repository}`);

test('R-MIR-1: the usual places, the user’s before the system’s', () => {
  const places = registryPlaces({ HOME: '/home/me' });
  expect(places.hostsDirectories).toEqual(['/home/me/.config/containerd/certs.d', '/etc/containerd/certs.d']);
  expect(places.registriesConf).toEqual([
    '/home/me/.config/containers/registries.conf',
    '/etc/containers/registries.conf',
  ]);
  expect(registryPlaces({ XDG_CONFIG_HOME: '/x' }).dockerDaemon).toEqual([
    '/etc/docker/daemon.json',
    '/x/docker/daemon.json',
  ]);
  // A checkout's own folder says nothing.
  expect(registryPlaces({ XDG_CONFIG_HOME: '.config', HOME: '/home/me' })).toEqual(places);
  expect(registryPlaces({ XDG_CONFIG_HOME: 'x' })).toEqual(registryPlaces({}));
  expect(registryPlaces({ CONTAINERS_REGISTRIES_CONF: '/r' }).registriesConf).toEqual(['/r']);
  expect(registryPlaces({}).hostsDirectories).toEqual(['/etc/containerd/certs.d']);
  expect(places.buildkitd).toEqual([
    '/home/me/.docker/buildx/buildkitd.default.toml',
    '/home/me/.config/buildkit/buildkitd.toml',
    '/etc/buildkit/buildkitd.toml',
  ]);
  const buildx = { BUILDX_CONFIG: '/b', DOCKER_CONFIG: '/d' };
  expect(registryPlaces(buildx).buildkitd[0]).toBe('/b/buildkitd.default.toml');
  expect(registryPlaces({ DOCKER_CONFIG: '/d' }).buildkitd[0]).toBe('/d/buildx/buildkitd.default.toml');
});

test('R-MIR-1: no files: the registry itself', async () => {
  await using here = await machine({});
  expect(await hosts(here, 'alpine')).toEqual(['registry-1.docker.io/library/alpine']);
});

describe('hosts.toml', () => {
  test('R-MIR-1: all that it can say', async () => {
    await using here = await machine({
      'certs.d/r.io/hosts.toml': `
server = "https://s.io"
[host."https://m.io:5000/hub"]
  capabilities = ["pull", "resolve"]
  ca = "ca.pem"
  client = [["/a.cert", "/a.key"], ["/b.pem", ""]]
  skip_verify = true
  [host."https://m.io:5000/hub".header]
    X-One = "1"
    x-two = ["a", "b"]
[host."http://n.io"]
  override_path = true
  ca = ["/x.pem", "/y.pem"]
`,
    });
    const { read, write } = await here.endpoints('r.io/a');
    expect(read).toHaveLength(3);
    expect(read[0]).toEqual({
      name: 'm.io:5000',
      host: 'm.io:5000',
      scheme: 'https',
      root: '/hub/v2',
      repository: 'a',
      insecure: true,
      tls: {
        ca: [join(here.folder, 'certs.d/r.io/ca.pem')],
        clients: [
          { cert: '/a.cert', key: '/a.key' },
          { cert: '/b.pem', key: '/b.pem' },
        ],
        unchecked: true,
      },
      headers: { 'x-one': '1', 'x-two': 'a, b' },
      namespace: 'r.io',
    });
    expect(read[1]).toMatchObject({ host: 'n.io', scheme: 'http', root: '', insecure: false });
    expect(read[1]?.tls?.ca).toEqual(['/x.pem', '/y.pem']);
    expect(write).toMatchObject({ name: 's.io', host: 's.io', repository: 'a' });
  });

  test('R-MIR-1: the folder of a host with a port, of Docker Hub, and _default', async () => {
    const toml = (host: string): string => `[host."https://${host}"]\n`;
    await using here = await machine({
      'certs.d/r.io:5000/hosts.toml': toml('five.io'),
      'certs.d/r.io_6000_/hosts.toml': toml('six.io'),
      'certs.d/docker.io/hosts.toml': toml('hub.io'),
      'certs.d/_default/hosts.toml': toml('default.io'),
      'own-certs.d/both.io/hosts.toml': toml('own.io'),
      'certs.d/both.io/hosts.toml': toml('system.io'),
    });
    expect(await hosts(here, 'r.io:5000/a')).toEqual(['five.io/a', 'r.io:5000/a']);
    expect(await hosts(here, 'r.io:6000/a')).toEqual(['six.io/a', 'r.io:6000/a']);
    expect(await hosts(here, 'alpine')).toEqual([
      'hub.io/library/alpine',
      'registry-1.docker.io/library/alpine',
    ]);
    expect(await hosts(here, 'r.io/a')).toEqual(['default.io/a', 'r.io/a']);
    expect(await hosts(here, 'both.io/a')).toEqual(['own.io/a', 'both.io/a']);
  });

  test('R-MIR-1: settings without `server` are those of the registry itself', async () => {
    await using here = await machine({ 'certs.d/r.io/hosts.toml': 'ca = "/ca.pem"\n' });
    const { read } = await here.endpoints('r.io/a');
    expect(read).toEqual([
      expect.objectContaining({ name: 'r.io', host: 'r.io', namespace: undefined, scheme: 'https' }),
    ]);
    expect(read[0]?.tls?.ca).toEqual(['/ca.pem']);
  });

  test.each([
    ['no TOML', 'server = '],
    ['a host that is no table', 'host = { "https://m.io" = 1 }'],
    ['a host that is no URL', '[host."https://m io"]'],
    ['credentials in a URL', '[host."https://me:pw@m.io"]'],
    ['another scheme', 'server = "ftp://m.io"'],
    ['an unknown capability', 'capabilities = ["pul"]'],
    ['capabilities of a wrong kind', 'capabilities = true'],
    ['ca of a wrong kind', 'ca = 1'],
    ['client of a wrong kind', 'client = [[1]]'],
    ['skip_verify of a wrong kind', 'skip_verify = "yes"'],
    ['a header with a line break', '[header]\nx = "a\\r\\nb"'],
    ['a header that frames', '[header]\nTransfer-Encoding = "chunked"'],
    ['a table that is a list', '[[host]]'],
  ])('broken: %s', async (_, text) => {
    await using here = await machine({ 'certs.d/r.io/hosts.toml': text });
    const error: unknown = await here.endpoints('r.io/a').catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(String(error)).toContain('hosts.toml');
    expect(String(error)).not.toContain('pw');
    // Nothing that another registry needs.
    expect(await hosts(here, 'other.io/a')).toEqual(['other.io/a']);
  });
});

describe('registries.conf', () => {
  test('R-MIR-1: rules, mirrors and drop-ins', async () => {
    await using here = await machine({
      'registries.conf': `
unqualified-search-registries = ["evil.io"]
short-name-mode = "enforcing"
[[registry]]
location = "one.io"
[[registry.mirror]]
location = "m.io/one"
insecure = true
[[registry.mirror]]
location = "n.io"
pull-from-mirror = "digest-only"
[[registry]]
prefix = "two.io/team"
location = "three.io"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m.io"
[[registry]]
prefix = "*.four.io"
blocked = true
`,
      'registries.conf.d/10.conf': '[[registry]]\nlocation = "five.io"\nblocked = true\n',
      'registries.conf.d/20.conf':
        '[[registry]]\nlocation = "five.io"\n[aliases]\nfedora = "fed.io/f"\ngone = "g.io/g"\n',
      'registries.conf.d/30.conf': '[aliases]\ngone = ""\n',
      'registries.conf.d/ignored.txt': 'not toml',
    });
    const digest = `sha256:${'a'.repeat(64)}`;
    expect(await hosts(here, 'one.io/a')).toEqual(['m.io/one/a', 'one.io/a']);
    expect(await hosts(here, `one.io/a@${digest}`)).toEqual(['m.io/one/a', 'n.io/a', 'one.io/a']);
    expect(await hosts(here, 'two.io/team/a')).toEqual(['three.io/a']);
    expect(await hosts(here, `two.io/team/a@${digest}`)).toEqual(['m.io/a', 'three.io/a']);
    await expect(here.endpoints('x.four.io/a')).rejects.toMatchObject({ code: 'REGISTRY_BLOCKED' });
    expect(await hosts(here, 'five.io/a')).toEqual(['five.io/a']);
    // Docker Hub's short names stay Docker Hub's.
    expect(await hosts(here, 'alpine')).toEqual(['registry-1.docker.io/library/alpine']);
    const { aliases } = await openRegistryFiles(here.places).registriesConf();
    expect([...aliases.keys()]).toEqual(['fedora']);
    expect(aliases.get('fedora')?.name).toMatchObject({ registry: 'fed.io', repository: 'f' });
  });

  test('the user’s file replaces the system’s', async () => {
    await using here = await machine({
      'own.conf': '[[registry]]\nprefix = "a.io"\nlocation = "own.io"\n',
      'registries.conf': '[[registry]]\nprefix = "a.io"\nlocation = "system.io"\n',
    });
    expect(await hosts(here, 'a.io/x')).toEqual(['own.io/x']);
  });

  test.each([
    ['no TOML', '[[registry'],
    ['version 1', '[registries.search]\nregistries = ["a.io"]'],
    ['neither prefix nor location', '[[registry]]\ninsecure = true'],
    ['a prefix without a location', '[[registry]]\nprefix = "a.io"'],
    ['a scheme', '[[registry]]\nlocation = "https://a.io"'],
    ['a prefix with blanks', '[[registry]]\nprefix = "a b"\nlocation = "a.io"'],
    ['a wildcard in the middle', '[[registry]]\nprefix = "a.*.io"\nlocation = "a.io"'],
    ['insecure of a wrong kind', '[[registry]]\nlocation = "a.io"\ninsecure = 1'],
    ['blocked of a wrong kind', '[[registry]]\nlocation = "a.io"\nblocked = "yes"'],
    ['a mirror without a location', '[[registry]]\nlocation = "a.io"\n[[registry.mirror]]\ninsecure = true'],
    [
      'an unknown pull-from-mirror',
      '[[registry]]\nlocation = "a.io"\n[[registry.mirror]]\nlocation = "m.io"\npull-from-mirror = "never"',
    ],
    ['an alias without a registry', '[aliases]\na = "b/c"'],
    ['an alias with a tag', '[aliases]\na = "b.io/c:1"'],
    ['an alias of a wrong kind', '[aliases]\na = 1'],
  ])('broken: %s', async (_, text) => {
    await using here = await machine({ 'registries.conf.d/x.conf': text });
    await expect(here.endpoints('r.io/a')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

describe('daemon.json', () => {
  test('R-MIR-1, R-PULL-4, C-RE-3: mirrors of Docker Hub and insecure registries', async () => {
    await using here = await machine({
      'daemon.json': JSON.stringify({
        'registry-mirrors': ['https://m.io/'],
        'insecure-registries': ['10.0.0.0/8', 'plain.io:5000'],
        'allow-nondistributable-artifacts': ['10.0.0.0/8', 'own.io'],
        debug: true,
      }),
    });
    expect(await hosts(here, 'alpine')).toEqual([
      'm.io/library/alpine',
      'registry-1.docker.io/library/alpine',
    ]);
    expect(await hosts(here, 'ghcr.io/a')).toEqual(['ghcr.io/a']);
    expect((await here.endpoints('10.9.8.7/a')).write.insecure).toBe(true);
    expect((await here.endpoints('plain.io:5000/a')).write.insecure).toBe(true);
    expect((await here.endpoints('plain.io/a')).write.insecure).toBe(false);
    await using client = testClient({ files: here.places, nondistributable: ['asked.io'] });
    const takes = (registry: string): Promise<boolean> =>
      client.takesNondistributable({ registry, repository: 'a' });
    for (const registry of ['10.9.8.7:5000', 'own.io:5000', 'asked.io'])
      expect(await takes(registry)).toBe(true);
    for (const registry of ['docker.io', 'not.io']) expect(await takes(registry)).toBe(false);
  });

  test.each([
    ['no JSON', '{'],
    ['mirrors of a wrong kind', '{"registry-mirrors": "https://m.io"}'],
    ['insecure registries of a wrong kind', '{"insecure-registries": [1]}'],
  ])('broken: %s', async (_, text) => {
    await using here = await machine({ 'daemon.json': text });
    await expect(here.endpoints('alpine')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

describe('R-MIR-1: buildkitd.toml', () => {
  test('R-MIR-1: all that it can say of a registry and of its mirrors', async () => {
    await using here = await machine({
      'certs/a.crt': 'x',
      'certs/b.cert': 'x',
      'certs/b.key': 'x',
      'buildkitd.toml': `
debug = true
[worker.oci]
  gc = true
[registry."docker.io"]
  mirrors = ["plain.io:5000", "m.io/proxy", "unknown.io"]
[registry."plain.io:5000"]
  http = true
[registry."m.io"]
  insecure = true
  ca = ["/m.pem", "beside.pem"]
  [[registry."m.io".keypair]]
    key = "/m.key"
    cert = "/m.cert"
[registry."either.io"]
  http = true
  insecure = true
[registry."localhost:5000"]
  ca = "/l.pem"
[registry."localhost:5001"]
  http = false
[registry."folder.io"]
  tlsconfigdir = ["certs"]
`,
    });
    const place = async (name: string, index = 0): Promise<unknown> =>
      (await here.endpoints(name)).read[index];
    expect(await hosts(here, 'alpine')).toEqual([
      'plain.io:5000/library/alpine',
      'm.io/proxy/library/alpine',
      'unknown.io/library/alpine',
      'registry-1.docker.io/library/alpine',
    ]);
    expect((await here.endpoints('alpine')).write).toMatchObject({ name: 'docker.io' });
    expect(await place('alpine')).toMatchObject({ scheme: 'http', insecure: false, tls: undefined });
    const beside = join(here.folder, 'beside.pem');
    const unchecked = {
      ...{ scheme: 'https', insecure: true },
      tls: { ca: ['/m.pem', beside], clients: [{ cert: '/m.cert', key: '/m.key' }], unchecked: true },
    };
    expect(await place('alpine', 1)).toMatchObject(unchecked);
    expect(await place('m.io/x')).toMatchObject(unchecked);
    const none = { ca: [], clients: [], unchecked: true };
    expect(await place('either.io/x')).toMatchObject({ scheme: undefined, insecure: true, tls: none });
    const local = { ca: ['/l.pem'], clients: [], unchecked: false };
    expect(await place('localhost:5000/x')).toMatchObject({ scheme: undefined, insecure: false, tls: local });
    expect(await place('localhost:5001/x')).toMatchObject({ scheme: 'https' });
    const { folder } = here;
    const clients = [{ cert: join(folder, 'certs/b.cert'), key: join(folder, 'certs/b.key') }];
    expect(await place('folder.io/x')).toMatchObject({ tls: { ca: [join(folder, 'certs/a.crt')], clients } });
  });

  test('R-MIR-1: the first file counts, after hosts.toml and before registries.conf', async () => {
    const file = (...mirrors: readonly string[]): string =>
      mirrors.map((mirror) => `[registry."${mirror[0]}.io"]\nmirrors = ["${mirror}"]\n`).join('');
    await using here = await machine({
      'own-buildkitd.toml': file('a-own.io', 'b-own.io'),
      'buildkitd.toml': file('a-etc.io', 'c-etc.io'),
      'certs.d/b.io/hosts.toml': '[host."https://b-hosts.io"]\n',
      'registries.conf': ['a', 'c']
        .map(
          (name) =>
            `[[registry]]\nlocation = "${name}.io"\n[[registry.mirror]]\nlocation = "${name}-conf.io"\n`,
        )
        .join(''),
    });
    const first = async (name: string): Promise<string | undefined> => (await hosts(here, name))[0];
    expect(await first('a.io/x')).toBe('a-own.io/x');
    expect(await first('b.io/x')).toBe('b-hosts.io/x');
    expect(await first('c.io/x')).toBe('c-conf.io/x');
  });

  test.each([
    ['no TOML', '[registry'],
    ['a registry that is no table', 'registry."a.io" = 1'],
    ['mirrors of a wrong kind', '[registry."a.io"]\nmirrors = [1]'],
    ['no mirror', '[registry."a.io"]\nmirrors = ["m.io/../x y"]'],
    ['an empty mirror', '[registry."a.io"]\nmirrors = [""]'],
    ['http that is no boolean', '[registry."a.io"]\nhttp = "yes"'],
    ['a certificate without its key', '[registry."a.io"]\n[[registry."a.io".keypair]]\ncert = "x"'],
    ['no such folder', '[registry."a.io"]\ntlsconfigdir = ["none"]'],
    ['too large', `# ${'x'.repeat(1024 * 1024)}`],
  ])('R-MIR-1: broken: %s', async (_, text) => {
    await using here = await machine({ 'buildkitd.toml': text });
    await expect(here.endpoints('b.io/x')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('buildkitd.toml') as string,
    });
  });

  test('R-MIR-1: a FIFO in its place is not waited for', async () => {
    await using here = await machine({});
    execFileSync('mkfifo', [join(here.folder, 'buildkitd.toml')]);
    await expect(here.endpoints('b.io/x')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

test('keys that nothing reads are told once, with the nearest that is read; what concerns others is not', async () => {
  await using here = await machine({
    'buildkitd.toml': [
      'root = "/var/lib/buildkit"\nconstructor = 1\n[worker.oci]\nenabled = true\n[grpc]\naddress = ["unix:///x"]',
      '[registry."docker.io"]\nmirors = ["m.example"]\n[[registry."docker.io".keypair]]\ncert = "c"\nkey = "k"\nkeys = "k"',
      '[registy."ghcr.io"]\nhttp = true',
    ].join('\n'),
    'certs.d/_default/hosts.toml':
      '[host."https://m.example"]\ncapabilites = ["pull"]\ndial_timeout = "1s"\n',
    'registries.conf':
      'unqualified-search-registries = ["docker.io"]\n[[registry]]\nlocation = "a.example"\nblokced = true\n[[registry.mirror]]\nlocation = "m.example"\nwhatever = 1\n[aliases]\nx = "a.example/x"\n',
  });
  const found: string[] = [];
  const files = openRegistryFiles(here.places, ({ message, hint }) => found.push(`${message} | ${hint}`));
  for (const registry of ['docker.io', 'ghcr.io', 'docker.io']) await files.of(registry);
  const unread = (file: string, key: string, near?: string): string =>
    `${join(here.folder, file)}: \`${key}\` is not known and has no effect | ${near === undefined ? undefined : `did you mean \`${near}\`?`}`;
  expect(found.toSorted()).toEqual(
    [
      unread('buildkitd.toml', 'registry."docker.io".mirors', 'mirrors'),
      unread('buildkitd.toml', 'registry."docker.io".keypair.keys', 'key'),
      unread('buildkitd.toml', 'registy', 'registry'),
      unread('certs.d/_default/hosts.toml', 'host."https://m.example".capabilites', 'capabilities'),
      unread('registries.conf', 'registry.blokced', 'blocked'),
      unread('registries.conf', 'registry.mirror.whatever'),
    ].toSorted(),
  );
});

test('a thousand unknown keys are ten warnings', async () => {
  const keys = Array.from({ length: 1000 }, (_, index) => `key${index} = 1\n`).join('');
  await using here = await machine({ 'certs.d/docker.io/hosts.toml': keys });
  const found: unknown[] = [];
  await openRegistryFiles(here.places, (warning) => found.push(warning)).of('docker.io');
  expect(found).toHaveLength(10);
});
