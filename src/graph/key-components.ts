import type { Digest } from '../oci/digest.ts';

/**
 * What a cache key was made of, in the user's words: kept beside each record so that a later miss can be explained by the first part that
 * differs. Plain JSON. Nothing in it decides a key, and nothing is taken from it. Values are shown and compared as they stand; long ones
 * are cut, with a hash of the whole.
 */
export interface KeyComponents extends OwnComponents {
  /** The instruction as step names show it, variables as written. */
  readonly text: string;
  /** In the order of the vertex. */
  readonly inputs: readonly InputComponents[];
}

export type Named = readonly (readonly [name: string, value: string])[];

/** What an op's own part of the key is made of. */
export interface OwnComponents {
  /** ARG and ENV values that come into it. */
  readonly values: Named;
  /** Mounts, by target. */
  readonly mounts: Named;
  /** All else: `user`, `workdir`, `--add-host` ... */
  readonly options: Named;
}

export interface InputComponents {
  /** The step, as progress shows it. */
  readonly name: string;
  /** Its part of the key. */
  readonly key?: Digest | undefined;
  /** Where it is a base image: the reference, and the manifest's digest. */
  readonly image?: { readonly reference: string; readonly digest: Digest } | undefined;
  /** What is read of it, where that is known: one entry a file, sorted as it is read. */
  readonly files?: FileComponents | undefined;
}

/** `[path, kind and mode, owner, short hash of content]` of each file; `omitted` counts those that were too many to keep. */
export interface FileComponents {
  readonly list: readonly (readonly [path: string, mode: string, owner: string, hash: string])[];
  readonly omitted?: number;
}
