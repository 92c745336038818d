import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { Credential, FindCredential } from '../../src/registry/credentials.ts';
import type { RegistryClient } from '../../src/registry/client.ts';
import type { HttpServer } from '../support/http-server.ts';
import { startHttpServer } from '../support/http-server.ts';
import { failure, testClient } from '../support/registry-client.ts';

type Answer = Readonly<Record<string, unknown>> | number;

interface Service extends AsyncDisposable {
  readonly registry: HttpServer;
  /** What the token server was asked: `GET <query>` or `POST <form>`, with what stood in Authorization. */
  readonly asked: { readonly call: string; readonly authorization: string | undefined }[];
  readonly client: RegistryClient;
}

/** A registry whose tags are read with the tokens in `good`, and a token server on its host that gives these answers in turn. */
async function service(options: {
  readonly answers: readonly Answer[];
  readonly good?: (token: string, request: IncomingMessage) => boolean;
  readonly demands?: string;
  readonly credential?: Credential;
}): Promise<Service> {
  const asked: { call: string; authorization: string | undefined }[] = [];
  const { good = (): boolean => true, demands, credential } = options;
  const registry = await startHttpServer((request, response) => {
    const { authorization, host = '' } = request.headers;
    if (request.url?.startsWith('/token') === true) {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        const query = request.url?.split('?')[1] ?? '';
        const answer = options.answers[Math.min(asked.length, options.answers.length - 1)] ?? 500;
        asked.push({ call: `${request.method} ${query}${body}`, authorization });
        if (typeof answer === 'number') response.writeHead(answer).end();
        else response.end(JSON.stringify(answer));
      });
    } else if (authorization?.startsWith('Bearer ') !== true || !good(authorization.slice(7), request)) {
      const scope =
        authorization === undefined || demands === undefined
          ? ''
          : `,scope="${demands}",error="insufficient_scope"`;
      const challenge = `Bearer realm="http://${host}/token",service="s v"${scope}`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    } else response.end('{"tags":["1"]}');
  });
  const find: FindCredential = async () => ({ credential, searched: [] });
  const client = testClient({ files: false, credentials: find });
  return {
    ...{ registry, asked, client },
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
}

const tags = ({ registry, client }: Service, repository = 'a/b'): Promise<unknown> =>
  client.listTags({ registry: registry.host, repository });
const password: Credential = { kind: 'password', username: 'me', password: 'pw', source: 'the test' };
const identity: Credential = { kind: 'identity-token', username: '', token: 'first', source: 'the test' };
const form = (call: string): unknown => Object.fromEntries(new URLSearchParams(call.slice(5)));

describe('R-AUTH-3: tokens by GET', () => {
  test.each(['token', 'access_token'])(
    'R-AUTH-3: service, scope and Basic; the answer has it as %s',
    async (name) => {
      await using here = await service({
        answers: [{ [name]: 'x' }],
        good: (token) => token === 'x',
        credential: password,
      });
      expect(await tags(here)).toEqual(['1']);
      expect(here.asked).toEqual([
        {
          call: 'GET service=s+v&scope=repository%3Aa%2Fb%3Apull&account=me',
          authorization: `Basic ${Buffer.from('me:pw').toString('base64')}`,
        },
      ]);
    },
  );

  test('R-AUTH-3: one token for each set of scopes, kept for expires_in, by default a minute', async () => {
    await using here = await service({ answers: [{ token: 'x' }] });
    for (let turn = 0; turn < 3; turn += 1) await tags(here);
    expect(here.asked).toHaveLength(1);
    await tags(here, 'other');
    expect(here.asked).toHaveLength(2);
    await using short = await service({ answers: [{ token: 'x', expires_in: 0.001 }] });
    for (let turn = 0; turn < 2; turn += 1) {
      await tags(short);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(short.asked).toHaveLength(2);
  });

  test('R-AUTH-3: what the registry demands beyond that is asked for first, but never for another repository', async () => {
    const answers = [{ token: 'little' }, { token: 'enough' }];
    const good = (token: string): boolean => token === 'enough';
    await using here = await service({ answers, good, demands: 'repository:a/b:pull,delete' });
    expect(await tags(here)).toEqual(['1']);
    expect(new URLSearchParams(here.asked[1]?.call).getAll('scope')).toEqual([
      'repository:a/b:pull,delete',
      'repository:a/b:pull',
    ]);
    await using greedy = await service({ answers, good, demands: 'repository:private/c:pull' });
    await tags(greedy);
    expect(greedy.asked.map(({ call }) => call.includes('private'))).toEqual([false, false]);
  });
});

describe('R-AUTH-4: identity tokens by POST', () => {
  test('R-AUTH-4: the form, and nothing in Authorization', async () => {
    await using here = await service({ answers: [{ access_token: 'x' }], credential: identity });
    await tags(here);
    const [first] = here.asked;
    expect(first?.authorization).toBeUndefined();
    expect(form(first?.call ?? '')).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'first',
      client_id: 'tsbuild',
      service: 's v',
      scope: 'repository:a/b:pull',
      access_type: 'offline',
    });
  });

  test.each([404, 405])('R-AUTH-4: a server that answers %i is asked by GET', async (status) => {
    await using here = await service({ answers: [status, { token: 'x' }], credential: identity });
    expect(await tags(here)).toEqual(['1']);
    expect(here.asked.map(({ call }) => call.split(' ')[0])).toEqual(['POST', 'GET']);
  });

  test('R-AUTH-4: a refresh token that comes back is shown the next time', async () => {
    const answers = [{ access_token: 'x', refresh_token: 'second' }, { access_token: 'y' }];
    await using here = await service({ answers, credential: identity });
    for (const repository of ['a', 'b', 'c']) await tags(here, repository);
    const shown = here.asked.map(({ call }) => (form(call) as { refresh_token: string }).refresh_token);
    expect(shown).toEqual(['first', 'second', 'second']);
  });

  test('R-AUTH-4: one that is refused is told', async () => {
    await using here = await service({ answers: [400], credential: identity });
    expect(await failure(tags(here))).toMatchObject({ code: 'REGISTRY_UNAUTHORIZED' });
  });
});
