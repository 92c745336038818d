import { X509Certificate, createSign, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { makeCertificate } from './registry-server.ts';

export interface TokenServerOptions {
  /** Password by user name; each may do everything. */
  readonly users: Readonly<Record<string, string>>;
  /** Refresh token by user name (OAuth2). */
  readonly identityTokens?: Readonly<Record<string, string>>;
  /** Seconds; default 300. */
  readonly lifetime?: number;
  /** The name in the realm's URL; default 127.0.0.1. */
  readonly hostname?: string;
}

/** One request that came in. */
export interface TokenRequestSeen {
  readonly method: string;
  readonly authorization: string | undefined;
  readonly scopes: readonly string[];
  readonly service: string | undefined;
}

export interface TokenServer extends AsyncDisposable {
  /** What a registry is configured with. */
  readonly config: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly certificate: string;
  };
  readonly host: string;
  readonly seen: readonly TokenRequestSeen[];
  close(): Promise<void>;
}

/**
 * A token server as distribution's token specification has it: RS256 with x5c. Without credentials it lets everybody pull `library/*`, as
 * Docker Hub does; wrong credentials get 401.
 */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const folder = await mkdtemp(join(tmpdir(), 'token-server-'));
  await makeCertificate(folder, 'token');
  const certificate = join(folder, 'cert.pem');
  const key = await readFile(join(folder, 'key.pem'), 'utf8');
  const chain = new X509Certificate(await readFile(certificate)).raw.toString('base64');
  const port = await freePort();
  const host = `${options.hostname ?? '127.0.0.1'}:${port}`;
  const service = 'registry.test';
  const issuer = 'token.test';
  const seen: TokenRequestSeen[] = [];

  function sign(subject: string, scopes: readonly string[]): string {
    const now = Math.floor(Date.now() / 1000);
    const lifetime = options.lifetime ?? 300;
    const header = { typ: 'JWT', alg: 'RS256', x5c: [chain] };
    const claims = {
      iss: issuer,
      sub: subject,
      aud: service,
      exp: now + lifetime,
      nbf: now - 10,
      iat: now,
      jti: randomUUID(),
      access: scopes.flatMap((scope) => grant(scope, subject !== '')),
    };
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${encode(header)}.${encode(claims)}`;
    return `${text}.${createSign('RSA-SHA256').update(text).sign(key, 'base64url')}`;
  }

  async function answer(request: IncomingMessage): Promise<{ status: number; value: unknown }> {
    const query = new URL(request.url ?? '/', 'http://token').searchParams;
    let form = query;
    if (request.method === 'POST') {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      form = new URLSearchParams(Buffer.concat(chunks).toString());
    }
    const scopes = form.getAll('scope').flatMap((scope) => scope.split(' '));
    const { authorization } = request.headers;
    seen.push({
      method: request.method ?? '',
      authorization,
      scopes,
      service: form.get('service') ?? undefined,
    });
    const lifetime = options.lifetime ?? 300;
    if (request.method === 'POST') {
      const given = form.get('refresh_token');
      const user = Object.entries(options.identityTokens ?? {}).find(([, token]) => token === given)?.[0];
      if (user === undefined) return { status: 400, value: { error: 'invalid_grant' } };
      return { status: 200, value: { access_token: sign(user, scopes), expires_in: lifetime } };
    }
    if (authorization === undefined)
      return { status: 200, value: { token: sign('', scopes), expires_in: lifetime } };
    const pair = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString();
    const user = pair.slice(0, pair.indexOf(':'));
    const password = pair.slice(pair.indexOf(':') + 1);
    if (options.users[user] !== password) {
      return { status: 401, value: { details: 'incorrect username or password' } };
    }
    return { status: 200, value: { token: sign(user, scopes), expires_in: lifetime } };
  }

  const server = createServer((request, response) => {
    answer(request)
      .then(({ status, value }) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        return response.end(JSON.stringify(value));
      })
      .catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    if (server.listening) {
      server.close();
      await once(server, 'close');
    }
    await rm(folder, { recursive: true, force: true });
  };
  const config = { realm: `http://${host}/token`, service, issuer, certificate };
  return { config, host, seen, close, [Symbol.asyncDispose]: close };
}

/** `repository:library/x:pull` is everybody's; all else is for users. */
function grant(scope: string, known: boolean): readonly unknown[] {
  const [type = '', name = '', actions = ''] = scope.split(':');
  const wanted = actions.split(',');
  if (known) return [{ type, name, actions: wanted }];
  return type === 'repository' && name.startsWith('library/') && wanted.includes('pull')
    ? [{ type, name, actions: ['pull'] }]
    : [];
}
