import { describe, expect, test } from 'vitest';
import { endpointsOf } from '../../src/registry/endpoints.ts';
import type { EndpointAddress, RegistryConfiguration } from '../../src/registry/endpoints.ts';
import type { HostSettings } from '../../src/registry/hosts-toml.ts';
import type { RegistryRule } from '../../src/registry/registries-conf.ts';
import { parseReference } from '../../src/oci/reference.ts';
import { BuildError } from '../../src/util/build-error.ts';

const digest = `sha256:${'a'.repeat(64)}`;

/** `[scheme://]host/root/repository`, with `!` where it may be plain. */
function show({ scheme, host, root, repository, insecure }: EndpointAddress): string {
  return `${scheme === undefined ? '' : `${scheme}://`}${host}${root === '/v2' ? '' : root} ${repository}${insecure ? ' !' : ''}`;
}

const reads = (name: string, configuration: RegistryConfiguration): readonly string[] =>
  endpointsOf(parseReference(name), configuration).read.map(show);
const writes = (name: string, configuration: RegistryConfiguration): string =>
  show(endpointsOf(parseReference(name), configuration).write);

const host = (url: string, more: Partial<HostSettings> = {}): HostSettings => ({
  url,
  capabilities: ['pull', 'resolve'],
  ...{ ca: [], clients: [], skipVerify: false, overridePath: false, headers: {} },
  ...more,
});
const rule = (prefix: string, more: Partial<RegistryRule> = {}): RegistryRule => ({
  ...{ prefix, location: prefix.startsWith('*.') ? undefined : prefix },
  ...{ insecure: false, blocked: false, mirrors: [], source: 'registries.conf' },
  ...more,
});
const mirror = (location: string, more: object = {}): RegistryRule['mirrors'][number] => ({
  ...{ location, insecure: false, pull: 'all' },
  ...more,
});

describe('nothing is configured', () => {
  test.each([
    ['alpine', 'registry-1.docker.io library/alpine'],
    ['docker.io/a/b:1', 'registry-1.docker.io a/b'],
    ['ghcr.io/a/b', 'ghcr.io a/b'],
    ['localhost/a', 'localhost a'],
    ['localhost:5000/a', 'localhost:5000 a'],
    [`quay.io/a/b@${digest}`, 'quay.io a/b'],
  ])('%s', (name, place) => {
    expect(reads(name, {})).toEqual([place]);
    expect(writes(name, {})).toBe(place);
  });
});

describe('R-NAME-1, C-RE-3: insecure hosts', () => {
  test.each([
    ['r.io', 'r.io/a', true],
    ['r.io', 'r.io:5000/a', true],
    ['r.io:5000', 'r.io:5000/a', true],
    ['r.io:5000', 'r.io/a', false],
    ['r.io:5000', 'r.io:5001/a', false],
    ['r.io', 'x.r.io/a', false],
    ['http://r.io/', 'r.io/a', true],
    ['10.0.0.0/8', '10.1.2.3:5000/a', true],
    ['10.0.0.0/8', '11.1.2.3/a', false],
    ['10.0.0.0/8', 'r10.io/a', false],
    ['10.0.0.0/99', '10.1.2.3/a', false],
    ['10.0.0.0/', '10.1.2.3/a', false],
    ['fd00::/8', '[fd00::1]:5000/a', true],
    ['fd00::/8', '[fe00::1]:5000/a', false],
    ['docker.io', 'alpine', true],
    ['registry-1.docker.io', 'alpine', true],
  ])('%s in the list: %s is %s', (entry, name, insecure) => {
    const [read] = endpointsOf(parseReference(name), { insecure: [entry] }).read;
    expect(read?.insecure).toBe(insecure);
    expect(read?.tls?.unchecked ?? false).toBe(insecure);
  });
});

describe('R-MIR-1, C-RE-4: mirrors of the caller and of docker', () => {
  const hub = 'registry-1.docker.io library/alpine';
  test.each<[string, RegistryConfiguration, string, readonly string[]]>([
    ['one', { mirrors: { 'docker.io': ['m.io'] } }, 'alpine', ['m.io library/alpine', hub]],
    [
      'two',
      { mirrors: { 'docker.io': ['m.io', 'n.io:1'] } },
      'alpine',
      ['m.io library/alpine', 'n.io:1 library/alpine', hub],
    ],
    ['a prefix', { mirrors: { 'docker.io': ['m.io/hub/'] } }, 'alpine', ['m.io hub/library/alpine', hub]],
    [
      'with a scheme',
      { mirrors: { 'docker.io': ['http://m.io'] } },
      'alpine',
      ['http://m.io library/alpine', hub],
    ],
    [
      'with https',
      { mirrors: { 'docker.io': ['https://m.io'] } },
      'alpine',
      ['https://m.io library/alpine', hub],
    ],
    ['another registry', { mirrors: { 'docker.io': ['m.io'] } }, 'ghcr.io/a', ['ghcr.io a']],
    ['of another registry', { mirrors: { 'ghcr.io': ['m.io'] } }, 'ghcr.io/a', ['m.io a', 'ghcr.io a']],
    [
      'an insecure one',
      { mirrors: { 'docker.io': ['m.io'] }, insecure: ['m.io'] },
      'alpine',
      ['m.io library/alpine !', hub],
    ],
    ['docker’s', { dockerMirrors: ['https://d.io/'] }, 'alpine', ['https://d.io library/alpine', hub]],
    ['docker’s are for Hub', { dockerMirrors: ['https://d.io'] }, 'ghcr.io/a', ['ghcr.io a']],
    [
      'the caller’s before docker’s',
      { mirrors: { 'docker.io': ['m.io'] }, dockerMirrors: ['d.io'] },
      'alpine',
      ['m.io library/alpine', 'd.io library/alpine', hub],
    ],
  ])('%s', (_, configuration, name, places) => {
    expect(reads(name, configuration)).toEqual(places);
    expect(writes(name, configuration)).toBe(places.at(-1));
  });
});

describe('R-MIR-1: hosts.toml', () => {
  const file = (hosts: readonly HostSettings[], server?: HostSettings): RegistryConfiguration => ({
    hostsFile: { source: 'hosts.toml', hosts, server },
  });
  const full = (url: string): HostSettings => host(url, { capabilities: ['pull', 'resolve', 'push'] });
  test.each<[string, RegistryConfiguration, string, readonly string[], string]>([
    [
      'a host, then the registry',
      file([host('https://m.io')]),
      'r.io/a',
      ['https://m.io a', 'r.io a'],
      'r.io a',
    ],
    [
      'in order',
      file([host('https://m.io'), host('http://n.io:80')]),
      'r.io/a',
      ['https://m.io a', 'http://n.io a', 'r.io a'],
      'r.io a',
    ],
    ['a server instead', file([], full('https://s.io')), 'r.io/a', ['https://s.io a'], 'https://s.io a'],
    ['a path', file([host('https://m.io/hub')]), 'r.io/a', ['https://m.io/hub/v2 a', 'r.io a'], 'r.io a'],
    [
      'a path that is the root',
      file([host('https://m.io/api/x', { overridePath: true })]),
      'r.io/a',
      ['https://m.io/api/x a', 'r.io a'],
      'r.io a',
    ],
    [
      'a project below /v2',
      file([host('https://m.io/v2/proxy', { overridePath: true })]),
      'r.io/a',
      ['https://m.io proxy/a', 'r.io a'],
      'r.io a',
    ],
    [
      'pull alone is for digests',
      file([host('https://m.io', { capabilities: ['pull'] })]),
      'r.io/a',
      ['r.io a'],
      'r.io a',
    ],
    [
      'pull alone by digest',
      file([host('https://m.io', { capabilities: ['pull'] })]),
      `r.io/a@${digest}`,
      ['https://m.io a', 'r.io a'],
      'r.io a',
    ],
    [
      'resolve alone by digest',
      file([host('https://m.io', { capabilities: ['resolve'] })]),
      `r.io/a@${digest}`,
      ['r.io a'],
      'r.io a',
    ],
    [
      'a host that takes pushes',
      file([host('https://m.io'), full('https://n.io')]),
      'r.io/a',
      ['https://m.io a', 'https://n.io a', 'r.io a'],
      'https://n.io a',
    ],
    [
      'skip_verify',
      file([host('https://m.io', { skipVerify: true })]),
      'r.io/a',
      ['https://m.io a !', 'r.io a'],
      'r.io a',
    ],
    [
      'Docker Hub itself',
      file([], full('https://registry-1.docker.io')),
      'alpine',
      ['https://registry-1.docker.io library/alpine'],
      'https://registry-1.docker.io library/alpine',
    ],
    [
      'before docker’s mirrors',
      { ...file([host('https://m.io')]), dockerMirrors: ['d.io'] },
      'alpine',
      ['https://m.io library/alpine', 'registry-1.docker.io library/alpine'],
      'registry-1.docker.io library/alpine',
    ],
    [
      'the caller’s first',
      { ...file([host('https://m.io')]), mirrors: { 'r.io': ['c.io'] } },
      'r.io/a',
      ['c.io a', 'https://m.io a', 'r.io a'],
      'r.io a',
    ],
    [
      '_default',
      { defaultHostsFile: { source: 'x', hosts: [host('https://m.io')], server: undefined } },
      'r.io/a',
      ['https://m.io a', 'r.io a'],
      'r.io a',
    ],
    [
      'a rule before _default',
      {
        rules: [rule('r.io')],
        defaultHostsFile: { source: 'x', hosts: [host('https://m.io')], server: undefined },
      },
      'r.io/a',
      ['r.io a'],
      'r.io a',
    ],
    [
      'docker’s mirrors before _default',
      {
        dockerMirrors: ['d.io'],
        defaultHostsFile: { source: 'x', hosts: [host('https://m.io')], server: undefined },
      },
      'alpine',
      ['d.io library/alpine', 'registry-1.docker.io library/alpine'],
      'registry-1.docker.io library/alpine',
    ],
    [
      'its own before a rule',
      { ...file([host('https://m.io')]), rules: [rule('r.io', { mirrors: [mirror('n.io')] })] },
      'r.io/a',
      ['https://m.io a', 'r.io a'],
      'r.io a',
    ],
  ])('%s', (_, configuration, name, places, written) => {
    expect(reads(name, configuration)).toEqual(places);
    expect(writes(name, configuration)).toBe(written);
  });

  test('R-MIR-1: TLS and headers go with the host that they were written for, and credentials by its name', () => {
    const settings = host('https://m.io:5000/x', {
      ca: ['/ca.pem'],
      clients: [{ cert: '/c', key: '/k' }],
      headers: { 'x-a': 'b' },
    });
    const [first, own] = endpointsOf(parseReference('r.io/a'), file([settings])).read;
    expect(first).toMatchObject({
      name: 'm.io:5000',
      tls: { ca: ['/ca.pem'], clients: [{ cert: '/c', key: '/k' }], unchecked: false },
      headers: { 'x-a': 'b' },
      namespace: 'r.io',
    });
    expect(own).toMatchObject({ name: 'r.io', tls: undefined, headers: {}, namespace: undefined });
  });
});

describe('R-MIR-1: registries.conf', () => {
  const rules = (...all: readonly RegistryRule[]): RegistryConfiguration => ({ rules: all });
  const mirrored = (more: object): RegistryConfiguration =>
    rules(rule('r.io', { mirrors: [mirror('m.io/r', more)] }));
  const tag = 'r.io/a:1';
  const both = `r.io/a@${digest}`;
  test.each<[string, RegistryConfiguration, string, readonly string[]]>([
    ['a location', rules(rule('r.io', { location: 's.io/x' })), tag, ['s.io x/a']],
    ['a location of a path', rules(rule('r.io/team', { location: 's.io' })), 'r.io/team/a', ['s.io a']],
    [
      'a path that only begins alike',
      rules(rule('r.io/team', { location: 's.io' })),
      'r.io/teams/a',
      ['r.io teams/a'],
    ],
    [
      'a host that only begins alike',
      rules(rule('r.io', { location: 's.io' })),
      'r.io.evil.com/a',
      ['r.io.evil.com a'],
    ],
    [
      'a host with a port is another',
      rules(rule('r.io', { location: 's.io' })),
      'r.io:5000/a',
      ['r.io:5000 a'],
    ],
    [
      'the longest prefix',
      rules(rule('r.io', { location: 's.io' }), rule('r.io/a', { location: 't.io/b' })),
      tag,
      ['t.io b'],
    ],
    [
      'whatever the order',
      rules(rule('r.io/a', { location: 't.io/b' }), rule('r.io', { location: 's.io' })),
      tag,
      ['t.io b'],
    ],
    ['a prefix with a tag', rules(rule('r.io/a:1', { location: 's.io/a' })), tag, ['s.io a']],
    ['not another tag', rules(rule('r.io/a:1', { location: 's.io/a' })), 'r.io/a:11', ['r.io a']],
    ['any subdomain', rules(rule('*.r.io', { location: 's.io/x' })), 'b.c.r.io/a', ['s.io x/a']],
    ['the domain itself is none', rules(rule('*.r.io', { location: 's.io' })), 'r.io/a', ['r.io a']],
    ['*. without a location', rules(rule('*.r.io', { insecure: true })), 'b.r.io/a', ['b.r.io a !']],
    ['*. is about hosts', rules(rule('*.r.io', { location: 's.io' })), 'x.io/b.r.io/a', ['x.io b.r.io/a']],
    ['insecure', rules(rule('r.io', { insecure: true })), tag, ['r.io a !']],
    ['an insecure location', rules(rule('r.io', { location: 's.io', insecure: true })), tag, ['s.io a !']],
    ['a mirror', mirrored({}), tag, ['m.io r/a', 'r.io a']],
    ['an insecure mirror', mirrored({ insecure: true }), tag, ['m.io r/a !', 'r.io a']],
    ['by digest only, by tag', mirrored({ pull: 'digest-only' }), tag, ['r.io a']],
    ['by digest only, by digest', mirrored({ pull: 'digest-only' }), both, ['m.io r/a', 'r.io a']],
    ['by tag only, by tag', mirrored({ pull: 'tag-only' }), tag, ['m.io r/a', 'r.io a']],
    ['by tag only, by digest', mirrored({ pull: 'tag-only' }), both, ['r.io a']],
    [
      'Docker Hub',
      rules(rule('docker.io', { mirrors: [mirror('m.io')] })),
      'alpine',
      ['m.io library/alpine', 'registry-1.docker.io library/alpine'],
    ],
    [
      'to Docker Hub',
      rules(rule('r.io', { location: 'docker.io/team' })),
      tag,
      ['registry-1.docker.io team/a'],
    ],
    [
      'before docker’s mirrors',
      { ...rules(rule('docker.io')), dockerMirrors: ['d.io'] },
      'alpine',
      ['registry-1.docker.io library/alpine'],
    ],
    ['another’s block', rules(rule('x.io', { blocked: true })), tag, ['r.io a']],
    ['an exception to a block', rules(rule('r.io', { blocked: true }), rule('r.io/a')), tag, ['r.io a']],
  ])('%s', (_, configuration, name, places) => {
    expect(reads(name, configuration)).toEqual(places);
    // Pushes go where the name says, as podman's do.
    expect(writes(name, configuration).replace(' !', '')).toBe(reads(name, {})[0]);
  });

  test.each<[string, RegistryConfiguration, string]>([
    ['a host', rules(rule('r.io', { blocked: true })), 'r.io/a'],
    ['a path', rules(rule('r.io/a', { blocked: true })), 'r.io/a/b:1'],
    ['Docker Hub', rules(rule('docker.io', { blocked: true })), 'alpine'],
    ['subdomains', rules(rule('*.r.io', { blocked: true })), 'x.r.io/a'],
    [
      'in spite of mirrors of the caller',
      { ...rules(rule('r.io', { blocked: true })), mirrors: { 'r.io': ['m.io'] } },
      'r.io/a',
    ],
    [
      'in spite of hosts.toml',
      {
        ...rules(rule('r.io', { blocked: true })),
        hostsFile: { source: 'x', hosts: [host('https://m.io')], server: undefined },
      },
      'r.io/a',
    ],
  ])('blocked: %s', (_, configuration, name) => {
    const error = ((): unknown => {
      try {
        return reads(name, configuration);
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(BuildError);
    expect(error).toMatchObject({ code: 'REGISTRY_BLOCKED' });
    expect(String(error)).toContain('registries.conf');
  });
});

test('R-MIR-1: whatever stands in for a registry never has its name, under which credentials are found', () => {
  const configuration: RegistryConfiguration = {
    mirrors: { 'r.io': ['c.io'] },
    hostsFile: { source: 'x', hosts: [host('https://m.io')], server: host('https://s.io') },
  };
  const names = (all: RegistryConfiguration): readonly string[] =>
    endpointsOf(parseReference('r.io/a'), all).read.map(({ name }) => name);
  expect(names(configuration)).toEqual(['c.io', 'm.io', 's.io']);
  expect(names({ rules: [rule('r.io', { location: 's.io', mirrors: [mirror('m.io')] })] })).toEqual([
    'm.io',
    's.io',
  ]);
  expect(names({ hostAliases: { 'r.io': '127.0.0.1:5000' } })).toEqual(['r.io']);
});

test('R-MIR-1: mirrors alone are read where there are any, and the registry is written to all the same', () => {
  const mirrorsOnly = true;
  const m = host('https://m.io');
  const entry = { mirrors: ['m.io'], http: undefined, insecure: false, ca: [], clients: [] };
  const ways: readonly RegistryConfiguration[] = [
    { mirrors: { 'r.io': ['m.io'] } },
    { hostsFile: { source: 'x', hosts: [m], server: undefined } },
    { hostsFile: { source: 'x', hosts: [m], server: host('https://s.io') } },
    { defaultHostsFile: { source: 'x', hosts: [m], server: undefined } },
    { buildkitd: new Map([['r.io', entry]]) },
    { rules: [rule('r.io', { mirrors: [mirror('m.io')] })] },
  ];
  for (const way of ways) {
    const places = endpointsOf(parseReference('r.io/a'), { ...way, mirrorsOnly });
    expect(places.read.map(({ name }) => name)).toEqual(['m.io']);
    expect(places.write.name).not.toBe('m.io');
  }
  expect(reads('alpine', { dockerMirrors: ['m.io'], mirrorsOnly })).toEqual(['m.io library/alpine']);
  expect(reads('r.io/a', { mirrorsOnly })).toEqual(['r.io a']);
  expect(reads('r.io/a', { mirrorsOnly, rules: [rule('r.io', { location: 's.io' })] })).toEqual(['s.io a']);
});

test('a registry may be called as objects call their own things', () => {
  expect(reads('Constructor/a', { mirrors: {}, hostAliases: {} })).toEqual(['constructor a']);
});
