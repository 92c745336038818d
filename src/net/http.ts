import { isIP } from 'node:net';
import type { SecureContext } from 'node:tls';
import type { Dispatcher } from 'undici';
import type { ByteStream } from '../util/streams.ts';
import { giveBack, readAll } from '../util/streams.ts';
import { connectionCertificates, hostContext, systemContext } from './certificates.ts';
import type { HostCertificates, TlsSettings } from './certificates.ts';
import { networkFailure, proxyError } from './network-error.ts';
import { proxyFor } from './proxy.ts';
import type * as Undici from './undici.ts';

export interface HttpClientOptions {
  /** Proxies (`HTTPS_PROXY` …), `SSL_CERT_FILE`, `TSBUILD_CA`, `NODE_EXTRA_CA_CERTS`, `HOME` are read from it. */
  readonly env: NodeJS.ProcessEnv;
  /** Replaces the usual certs.d directories (R-TLS-1). */
  readonly certificateDirectories?: readonly string[] | undefined;
  /** Hosts (`host` or `host:port`) whose certificates are not checked. */
  readonly insecure?: readonly string[] | undefined;
  /** Milliseconds. */
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
}

export interface HttpTimeouts {
  readonly connect: number;
  /** From the end of the request to the answer's header. */
  readonly headers: number;
  /** The same after a body that the server has to put away first, as registries do. */
  readonly storing: number;
  /** Between two pieces of the answer's body; and how long a server may leave a piece of the request's body untaken. */
  readonly idle: number;
}

export interface HttpRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string | URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** A function opens a stream; it may be called again when the connection could not be made. Give `content-length` when it is known. */
  readonly body?: Uint8Array | string | (() => ByteStream) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** For a server that is configured in another way than its host's certs.d. */
  readonly tls?: TlsSettings | undefined;
  /** Its body is to be put away before the answer comes: `timeouts.storing` holds. */
  readonly patient?: boolean | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Where it came from; redirects are never followed. */
  readonly url: URL;
  /** One header by its name in lower case; several of one name are joined by `, `. */
  header(name: string): string | undefined;
  /** Each value of a header that may come several times. */
  headerValues(name: string): readonly string[];
  /** Must be consumed or discarded, so that the connection is free again. Not decompressed, not limited. */
  readonly body: ByteStream;
  /** The whole body; throws a RangeError past `limit` bytes. */
  bytes(limit: number): Promise<Buffer>;
  /** Gives the connection back without reading the body (or closes it, when much is left). */
  discard(): Promise<void>;
}

/** HTTP/1.1 with kept-alive connections, proxies and this machine's certificates. Closing ends idle connections; they never keep the process alive. */
export interface HttpClient extends AsyncDisposable {
  /** One request, one answer of whatever status. Throws what `networkFailure` reads, or the signal's reason. */
  request(request: HttpRequest): Promise<HttpResponse>;
}

const defaultTimeouts: HttpTimeouts = { connect: 15_000, headers: 120_000, storing: 600_000, idle: 60_000 };

/** Who dispatches for one origin: the narrow trust first, the wide one once it was needed. */
interface Route {
  readonly dispatcher: Dispatcher;
  readonly certificates: HostCertificates | undefined;
  readonly wide: boolean;
}

export function createHttpClient(options: HttpClientOptions): HttpClient {
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const routes = new Map<string, Promise<Route>>();
  let wideContext: Promise<SecureContext> | undefined;

  // oxlint-disable-next-line max-params -- internal
  async function open(
    undici: typeof Undici,
    url: URL,
    settings: TlsSettings | undefined,
    wide: boolean,
  ): Promise<Route> {
    const secure = url.protocol === 'https:';
    const certificates = secure
      ? await connectionCertificates(url.host, {
          env: options.env,
          directories: options.certificateDirectories,
          tls: settings,
        })
      : undefined;
    let secureContext: SecureContext | undefined;
    if (wide) {
      secureContext = await (certificates === undefined
        ? (wideContext ??= systemContext(undefined, options.env))
        : systemContext(certificates, options.env));
    } else if (certificates !== undefined) {
      secureContext = await hostContext(certificates);
    }
    const listed = options.insecure?.some((host) => host === url.host || host === url.hostname) ?? false;
    const unchecked = listed || settings?.unchecked === true;
    const tls = {
      timeout: timeouts.connect,
      ...(secureContext === undefined ? {} : { secureContext }),
      ...(unchecked ? { rejectUnauthorized: false } : {}),
    };
    const common = {
      allowH2: false,
      headersTimeout: timeouts.headers,
      bodyTimeout: timeouts.idle,
      keepAliveTimeout: 20_000,
      maxHeaderSize: 64 * 1024,
    };
    const proxy = proxyFor(url, options.env);
    if (proxy === undefined)
      return { dispatcher: new undici.Agent({ ...common, connect: tls }), certificates, wide };
    const name = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const dispatcher = new undici.ProxyAgent({
      ...common,
      uri: proxy.href,
      proxyTunnel: secure,
      requestTls: { ...tls, servername: isIP(name) === 0 ? name : '' },
      proxyTls: { timeout: timeouts.connect },
    });
    return { dispatcher, certificates, wide };
  }

  // oxlint-disable-next-line max-params -- internal
  async function route(
    undici: typeof Undici,
    url: URL,
    settings: TlsSettings | undefined,
    wide: boolean,
  ): Promise<Route> {
    // Invariant: connections of differing trust are never shared.
    const key = settings === undefined ? url.origin : `${url.origin} ${JSON.stringify(settings)}`;
    const known = routes.get(key);
    if (known !== undefined) {
      const current = await known;
      if (current.wide || !wide) return current;
      // Several requests may find out at once: only the first replaces the route.
      if (routes.get(key) !== known) return route(undici, url, settings, wide);
      current.dispatcher.close().catch(() => undefined);
    }
    const made = open(undici, url, settings, wide);
    routes.set(key, made);
    made.catch(() => {
      wideContext = undefined;
      if (routes.get(key) === made) routes.delete(key);
    });
    return made;
  }

  async function request(item: HttpRequest): Promise<HttpResponse> {
    item.signal?.throwIfAborted();
    const undici = await import('./undici.ts');
    const url = new URL(item.url);
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      throw new TypeError(`no HTTP URL: ${url.protocol}`);
    let chosen = await route(undici, url, item.tls, false);
    try {
      return await send(item, { url, timeouts, dispatcher: chosen.dispatcher });
    } catch (error) {
      item.signal?.throwIfAborted();
      // Nothing was sent when the handshake failed, so the request is still whole.
      if (chosen.wide || networkFailure(error)?.certificate !== true) {
        const proxy = proxyFor(url, options.env);
        throw proxy === undefined ? error : proxyError(error, proxy);
      }
      chosen = await route(undici, url, item.tls, true);
      return await send(item, { url, timeouts, dispatcher: chosen.dispatcher });
    }
  }

  return {
    request,
    async [Symbol.asyncDispose]() {
      const all = await Promise.allSettled(routes.values());
      routes.clear();
      const opened = all.flatMap((item) => (item.status === 'fulfilled' ? [item.value.dispatcher] : []));
      await Promise.all(opened.map((dispatcher) => dispatcher.destroy()));
    },
  };
}

async function send(
  item: HttpRequest,
  {
    url,
    timeouts,
    dispatcher,
  }: { readonly url: URL; readonly timeouts: HttpTimeouts; readonly dispatcher: Dispatcher },
): Promise<HttpResponse> {
  const stalled = new AbortController();
  const body = typeof item.body === 'function' ? taken(item.body(), timeouts.idle, stalled) : item.body;
  const signals = [item.signal, typeof item.body === 'function' ? stalled.signal : undefined].filter(
    (signal) => signal !== undefined,
  );
  const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
  const answer = await dispatcher.request({
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    method: item.method ?? 'GET',
    // undici would close the connection after each HEAD, and a push begins with one for each layer.
    ...(item.method === 'HEAD' ? { reset: false } : {}),
    headers: { 'user-agent': 'tsbuild', ...item.headers },
    body: (body ?? null) as Exclude<Dispatcher.DispatchOptions['body'], undefined>,
    headersTimeout: item.patient === true ? timeouts.storing : timeouts.headers,
    bodyTimeout: timeouts.idle,
    onInfo: patienceWithInfo(),
    ...(signal === undefined ? {} : { signal }),
  });
  const headerValues = (name: string): readonly string[] => {
    const value = answer.headers[name];
    return value === undefined ? [] : typeof value === 'string' ? [value] : value;
  };
  return {
    status: answer.statusCode,
    url,
    header: (name) => {
      const values = headerValues(name);
      return values.length === 0 ? undefined : values.join(', ');
    },
    headerValues,
    body: answer.body,
    bytes: (limit) => readAll(answer.body, limit),
    discard: async () => {
      await answer.body.dump({ limit: 64 * 1024 }).catch(() => undefined);
    },
  };
}

/** Each interim answer (1xx) makes undici wait anew: a server could go on with them for ever. What is thrown ends the request. */
function patienceWithInfo(): () => void {
  let seen = 0;
  return () => {
    seen += 1;
    if (seen > 100) throw Object.assign(new Error('too many interim answers'), { code: 'HPE_INTERIM' });
  };
}

/** A socket that is given this much at once is asked for more only when it has handed all of it to the system (undici's high-water mark). */
const flushedAtOnce = 64 * 1024;

/** undici gives up servers that do not answer, but not those that stop reading. */
async function* taken(body: ByteStream, idle: number, stalled: AbortController): ByteStream {
  let timer: NodeJS.Timeout | undefined;
  const giveUp = (): void =>
    stalled.abort(Object.assign(new Error('the server takes no more'), { code: 'ETIMEDOUT' }));
  try {
    for await (const chunk of body) {
      timer = setTimeout(giveUp, idle);
      yield chunk;
      clearTimeout(timer);
      if (chunk.length >= flushedAtOnce) giveBack(chunk);
    }
  } finally {
    clearTimeout(timer);
  }
}
