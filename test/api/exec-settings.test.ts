import { describe, expect, test } from 'vitest';
import { execSettings } from '../../src/api/exec-settings.ts';

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
