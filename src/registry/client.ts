import { createHttpClient } from '../net/http.ts';
import type { HttpClientOptions } from '../net/http.ts';
import type { RetryPolicy } from '../net/retry.ts';
import { defaultRetryPolicy } from '../net/retry.ts';
import type { OpenOptions } from '../image/layer.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isDigest } from '../oci/digest.ts';
import type { Diagnostic, Emit } from '../progress/event.ts';
import { BuildError } from '../util/build-error.ts';
import { againIfSpoilt } from '../util/spoilt.ts';
import type { ByteStream } from '../util/streams.ts';
import { blobExists, readBlob } from './blob-download.ts';
import { checkUpload, uploadBlob, uploadStream } from './blob-upload.ts';
import type { BlobToUpload, UploadOptions, UploadOutcome } from './blob-upload.ts';
import type { RegistryPlaces } from './configuration.ts';
import { noPlaces, openRegistryFiles, registryPlaces } from './configuration.ts';
import type { FindCredential } from './credentials.ts';
import { metaHeaders, normalScope } from './credential-file.ts';
import { credentialFinder } from './credentials.ts';
import type { EndpointAddress, Endpoints } from './endpoints.ts';
import { endpointsOf, isListed, registryName } from './endpoints.ts';
import { withMirrors } from './errors.ts';
import { deleteManifest, getManifest, headManifest, listTags, putManifest } from './manifest.ts';
import type { FetchedManifest, ManifestToPut } from './manifest.ts';
import { getReferrers } from './referrers-api.ts';
import type { Session } from './session.ts';
import { createSession } from './session.ts';

export interface RegistryClientOptions {
  /** Credential files, proxies and certificates are found through it. */
  readonly env: NodeJS.ProcessEnv;
  /** Hosts (`host` or `host:port`) that may be spoken to without TLS, or with a certificate that is not checked. Loopback may always be plain. */
  readonly insecure?: readonly string[] | undefined;
  /** Token servers (`host` or `host:port`) that may see credentials though they are on another's host. */
  readonly trustedRealms?: readonly string[] | undefined;
  /** Where a registry really is: `{ 'docker.io': '127.0.0.1:5000' }`. Credentials stay those of the registry. */
  readonly hostAliases?: Readonly<Record<string, string>> | undefined;
  /** `host[:port][/prefix]` per registry, tried in order before it for reading; never for writing (R-MIR-1). */
  readonly mirrors?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Hosts, in the form of `insecure`, that may be sent layers which live elsewhere (R-PULL-4). */
  readonly nondistributable?: readonly string[] | undefined;
  /** What has a mirror, here or in a file, is read from its mirrors alone. */
  readonly mirrorsOnly?: boolean | undefined;
  /** Replaces the credential files: `--creds`, tests. */
  readonly credentials?: FindCredential | undefined;
  readonly retry?: RetryPolicy | undefined;
  readonly http?: Pick<HttpClientOptions, 'certificateDirectories' | 'timeouts'> | undefined;
  /** Where the files are that say how registries are reached (`endpointsOf`); default: the usual places, false: nowhere. */
  readonly files?: RegistryPlaces | false | undefined;
  readonly emit?: Emit | undefined;
  /** Ends everything that this client does. */
  readonly signal?: AbortSignal | undefined;
}

/** A repository of a registry; a Reference is one. */
export interface Repository {
  /** As in a reference: `docker.io`, `ghcr.io`, `localhost:5000`. */
  readonly registry: string;
  readonly repository: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Where a repository can be read or written: one of its mirrors, or itself. */
export interface Endpoint {
  readonly session: Session;
  /** The API's root, `/v2` at most places. */
  readonly root: string;
  /** With a mirror's prefix before it. */
  readonly repository: string;
  /** The registry that a mirror stands in for, where it is to be told. */
  readonly namespace: string | undefined;
  /** What the user calls it, for messages. */
  readonly subject: string;
}

/**
 * The distribution-spec's calls, one for one. Everything that comes back is checked: manifests and blobs against their digest and size,
 * documents for shape. Errors: IMAGE_NOT_FOUND, IMAGE_INVALID, CHECKSUM_MISMATCH, REGISTRY_*, CREDENTIALS_INVALID; an abort throws the
 * signal's reason. `tag` arguments take a tag or a digest.
 */
export interface RegistryClient extends AsyncDisposable {
  /** Descriptor by HEAD, or by GET where a registry's HEAD says too little. undefined: there is none. */
  headManifest(from: Repository, tag: string, options?: CallOptions): Promise<Descriptor | undefined>;
  getManifest(from: Repository, tag: string, options?: CallOptions): Promise<FetchedManifest>;
  /**
   * Verified: never more than `descriptor.size` bytes, throws at the end when they are not the digest's; read again then, they come from the
   * registry itself and no mirror. Goes on after a broken connection.
   */
  getBlob(from: Repository, descriptor: Descriptor, options?: OpenOptions): ByteStream;
  blobExists(at: Repository, digest: Digest, options?: CallOptions): Promise<boolean>;
  /** Makes sure that the blob is there: looks, mounts, sends. Its `open` is called only for sending. */
  uploadBlob(to: Repository, blob: BlobToUpload, options?: UploadOptions): Promise<UploadOutcome>;
  /** Sends a blob whose digest shows only at its end. */
  uploadStream(
    to: Repository,
    open: () => ByteStream,
    options?: UploadOptions,
  ): Promise<{ digest: Digest; size: number }>;
  /** `subject`: the registry will list the manifest among the referrers of its subject. */
  putManifest(
    to: Repository,
    tag: string,
    manifest: ManifestToPut,
    options?: CallOptions,
  ): Promise<{ readonly subject: boolean }>;
  /** What refers to a digest; undefined where the registry has no such list (R-REF-1). All of them: `artifactType` only saves work. */
  getReferrers(
    from: Repository,
    digest: Digest,
    options?: CallOptions & { readonly artifactType?: string | undefined },
  ): Promise<readonly Descriptor[] | undefined>;
  /**
   * What registries.conf calls a short name of Docker Hub's, `registry.example/name`. Short names are Docker Hub's all the same, as with
   * docker: what a Dockerfile means must not depend on the machine. So this is for hints.
   */
  aliasOf(name: Repository): Promise<string | undefined>;
  /** By tag this name alone, by digest all of them. Throws IMAGE_NOT_FOUND, REGISTRY_ERROR where the registry does not do that. */
  deleteManifest(at: Repository, tag: string, options?: CallOptions): Promise<void>;
  /** In the registry's order. */
  listTags(from: Repository, options?: CallOptions): Promise<readonly string[]>;
  /** Whether layers may be sent there whose licence may forbid it (R-PULL-4): the user or docker's daemon.json says so. */
  takesNondistributable(to: Repository): Promise<boolean>;
  /** Starts an upload and cancels it: throws what a push would throw. */
  checkPush(to: Repository, options?: CallOptions): Promise<void>;
  /** `GET /v2/` with the credentials: throws REGISTRY_UNAUTHORIZED when they are refused. For `login`. */
  checkLogin(registry: string, options?: CallOptions): Promise<void>;
}

function spoiltWarning({ message }: BuildError): Diagnostic {
  const hint = 'a proxy, a mirror or the line may be broken: it is read once more, from the registry itself';
  return { severity: 'warning', rule: 'SpoiltBlob', message, hint };
}

/** Connections, tokens and what was learnt of each registry live as long as the client. Does nothing before its first call. */
export function createRegistryClient(options: RegistryClientOptions): RegistryClient {
  const insecure = options.insecure ?? [];
  const http = createHttpClient({ ...options.http, env: options.env, insecure });
  const find = options.credentials ?? credentialFinder(options.env);
  const sessions = new Map<string, Session>();
  /** Blobs that have come with wrong bytes: from then on the registry itself is asked for them, no mirror. */
  const spoilt = new Set<Digest>();

  const files = openRegistryFiles(
    options.files === false ? noPlaces : (options.files ?? registryPlaces(options.env)),
    (diagnostic) => options.emit?.({ type: 'diagnostic', diagnostic }),
  );

  function connect(address: EndpointAddress): Endpoint {
    const { repository, namespace, ...place } = address;
    const key = JSON.stringify(place);
    const session =
      sessions.get(key) ??
      createSession({
        ...place,
        ...{ http, find },
        trustedRealms: options.trustedRealms ?? [],
        policy: options.retry ?? defaultRetryPolicy,
        emit: options.emit,
        signal: options.signal,
      });
    sessions.set(key, session);
    return { session, root: place.root, repository, namespace, subject: `${place.name}/${repository}` };
  }

  let meta: ReturnType<typeof metaHeaders> | undefined;

  async function places(at: Repository, tag?: string): Promise<Endpoints> {
    const fromFiles = await files.of(at.registry);
    const headers = await (meta ??= metaHeaders(options.env));
    const wanted = tag === undefined ? {} : isDigest(tag) ? { digest: tag } : { tag };
    return endpointsOf(
      { registry: at.registry, repository: at.repository, ...wanted },
      {
        ...fromFiles,
        mirrors: options.mirrors,
        mirrorsOnly: options.mirrorsOnly,
        insecure: [...insecure, ...(fromFiles.insecure ?? [])],
        hostAliases: options.hostAliases,
        headers,
      },
    );
  }

  /** Where it is written, and where the registry itself answers for what it has. */
  const upstream = async (at: Repository): Promise<Endpoint> => connect((await places(at)).write);

  const readers = async (from: Repository, tag: string): Promise<readonly Endpoint[]> =>
    (await places(from, tag)).read.map(connect);

  const namesake = async (from: Repository): Promise<Endpoint> => {
    const endpoint = (await readers(from, 'latest')).at(-1);
    if (endpoint === undefined) throw new Error('there is always an endpoint');
    return endpoint;
  };

  /**
   * Reading: the first endpoint that has it. The last one's error counts, for it is the registry that the user named; what the mirrors before
   * it have said is told with it.
   */
  async function fromAny<T>(
    from: Repository,
    tag: string,
    read: (endpoint: Endpoint) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const endpoints = await readers(from, tag);
    const before: string[] = [];
    for (const [index, endpoint] of endpoints.entries()) {
      const isLast = index === endpoints.length - 1;
      try {
        const value = await read(endpoint);
        if (value !== undefined || isLast) return value;
        before.push(`${endpoint.subject} is not there`);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof BuildError)) throw error;
        if (isLast) throw withMirrors(error, before);
        before.push(error.message);
      }
    }
    return undefined;
  }

  const withSignal = <T extends CallOptions>(call: T | undefined): T & CallOptions => {
    const both = [options.signal, call?.signal].filter((signal) => signal !== undefined);
    const signal = both.length > 1 ? AbortSignal.any(both) : both[0];
    return { ...call, signal } as T & CallOptions;
  };

  return {
    headManifest: (from, tag, call) =>
      fromAny(from, tag, (endpoint) => headManifest(endpoint, tag, withSignal(call))),
    async getManifest(from, tag, call) {
      const found = await againIfSpoilt(() =>
        fromAny(from, tag, (endpoint) => getManifest(endpoint, tag, withSignal(call))),
      );
      if (found === undefined) throw new Error('the last endpoint throws');
      return found;
    },
    getBlob: (from, descriptor, call) => {
      const { digest } = descriptor;
      const endpoints = async (): Promise<readonly Endpoint[]> => {
        const all = await readers(from, digest);
        return spoilt.has(digest) ? all.slice(-1) : all;
      };
      return readBlob(endpoints, descriptor, {
        ...withSignal(call),
        http,
        policy: options.retry ?? defaultRetryPolicy,
        onSpoilt: (error) => {
          if (!spoilt.has(digest)) options.emit?.({ type: 'diagnostic', diagnostic: spoiltWarning(error) });
          spoilt.add(digest);
        },
      });
    },
    blobExists: async (at, digest, call) => blobExists(await upstream(at), digest, withSignal(call)),
    uploadBlob: async (to, blob, call) => uploadBlob(await upstream(to), blob, withSignal(call)),
    uploadStream: async (to, open, call) => uploadStream(await upstream(to), open, withSignal(call)),
    // oxlint-disable-next-line max-params -- the interface's own
    putManifest: async (to, tag, manifest, call) =>
      againIfSpoilt(async () => putManifest(await upstream(to), { tag, ...manifest }, withSignal(call))),
    deleteManifest: async (at, tag, call) => deleteManifest(await upstream(at), tag, withSignal(call)),
    // Lists are those of the place that the name stands for: a mirror may know a part.
    listTags: async (from, call) => listTags(await namesake(from), withSignal(call)),
    getReferrers: async (from, digest, call) =>
      getReferrers(await namesake(from), digest, { ...call, ...withSignal(call) }),
    aliasOf: async ({ registry, repository }) => {
      if (registryName(registry) !== 'docker.io') return undefined;
      const { aliases } = await files.registriesConf();
      const found = aliases.get(repository.replace(/^library\//, ''))?.name;
      return found === undefined || found.registry === 'docker.io'
        ? undefined
        : `${found.registry}/${found.repository}`;
    },
    async takesNondistributable(to) {
      const inFiles = (await files.of(to.registry)).nondistributable ?? [];
      return isListed(registryName(to.registry), [...(options.nondistributable ?? []), ...inFiles]);
    },
    checkPush: async (to, call) => checkUpload(await upstream(to), withSignal(call)),
    async checkLogin(registry, call) {
      const [host = ''] = normalScope(registry).split('/');
      const { session: own, root } = await upstream({ registry: host, repository: '' });
      const task = { registry: own.name, subject: own.name, kind: 'login' } as const;
      const response = await own.send({
        method: 'GET',
        target: `${root}/`,
        access: { repository: '', scopes: [], task },
        expect: [200],
        ...withSignal(call),
      });
      await response.discard();
    },
    [Symbol.asyncDispose]: () => http[Symbol.asyncDispose](),
  };
}
