import { describe, expect, test } from 'vitest';
import type { HttpClient, HttpResponse } from '../../src/net/http.ts';
import { ping } from '../../src/registry/ping.ts';
import type { PingOptions } from '../../src/registry/ping.ts';
import { streamOf } from '../../src/util/streams.ts';

type Behaviour = number | 'silent' | 'refused' | 'another protocol';

function response(url: URL, status: number): HttpResponse {
  return {
    ...{ status, url, body: streamOf() },
    header: () => undefined,
    headerValues: (name) => (status === 401 && name === 'www-authenticate' ? ['Basic realm="x"'] : []),
    bytes: async () => Buffer.alloc(0),
    discard: async () => undefined,
  };
}

const codes = { refused: 'ECONNREFUSED', 'another protocol': 'EPROTO' };

/** A host that does this for requests of the two schemes; `asked` are the URLs. */
async function pinged(
  host: string,
  behaviour: { readonly http: Behaviour; readonly https: Behaviour },
  more: Partial<PingOptions> = {},
): Promise<{ readonly asked: readonly string[]; readonly result: unknown }> {
  const asked: string[] = [];
  const request: HttpClient['request'] = async ({ url, signal }) => {
    const target = new URL(url);
    asked.push(target.href);
    const does = behaviour[target.protocol === 'http:' ? 'http' : 'https'];
    if (typeof does === 'number') return response(target, does);
    const { promise, reject } = Promise.withResolvers<HttpResponse>();
    if (does === 'silent') signal?.addEventListener('abort', () => reject(signal.reason as Error));
    else reject(Object.assign(new Error(does), { code: codes[does] }));
    return promise;
  };
  const http: HttpClient = { request, [Symbol.asyncDispose]: async () => undefined };
  const options = {
    name: host,
    host,
    insecure: false,
    http,
    policy: { delays: [], longestPause: 0 },
    ...more,
  };
  const task = { registry: host, subject: host, kind: 'other' } as const;
  const found = ping(options, task).then(({ base }) => base.href);
  return { result: await found.catch((error: unknown) => error), asked };
}

describe('R-AUTH-1: the ping', () => {
  test('R-AUTH-1: any other host is asked by TLS alone, whatever happens', async () => {
    for (const https of ['refused', 'another protocol', 400] as const) {
      const { asked } = await pinged('registry.example', { https, http: 200 });
      expect(asked).toEqual(['https://registry.example/v2/']);
    }
    const { result } = await pinged('registry.example', { https: 'refused', http: 200 });
    expect(result).toMatchObject({ code: 'REGISTRY_UNREACHABLE' });
  });

  test.each(['localhost:5000', '127.0.0.1:5000', '[::1]:5000'])(
    'R-AUTH-1: %s is asked without TLS first',
    async (host) => {
      const plain = await pinged(host, { http: 200, https: 200 });
      expect(plain).toEqual({ asked: [`http://${host}/v2/`], result: `http://${host}/` });
      const secure = await pinged(host, { http: 400, https: 401 });
      expect(secure).toEqual({
        asked: [`http://${host}/v2/`, `https://${host}/v2/`],
        result: `https://${host}/`,
      });
    },
  );

  test('R-AUTH-1: one that may be plain is asked by TLS first; the other scheme is tried when that fails, or says nothing', async () => {
    const insecure = true;
    const urls = ['https://r.example/v2/', 'http://r.example/v2/'];
    expect(await pinged('r.example', { https: 200, http: 200 }, { insecure })).toEqual({
      asked: urls.slice(0, 1),
      result: 'https://r.example/',
    });
    for (const https of ['refused', 'another protocol', 'silent'] as const)
      expect(await pinged('r.example', { https, http: 200 }, { insecure })).toEqual({
        asked: urls,
        result: 'http://r.example/',
      });
    const nothing = await pinged('r.example', { https: 'refused', http: 'refused' }, { insecure });
    expect(nothing).toMatchObject({ asked: urls, result: { code: 'REGISTRY_UNREACHABLE' } });
  });

  test('R-AUTH-1: a scheme that the user has written is the only one', async () => {
    const { asked } = await pinged('localhost:5000', { http: 200, https: 'refused' }, { scheme: 'https' });
    expect(asked).toEqual(['https://localhost:5000/v2/']);
  });
});
