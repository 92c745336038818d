import { expect, test } from 'vitest';
import { chooseChallenge, parseChallenges } from '../../src/registry/challenge.ts';

test('R-AUTH-1: reads what registries send', () => {
  expect(
    parseChallenges([
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
    ]),
  ).toEqual([
    {
      scheme: 'bearer',
      parameters: {
        realm: 'https://auth.docker.io/token',
        service: 'registry.docker.io',
        scope: 'repository:a/b:pull,push',
      },
    },
  ]);
});

test('R-AUTH-1: several challenges, in one header or in several', () => {
  const inOne = parseChallenges(['Negotiate, Basic realm="a, \\"b\\"", Bearer realm=x , service = "y"']);
  expect(inOne.map(({ scheme }) => scheme)).toEqual(['negotiate', 'basic', 'bearer']);
  expect(inOne[1]?.parameters['realm']).toBe('a, "b"');
  expect(inOne[2]?.parameters).toEqual({ realm: 'x', service: 'y' });
  expect(chooseChallenge(inOne)?.scheme).toBe('basic');
  expect(chooseChallenge(parseChallenges(['Negotiate', 'BEARER realm="x"']))?.scheme).toBe('bearer');
});

test('R-AUTH-1: nonsense is no challenge', () => {
  expect(chooseChallenge(parseChallenges(['', '=,=', 'Bearer', 'Bearer realm', '"']))).toBeUndefined();
  expect(parseChallenges([`Bearer realm="${'x'.repeat(20_000)}"`])).toEqual([]);
  expect(parseChallenges(['Bearer __proto__="x",realm="y"'])[0]?.parameters['realm']).toBe('y');
});

test('hostile headers do not take long', () => {
  const before = performance.now();
  for (const text of [' ', 'a=', '"', '\\"', 'a ', ',', 'a=" ']) parseChallenges([text.repeat(5000)]);
  expect(performance.now() - before).toBeLessThan(20_000);
});

test('nor do many of them', () => {
  const spaces = ' '.repeat(16_000);
  const headers = [`Bearer realm=${spaces}"`, `Bearer${spaces}"`, `Bearer a${spaces}"`];
  expect(parseChallenges(Array.from({ length: 900 }, (_, at) => headers[at % 3] ?? ''))).toEqual([]);
});
