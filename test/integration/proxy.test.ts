import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer as createPlainServer } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createHttpClient } from '../../src/net/http.ts';
import { networkFailure } from '../../src/net/network-error.ts';
import { makeCertificate } from '../support/registry-server.ts';
import { suite, tool } from '../support/require.ts';
import { tempFolder } from '../support/temp.ts';

interface Tunnels extends AsyncDisposable {
  readonly port: number;
  /** What it was asked to connect to, and with which credentials. */
  readonly asked: readonly string[];
}

/** A proxy that takes every tunnel to one port of this machine; with `refuse` it takes none. */
async function startTunnels(to: number, refuse = false): Promise<Tunnels> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createPlainServer((_, response) => response.writeHead(400).end());
  server.on('connect', (request, socket: Socket) => {
    asked.push(`${request.url} ${request.headers['proxy-authorization']}`);
    sockets.add(socket);
    if (refuse) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    const target = connect(to, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      socket.pipe(target).pipe(socket);
    });
    for (const each of [socket, target]) each.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

suite('a registry behind a proxy', [tool('openssl')], () => {
  test('TLS goes through the tunnel end to end, with the certificates of the host and the credentials of the proxy', async () => {
    await using folder = await tempFolder('proxy');
    await makeCertificate(folder.path, 'registry.invalid');
    const [cert, key] = await Promise.all(
      ['cert.pem', 'key.pem'].map((file) => readFile(join(folder.path, file))),
    );
    const server = createServer({ cert, key }, (request, response) =>
      response.end(`${request.headers['host']} ${request.headers['proxy-authorization']}`),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      await using proxy = await startTunnels((server.address() as AddressInfo).port);
      await mkdir(join(folder.path, 'certs.d', 'registry.invalid'), { recursive: true });
      await writeFile(join(folder.path, 'certs.d', 'registry.invalid', 'ca.crt'), cert ?? '');
      const env = { HTTPS_PROXY: `http://me:p%40w@127.0.0.1:${proxy.port}` };
      const url = 'https://registry.invalid/v2/';
      {
        const certificateDirectories = [join(folder.path, 'certs.d')];
        await using http = createHttpClient({ env, certificateDirectories });
        const response = await http.request({ url });
        expect((await response.bytes(1000)).toString()).toBe('registry.invalid undefined');
        const credentials = Buffer.from('me:p@w').toString('base64');
        expect(proxy.asked).toEqual([`registry.invalid:443 Basic ${credentials}`]);
      }
      await using stranger = createHttpClient({ env, certificateDirectories: [] });
      const failure = await stranger.request({ url }).catch((error: unknown) => error);
      expect(networkFailure(failure)).toMatchObject({ certificate: true });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('a proxy that refuses is told', async () => {
    await using proxy = await startTunnels(1, true);
    await using http = createHttpClient({ env: { https_proxy: `http://127.0.0.1:${proxy.port}` } });
    const failure = await http
      .request({ url: 'https://registry.invalid/v2/' })
      .catch((error: unknown) => error);
    expect(networkFailure(failure)?.reason).toContain('407');
  });
});
