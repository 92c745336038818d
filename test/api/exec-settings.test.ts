import { describe, expect, test } from 'vitest';
import { execSettings } from '../../src/api/exec-settings.ts';
import type { BuildOptions } from '../../src/index.ts';
import { BuildError } from '../../src/index.ts';

async function proxies(
  buildArgs: Readonly<Record<string, string>>,
  env: NodeJS.ProcessEnv = {},
): Promise<readonly string[]> {
  await using settings = await execSettings({ context: '.', buildArgs }, env, () =>
    Promise.reject(new Error()),
  );
  return settings.proxyEnv.toSorted();
}

describe('L-ARG-7: proxy settings of steps', () => {
  test('one that is given in upper or lower case is there in both', async () => {
    expect(await proxies({ HTTP_PROXY: 'a', no_proxy: 'b' })).toEqual([
      'HTTP_PROXY=a',
      'NO_PROXY=b',
      'http_proxy=a',
      'no_proxy=b',
    ]);
  });

  test('given in both, each keeps its own; --build-arg comes before the environment', async () => {
    expect(await proxies({ ALL_PROXY: 'a', all_proxy: 'b' })).toEqual(['ALL_PROXY=a', 'all_proxy=b']);
    expect(await proxies({ ftp_proxy: 'a' }, { ftp_proxy: 'x', FTP_PROXY: 'y' })).toEqual([
      'FTP_PROXY=y',
      'ftp_proxy=a',
    ]);
    expect(await proxies({}, { OTHER_PROXY: 'x' })).toEqual([]);
  });
});

async function refused(options: BuildOptions): Promise<string> {
  const opened = execSettings({ context: '.', ...options }, {}, () => Promise.reject(new Error()));
  const error: unknown = await opened.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return error instanceof BuildError ? `${error.code} ${error.message} | ${error.hint}` : String(error);
}

describe('C-EX-5: rights', () => {
  test.each(['network.host', 'security.insecure', 'secret.leak', 'secret.leak=id', 'device', 'device=a/b=c'])(
    '%s is one',
    async (right) => expect(await refused({ allow: [right] })).toBe('undefined'),
  );

  test('a misspelt one is refused', async () => {
    expect(await refused({ allow: ['netwrok.host'] })).toBe(
      'USAGE there is no right `netwrok.host` for --allow to grant | did you mean `network.host`?',
    );
    expect(await refused({ allow: ['network.host=1'] })).toContain('USAGE there is no right');
    expect(await refused({ allow: ['all'] })).toContain(
      'network.host, security.insecure and secret.leak are',
    );
  });
});

describe('C-EX-2: lines of /etc/hosts', () => {
  test.each(['a:1.2.3.4', 'a=1.2.3.4', 'a:::1', 'a=[fe80::2]', 'a:host-gateway'])('%s is one', async (host) =>
    expect(await refused({ addHosts: [host] })).toBe('undefined'),
  );

  test.each(['a:999.1.1.1', 'a:', ':1.2.3.4', 'a', 'a:b', 'a b:1.2.3.4', 'a:1.2.3.4\nb'])(
    '%j is refused',
    async (host) => expect(await refused({ addHosts: [host] })).toContain('of --add-host has no address'),
  );

  test('host-gateway misspelt', async () => {
    expect(await refused({ addHosts: ['a:host-gatewy'] })).toContain('did you mean `host-gateway`?');
  });
});
