import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createSecureServer } from 'node:http2';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseReference } from '../../src/oci/reference.ts';
import { pushImage } from '../../src/registry/push.ts';
import { makeImage, testClient } from '../support/registry-client.ts';
import { makeCertificate } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

suite('a registry that offers HTTP/2', [tool('openssl')], () => {
  test('R-PUSH-3: is pushed to by HTTP/1.1, over few connections that are kept', async () => {
    await using folder = await tempFolder('http2');
    await makeCertificate(folder.path, 'localhost');
    const [key, cert] = await Promise.all(
      ['key.pem', 'cert.pem'].map((name) => readFile(join(folder.path, name))),
    );
    const versions = new Set<string>();
    let requests = 0;
    let connections = 0;
    const server = createSecureServer(
      { key: key ?? '', cert: cert ?? '', allowHTTP1: true },
      (request, response) => {
        versions.add(request.httpVersion);
        requests += 1;
        request.resume();
        request.on('end', () => {
          const { method, url } = request;
          if (method === 'POST') response.setHeader('location', `${url ?? ''}id-${requests}`);
          const missing = method === 'HEAD';
          response.statusCode = missing
            ? 404
            : method === 'POST' || method === 'PATCH'
              ? 202
              : method === 'PUT'
                ? 201
                : 200;
          if (method === 'PATCH') response.setHeader('location', url ?? '');
          response.end();
        });
      },
    );
    server.on('secureConnection', () => (connections += 1));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const host = `localhost:${address.port}`;
    try {
      await using client = testClient({ files: false, insecure: [host] });
      const image = await makeImage(['1', '2', '3', '4', '5', '6', '7', '8']);
      await pushImage(client, { images: [image], reference: parseReference(`${host}/a:1`) });
    } finally {
      server.close();
      await once(server, 'close');
    }
    expect([...versions]).toEqual(['1.1']);
    // Nine blobs with two requests each at least.
    expect(requests).toBeGreaterThan(18);
    expect(connections).toBeLessThanOrEqual(8);
  });
});
