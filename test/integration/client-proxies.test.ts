import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { suite, tool } from '../support/require.ts';
import { openSteps } from './language/steps.ts';

suite('R-AUTH-6: proxies of docker’s config.json', ['root', tool('runc')], () => {
  test('steps see them, --build-arg comes first, and they decide no cache key', async () => {
    await using steps = await openSteps('proxies');
    const home = join(steps.path, 'home');
    mkdirSync(join(home, '.docker'), { recursive: true });
    const proxies = { default: { httpProxy: 'http://config:1', noProxy: 'a.example' } };
    writeFileSync(join(home, '.docker', 'config.json'), JSON.stringify({ proxies }));
    const env = {
      PATH: process.env['PATH'],
      HOME: home,
      HTTPS_PROXY: 'http://env:2',
      HTTP_PROXY: 'http://env:3',
    };
    const line = 'RUN echo $HTTP_PROXY $http_proxy $NO_PROXY $HTTPS_PROXY';
    expect(await steps.says(line, { env })).toEqual([
      'http://config:1 http://config:1 a.example http://env:2',
    ]);
    const buildArgs = { HTTP_PROXY: 'http://arg:4', http_proxy: 'http://arg:4' };
    expect(await steps.says(line, { env, buildArgs })).toEqual([
      'http://arg:4 http://arg:4 a.example http://env:2',
    ]);
    await steps.build(line, { env, noCache: false });
    const { states } = await steps.build(line, { noCache: false });
    expect(states.at(-1)).toMatch(/:cached$/);
  });
});
