import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Diagnostic, Emit } from '../progress/event.ts';
import type { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import type { SpaceOptions } from './store-types.ts';

export type * from './verb-types.ts';

/** What every function of the library takes. */
export interface CommonOptions {
  /** Store location; default `$XDG_DATA_HOME/tsbuild`, else `~/.local/share/tsbuild`. */
  readonly root?: string | undefined;
  /** The environment for configuration: DOCKER_CONFIG, proxies, XDG_*, SOURCE_DATE_EPOCH. Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Aborting rejects with INTERRUPTED once everything has been cleaned up. */
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: Emit | undefined;
  /** Registries (`host`, `host:port`, a network such as `10.0.0.0/8`, `*` for any) that may be spoken to over plain HTTP, or TLS that is
   * not checked; loopback hosts may always be plain. */
  readonly insecureRegistries?: readonly string[] | undefined;
  /** Token servers (host or host:port) that may see credentials though they are on another host than their registry; Docker Hub's may. */
  readonly trustedRealms?: readonly string[] | undefined;
  /** Mirrors per registry, tried in order before it for pulls: `{ 'docker.io': ['mirror.example:5000'] }`. */
  readonly registryMirrors?: Readonly<Record<string, readonly string[]>> | undefined;
  /** Registries, in the form of `insecureRegistries`, that layers are pushed to which others only name by where they are (`foreign`,
   * `nondistributable`): their licence may forbid it. */
  readonly nondistributableRegistries?: readonly string[] | undefined;
  /** A registry that has a mirror, given here or by a file, is not asked itself when its mirrors fail. Pushes go to it all the same. */
  readonly mirrorsOnly?: boolean | undefined;
  /**
   * Whether the configuration files of containerd (`hosts.toml`), BuildKit (`buildkitd.toml`), containers (`registries.conf`), docker
   * (`daemon.json`) and both certs.d say how registries are reached; false: none of them is read.
   */
  readonly registryFiles?:
    | false
    | {
        /** Instead of containerd's certs.d; BuildKit's usual files are then not read. */
        readonly hostsDirectories?: readonly string[] | undefined;
        /** A buildkitd.toml that must be there; containerd's usual certs.d is then not read. */
        readonly buildkitdConfig?: string | undefined;
      }
    | undefined;
  /** Credentials by registry (`docker.io`, `host:port`), before those of files and helpers; no other host ever sees them. */
  readonly credentials?: Readonly<Record<string, RegistryCredential>> | undefined;
  /**
   * PEM files of certificate authorities, for every TLS connection of tsbuild and of its RUN steps, besides those that are trusted anyway.
   * They reach no layer and no cache key. Default: `TSBUILD_CA` of `env`.
   */
  readonly certificateAuthorities?: readonly string[] | undefined;
}

export interface RegistryCredential {
  readonly username: string;
  readonly password: string;
}

/** Where a secret's bytes come from; `value` is for callers of the library. */
export interface SecretOption {
  readonly id: string;
  readonly file?: string | undefined;
  readonly env?: string | undefined;
  readonly value?: Uint8Array | string | undefined;
}

/** `--ssh id=path`: an agent socket, or private key files. Without paths: the agent of SSH_AUTH_SOCK. */
export interface SshOption {
  readonly id: string;
  readonly paths: readonly string[];
}

export interface UlimitOption {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

/** What a step may use of the machine. */
export interface ResourceLimits {
  /** Bytes. */
  readonly memory?: number | undefined;
  /** Bytes of memory and swap together; -1 is unlimited. Default: twice the memory. */
  readonly memorySwap?: number | undefined;
  /** Processors, also in parts. */
  readonly cpus?: number | undefined;
  /** Weight against others, 1024 being usual. */
  readonly cpuShares?: number | undefined;
  /** Microseconds of each period; -1 is unlimited. */
  readonly cpuQuota?: number | undefined;
  /** Microseconds. */
  readonly cpuPeriod?: number | undefined;
  /** Lists, such as `0-2,4`. */
  readonly cpusetCpus?: string | undefined;
  readonly cpusetMems?: string | undefined;
}

export type OutputType = 'oci' | 'docker' | 'tar' | 'local' | 'image' | 'registry' | 'cacheonly';

/** One `-o`. `image` puts it into the store (the default), `oci` and `docker` write an archive (with `tar: false` an OCI layout directory). */
export interface OutputOption {
  readonly type: OutputType;
  /** File or directory; a `-` means stdout, which the caller passes as `stream`. */
  readonly dest?: string | undefined;
  readonly stream?: NodeJS.WritableStream | undefined;
  /** Names that this output gets besides `tags`. */
  readonly names?: readonly string[] | undefined;
  readonly push?: boolean | undefined;
  readonly tar?: boolean | undefined;
  readonly compression?: 'gzip' | 'zstd' | 'uncompressed' | undefined;
  readonly compressionLevel?: number | undefined;
  readonly forceCompression?: boolean | undefined;
  readonly ociMediaTypes?: boolean | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** `registry.insecure=true`: plain HTTP for this push. */
  readonly insecure?: boolean | undefined;
}

/** GitHub's cache service; address and token are those that a job has in `ACTIONS_RESULTS_URL` and `ACTIONS_RUNTIME_TOKEN`. */
export interface GhaCachePlace {
  readonly type: 'gha';
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  /** Caches of differing scopes do not see each other. Default `tsbuild`. */
  readonly scope?: string | undefined;
  /** Milliseconds for each call. Default ten minutes. */
  readonly timeout?: number | undefined;
}

/** An S3 bucket, or what speaks its protocol. What is not given comes from AWS_REGION, AWS_ACCESS_KEY_ID and the like. */
export interface S3CachePlace {
  readonly type: 's3';
  readonly bucket?: string | undefined;
  readonly region?: string | undefined;
  /** Before all keys. */
  readonly prefix?: string | undefined;
  /** Default `blobs/`. */
  readonly blobsPrefix?: string | undefined;
  /** Default `manifests/`. */
  readonly manifestsPrefix?: string | undefined;
  /** Of the cache. Default `tsbuild`. */
  readonly name?: string | undefined;
  readonly endpointUrl?: string | undefined;
  /** The bucket stands in the path, not in the host's name. */
  readonly usePathStyle?: boolean | undefined;
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly sessionToken?: string | undefined;
}

/** One `--cache-from` (KB-1 to KB-5): a registry reference of a cache, or of an image with an inline cache; an OCI layout; a service. */
export type CacheImport =
  | { readonly type: 'registry'; readonly ref: string; readonly insecure?: boolean | undefined }
  | {
      readonly type: 'local';
      readonly src: string;
      /** Default `latest`. */
      readonly tag?: string | undefined;
      readonly digest?: Digest | undefined;
    }
  | GhaCachePlace
  | S3CachePlace;

/** What every export may say. */
export interface CacheExportSettings {
  /** `min`: the steps of the image; `max`: those of all stages. Default `min`. */
  readonly mode?: 'min' | 'max' | undefined;
  /** Of layers that have no blob yet; with `forceCompression` of all. Default: as the output's. */
  readonly compression?: 'gzip' | 'zstd' | 'uncompressed' | undefined;
  readonly compressionLevel?: number | undefined;
  readonly forceCompression?: boolean | undefined;
  /** One manifest, not an index with the blobs in it. Default true. */
  readonly imageManifest?: boolean | undefined;
  readonly ociMediaTypes?: boolean | undefined;
  /** False: a failure to export ends the build with its error. Else it is one warning. */
  readonly ignoreError?: boolean | undefined;
}

/** One `--cache-to`. `inline` writes into the config of the image, which is then a cache for `type=registry`; it has no settings. */
export type CacheExport =
  | { readonly type: 'inline' }
  | (CacheExportSettings &
      (
        | { readonly type: 'registry'; readonly ref: string; readonly insecure?: boolean | undefined }
        | {
            readonly type: 'local';
            readonly dest: string;
            /** Default `latest`. */
            readonly tag?: string | undefined;
            /** Removes blobs that nothing in the directory refers to afterwards. */
            readonly reset?: boolean | undefined;
          }
        | GhaCachePlace
        | S3CachePlace
      ));

/** One `--cache-mounts-from`. */
export type CacheMountsImport = Extract<CacheImport, { readonly type: 'registry' | 'local' }>;

/** One `--cache-mounts-to`. */
export type CacheMountsExport =
  | { readonly type: 'registry'; readonly ref: string; readonly insecure?: boolean | undefined }
  | {
      readonly type: 'local';
      readonly dest: string;
      /** Default `latest`. */
      readonly tag?: string | undefined;
      readonly reset?: boolean | undefined;
    };

export interface BuildOptions extends CommonOptions, SpaceOptions {
  /**
   * Asked after each piece of a step's output that `onEvent` got: while a promise is open, no more is read of that step's output, and the
   * step waits once its pipe is full. For whoever passes output on to a reader that may be slow; undefined: go on.
   */
  readonly drained?: (() => Promise<void> | undefined) | undefined;
  /** A directory, a URL (git, tarball, Dockerfile), or a stream with a tar or a bare Dockerfile. Default '.'. */
  readonly context?: string | { readonly stream: ByteStream } | undefined;
  /** Path, URL or the text itself; a relative path is below the working directory. Default: `Dockerfile` in the context. */
  readonly dockerfile?: string | { readonly text: string } | { readonly stream: ByteStream } | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly buildArgs?: Readonly<Record<string, string>> | undefined;
  readonly target?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** `linux/amd64`; default: DOCKER_DEFAULT_PLATFORM of `env`, else the host's. */
  readonly platform?: string | undefined;
  /**
   * `git`: files of the contexts have mode 0755 where their owner may execute them, else 0644, and directories 0755, as git keeps them; so
   * checkouts that were made under different umasks give the same image, and share the cache. Default: the modes that they have.
   */
  readonly contextModes?: 'git' | undefined;
  readonly noCache?: boolean | undefined;
  /** Stages that are run anew. */
  readonly noCacheFilter?: readonly string[] | undefined;
  /** A line of the Dockerfile: the instruction there, the later ones of its stage and all that depends on them are run anew. */
  readonly noCacheFrom?: number | undefined;
  /**
   * Caches of other machines, asked in order once a step is not known here. What cannot be read is one warning. Nothing of them is
   * downloaded but what a step or an output reads. Whoever can write one of them decides what the cached steps yield.
   */
  readonly cacheFrom?: readonly CacheImport[] | undefined;
  /** Where the steps of this build are kept for other machines, after its outputs are written. */
  readonly cacheTo?: readonly CacheExport[] | undefined;
  /**
   * Where content of cache mounts comes from that no step has used here, asked in order before a step that mounts them runs. What cannot be
   * read is a warning. Whoever can write there decides what steps find in their cache mounts.
   */
  readonly cacheMountsFrom?: readonly CacheMountsImport[] | undefined;
  /** Where the cache mounts of the build's steps are kept for other machines, whole, after its outputs are written. */
  readonly cacheMountsTo?: readonly CacheMountsExport[] | undefined;
  /** How many builds the history keeps, and for how long; the newest always. Default: 50, 48 hours. false: this one leaves nothing there. */
  readonly history?: { readonly builds: number; readonly hours: number } | false | undefined;
  /** When a registry is asked for the base images; true is `always`. Default: `missing`. */
  readonly pull?: PullPolicy | boolean | undefined;
  readonly secrets?: readonly SecretOption[] | undefined;
  readonly ssh?: readonly SshOption[] | undefined;
  /** name -> directory, `docker-image://ref`, `oci-layout://dir[:tag|@digest]`, git or http URL. */
  readonly buildContexts?: Readonly<Record<string, string>> | undefined;
  /** `name:ip` or `name=ip`. */
  readonly addHosts?: readonly string[] | undefined;
  /** Bytes. */
  readonly shmSize?: number | undefined;
  readonly ulimits?: readonly UlimitOption[] | undefined;
  /** Of each RUN step. Where they cannot be enforced there is one warning. */
  readonly limits?: ResourceLimits | undefined;
  /** `isolated`: as `default`, which then is never the host's: NETWORK_UNAVAILABLE where this host cannot give a network of its own. */
  readonly network?: 'default' | 'none' | 'host' | 'isolated' | undefined;
  /** Called for the first RUN that fails, before the build ends: to look at what it has left. All other steps have been stopped. */
  readonly onFailedStep?: ((step: FailedRun) => Promise<void>) | undefined;
  /**
   * Entitlements: 'network.host', 'security.insecure', and 'secret.leak' (or 'secret.leak=ID' for one secret): the image may hold what
   * `secrets` and `ssh` have given, which else is SECRET_LEAK.
   */
  readonly allow?: readonly string[] | undefined;
  /** Default: one image output into the store. */
  readonly outputs?: readonly OutputOption[] | undefined;
  /** Loads the result into podman or docker as well; or the engine's name. */
  readonly load?: boolean | 'podman' | 'docker' | undefined;
  /** Steps that may run at once; default the number of processors, at least 2. */
  readonly parallelism?: number | undefined;
  /** Milliseconds that the build may take; then everything that runs is ended and it rejects with TIMEOUT. */
  readonly timeout?: number | undefined;
  /** `runc`, `crun`, `youki`, `embedded` or a path; default: the first that works. */
  readonly runtime?: string | undefined;
  /**
   * `chroot`: steps run without namespaces, for containers whose root may make none. Never chosen by itself: such a step is held back by
   * nothing. Default: the best sandbox that works here.
   */
  readonly isolation?: 'default' | 'chroot' | undefined;
  /** Seconds since the epoch; default SOURCE_DATE_EPOCH of `env`. */
  readonly sourceDateEpoch?: number | undefined;
}

/** What a shell is opened with. */
export interface ShellStreams {
  /** Run by `sh -c`; undefined: a shell that reads what it is to do. */
  readonly command?: string | undefined;
  /** Connects this process's own standard streams; then `onOutput` is not called. */
  readonly interactive?: boolean | undefined;
  /** With `interactive`: gives it a terminal of its own, on the one that this process has; USAGE where it has none. */
  readonly tty?: boolean | undefined;
  /** While a promise that it returns is open, no more is read of that stream. */
  readonly onOutput?: ((stream: 'stdout' | 'stderr', data: Uint8Array) => unknown) | undefined;
}

/** A RUN step that has failed. The build has too, and ends once `BuildOptions.onFailedStep` has returned. */
export interface FailedRun {
  /** As progress shows it. */
  readonly name: string;
  /** What the build will reject with. */
  readonly error: BuildError;
  /**
   * Opens a shell in the filesystem that the step has left, in the same sandbox, with its environment, user, directory, mounts and
   * network. What is written there is thrown away. Errors as of a step: STEP_START where there is no `sh`.
   */
  shell(streams: ShellStreams): Promise<{ readonly exitCode: number }>;
}

/** Where `shell` opens: at a line of the Dockerfile, at the end of `target` (or of the last stage), or in an image. */
export interface ShellOptions extends Omit<BuildOptions, 'outputs' | 'tags' | 'load'>, ShellStreams {
  /** A line of the Dockerfile: as it is after the instruction there. */
  readonly line?: number | undefined;
  /** As it is before that line. */
  readonly before?: boolean | undefined;
  /** An image instead, with its environment, user and directory. */
  readonly image?: string | undefined;
  /** Called when everything is there, before the shell starts. */
  readonly onReady?: (() => void) | undefined;
}

export interface BuildResult {
  /** Of the image manifest; undefined when no output has one (local, tar, cacheonly). */
  readonly digest: Digest | undefined;
  /** Of the image config: docker's image id. */
  readonly imageId: Digest | undefined;
  readonly descriptor: Descriptor | undefined;
  /** Canonical names given. */
  readonly names: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
  /** Steps by outcome. */
  readonly steps: { readonly cached: number; readonly run: number };
  /** What `--metadata-file` writes (C-MD-5). */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/**
 * C-CA-3. `always`: each time. `missing`: for what the store does not have. `newer`: each time, and what the store has will do when that fails.
 * `never`: no registry is asked.
 */
export type PullPolicy = 'always' | 'missing' | 'newer' | 'never';
