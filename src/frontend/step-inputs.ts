import type { Digest } from '../oci/digest.ts';

/**
 * The inputs of a step: what it stands on comes first, and is never shared with what it reads, even where both are the same filesystem.
 * They are keyed in different ways: of the one the whole counts, of the other the paths that are read.
 */
export class StepInputs {
  /** Where the base is in `digests`. */
  readonly base: 0 | undefined;
  readonly #digests: Digest[];

  constructor(base: Digest | undefined) {
    this.base = base === undefined ? undefined : 0;
    this.#digests = base === undefined ? [] : [base];
  }

  get digests(): readonly Digest[] {
    return this.#digests;
  }

  /** Adds what the step reads; returns where it is in `digests`. */
  add(digest: Digest): number {
    const known = this.#digests.indexOf(digest, this.base === undefined ? 0 : 1);
    return known >= 0 ? known : this.#digests.push(digest) - 1;
  }
}
