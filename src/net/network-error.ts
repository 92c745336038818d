/** What went wrong on the way to a server, for a message. */
export interface NetworkFailure {
  /** In words, without the address: `connection refused`. */
  readonly reason: string;
  /** Another try may go better (R-RETRY-1). A refused connection or an unknown name does not mend itself in seconds. */
  readonly retryable: boolean;
  /** The server's certificate was not accepted. */
  readonly certificate: boolean;
  /** The server does not speak TLS on this port, or we spoke TLS to a plain one. */
  readonly protocol: boolean;
}

const known: Readonly<Record<string, { reason: string; retryable: boolean; protocol?: boolean }>> = {
  ECONNREFUSED: { reason: 'connection refused', retryable: false },
  ENOTFOUND: { reason: 'the name is not known', retryable: false },
  EAI_AGAIN: { reason: 'the name could not be looked up', retryable: true },
  EHOSTUNREACH: { reason: 'no route to the host', retryable: false },
  ENETUNREACH: { reason: 'the network is unreachable', retryable: false },
  ECONNRESET: { reason: 'the connection was reset', retryable: true },
  EPIPE: { reason: 'the connection was closed', retryable: true },
  ETIMEDOUT: { reason: 'timed out', retryable: true },
  ECONNABORTED: { reason: 'the connection was aborted', retryable: true },
  UND_ERR_SOCKET: { reason: 'the connection was closed', retryable: true },
  UND_ERR_CONNECT_TIMEOUT: { reason: 'timed out while connecting', retryable: true },
  UND_ERR_HEADERS_TIMEOUT: { reason: 'no answer in time', retryable: true },
  UND_ERR_BODY_TIMEOUT: { reason: 'the answer stalled', retryable: true },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { reason: 'the answer was cut short', retryable: true },
  UND_ERR_ABORTED: { reason: 'the proxy refused the connection', retryable: false },
  UND_ERR_HEADERS_OVERFLOW: { reason: 'the answer has too large a header', retryable: false },
  EPROTO: { reason: 'the server does not speak TLS', retryable: false, protocol: true },
  ERR_SSL_WRONG_VERSION_NUMBER: { reason: 'the server does not speak TLS', retryable: false, protocol: true },
  ERR_SSL_PACKET_LENGTH_TOO_LONG: {
    reason: 'the server does not speak TLS',
    retryable: false,
    protocol: true,
  },
};

/** No connection came about. Through a proxy that is the one to the proxy, which tells of those behind it by a status. */
const unconnected = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** What failed on the way through a proxy: an error that names the proxy where that is what cannot be reached. */
export function proxyError(error: unknown, proxy: URL): unknown {
  const isProxys = [...chain(error)].some((item) => 'code' in item && unconnected.has(String(item.code)));
  if (!isProxys) return error;
  return Object.assign(new Error('the proxy cannot be reached', { cause: error }), { proxy: proxy.host });
}

const certificateCodes = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_UNTRUSTED',
  'CERT_REVOKED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'INVALID_CA',
]);

const unconnectable = new Set('EINVAL EACCES EPERM EADDRNOTAVAIL EAFNOSUPPORT ENETDOWN EHOSTDOWN'.split(' '));

/** Reads an error of the HTTP client; undefined when it is none of the network's (a bug, or the caller's abort). */
export function networkFailure(error: unknown): NetworkFailure | undefined {
  let proxy: string | undefined;
  for (const item of chain(error)) {
    if ('proxy' in item && typeof item.proxy === 'string') ({ proxy } = item);
    const code = 'code' in item && typeof item.code === 'string' ? item.code : '';
    if (certificateCodes.has(code)) {
      return {
        reason: `its certificate is not trusted (${code.toLowerCase().replaceAll('_', ' ')})`,
        retryable: false,
        certificate: true,
        protocol: false,
      };
    }
    const entry = known[code];
    if (entry !== undefined) {
      // Of the answer to CONNECT undici tells the status in its message alone.
      const status = code === 'UND_ERR_ABORTED' ? /\((\d{3})\)/.exec(item.message)?.[1] : undefined;
      const reason = status === undefined ? entry.reason : `${entry.reason} (status ${status})`;
      const whole = proxy === undefined ? reason : `its proxy ${proxy} cannot be reached (${reason})`;
      return { certificate: false, protocol: false, ...entry, reason: whole };
    }
    // undici gives its parser's errors no code, and asserts that a status has three digits of sense.
    if (code.startsWith('HPE_') || code === 'ERR_ASSERTION' || item.name === 'HTTPParserError') {
      return { reason: 'the answer is no HTTP', retryable: false, certificate: false, protocol: true };
    }
    // A server or a file may name an address that no socket can be connected to.
    const { syscall } = item as NodeJS.ErrnoException;
    if (syscall === 'getaddrinfo' || (syscall === 'connect' && unconnectable.has(code))) {
      const what = syscall === 'connect' ? 'no connection can be made' : 'the name cannot be looked up';
      return { reason: `${what} (${code})`, retryable: false, certificate: false, protocol: false };
    }
    if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) {
      return {
        reason: `TLS failed (${code.slice(8).toLowerCase().replaceAll('_', ' ')})`,
        retryable: false,
        certificate: false,
        protocol: false,
      };
    }
  }
  return undefined;
}

/** The error, its causes, and the parts of an AggregateError (Node tries all addresses of a name). */
function* chain(error: unknown): Generator<Error> {
  let current = error;
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    yield current;
    if (current instanceof AggregateError) {
      for (const part of current.errors) if (part instanceof Error) yield part;
    }
    current = current.cause;
  }
}
