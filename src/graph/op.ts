import type { Digest } from '../oci/digest.ts';
import type { Platform } from '../oci/platform.ts';

/** Where in an op's vertex `inputs` a filesystem is; undefined is the empty filesystem. */
export type InputIndex = number;

/** A base image, pinned: `digest` is that of the manifest for one platform. `reference` is for messages and for pulling. */
export interface ImageOp {
  readonly kind: 'image';
  readonly reference: string;
  readonly digest: Digest;
  readonly platform: Platform;
}

/** A build context: 'context' is the main one, any other name one of --build-context. Always evaluated; consumers key on content. */
export interface ContextOp {
  readonly kind: 'context';
  readonly name: string;
}

/** One file by HTTP(S), ADD of a URL (L-ADD-2): mode 0600, owner 0:0, mtime from Last-Modified. The tree has this file alone. */
export interface HttpOp {
  readonly kind: 'http';
  readonly url: string;
  /** The file's name in the resulting tree. */
  readonly filename: string;
  readonly checksum?: Digest;
}

/** A git checkout (L-ADD-4). */
export interface GitOp {
  readonly kind: 'git';
  readonly url: string;
  readonly ref?: string;
  readonly subdir?: string;
  readonly keepGitDir?: boolean;
  readonly checksum?: string;
  readonly submodules?: boolean;
  /** Files have the time of the commit; without it that of the checkout. */
  readonly mtime?: 'commit';
  /** `checksum` is asked for by its id, and `ref` is not looked at. */
  readonly fetchByCommit?: boolean;
}

export type CacheSharing = 'shared' | 'private' | 'locked';

/** `RUN --mount` (L-MNT). Targets are absolute and clean. */
export type ExecMount =
  | {
      readonly type: 'bind';
      readonly target: string;
      readonly input: InputIndex | undefined;
      readonly source: string;
      readonly readonly: boolean;
    }
  | {
      readonly type: 'cache';
      readonly target: string;
      readonly id: string;
      readonly sharing: CacheSharing;
      readonly readonly: boolean;
      /** Initial content. */
      readonly input: InputIndex | undefined;
      readonly source: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | { readonly type: 'tmpfs'; readonly target: string; readonly size?: number; readonly readonly?: true }
  | {
      readonly type: 'secret';
      readonly id: string;
      /** Absent: only in the environment. */
      readonly target?: string;
      readonly env?: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly type: 'ssh';
      readonly id: string;
      readonly target: string;
      readonly required: boolean;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    };

/** RUN. `args` is the final argv; `env` is complete (`K=V`, PATH included) but for proxy variables and secrets. */
export interface ExecOp {
  readonly kind: 'exec';
  readonly base: InputIndex | undefined;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  /** As written in USER; '' is root. */
  readonly user: string;
  readonly mounts: readonly ExecMount[];
  readonly network: 'default' | 'none' | 'host';
  readonly security: 'sandbox' | 'insecure';
  readonly hostname: string;
  readonly platform: Platform;
  /** Files that exist only while the step runs (heredoc scripts with a shebang line, L-HD-2): mounted read-only at `path`. */
  readonly files: readonly { readonly path: string; readonly content: string; readonly mode: number }[];
}

/** Where the files of one COPY or ADD come from. */
export type CopySource =
  /** Paths or patterns below the root of an input; `extract`: a tar archive among them is unpacked (ADD of local files, L-ADD-1). */
  | {
      readonly kind: 'input';
      readonly input: InputIndex;
      readonly paths: readonly string[];
      readonly extract: boolean;
    }
  /** A heredoc (L-ADD-5). */
  | { readonly kind: 'inline'; readonly name: string; readonly content: string; readonly mode: number };

/** COPY or ADD: one layer on top of `base`, from sources in order. No source is the input `base`: one filesystem in both roles is two inputs. */
export interface CopyOp {
  readonly kind: 'copy';
  readonly base: InputIndex | undefined;
  readonly sources: readonly CopySource[];
  /** Absolute; a trailing slash says that it is a directory. */
  readonly dest: string;
  /** Context files become 0:0, files of stages keep their owner; `chown` overrides both. As written. */
  readonly chown?: string;
  /** Octal, or a symbolic list of chmod(1). As written, after expansion. */
  readonly chmod?: string;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  /** COPY --link: never looks at `base` (L-COPY-14). */
  readonly link: boolean;
}

/** WORKDIR: makes a directory with its parents, mode 0755, owned by `user`; a layer of its own (L-WD-1). */
export interface MkdirOp {
  readonly kind: 'mkdir';
  readonly base: InputIndex | undefined;
  readonly path: string;
  readonly user: string;
}

/** Stacks the layers of its inputs, first to last. */
export interface MergeOp {
  readonly kind: 'merge';
}

/** What a vertex does. Pure data: no functions, no host paths, no secret values. */
export type Op = ImageOp | ContextOp | HttpOp | GitOp | ExecOp | CopyOp | MkdirOp | MergeOp;
export type OpKind = Op['kind'];
export type OpOf<K extends OpKind> = Extract<Op, { readonly kind: K }>;
