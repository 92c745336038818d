import type { ExecOp } from '../../graph/op.ts';

/** So much of the end of a step's output is looked at when it has failed. Bytes. */
const looked = 16_384;

/** Keeps the end of a step's output: no more than a list of its last pieces, which is read only when the step fails. */
export class OutputEnd {
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  push(data: Uint8Array): void {
    // A copy: a small piece may lie in a large buffer that is used again.
    const piece = Uint8Array.prototype.slice.call(data, -looked);
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes > 4 * looked) {
      const end = this.#joined();
      this.#pieces = [end];
      this.#bytes = end.length;
    }
  }

  text(): string {
    return this.#joined().toString('latin1');
  }

  #joined(): Buffer {
    return Buffer.concat(this.#pieces).subarray(-looked);
  }
}

/** What curl, git, pip, npm, Go, apt and wget say of a certificate whose authority they do not know; one that is expired or another host's is no proxy's. */
const unknownAuthority = new RegExp(
  [
    'SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'self[- ]signed certificate|unable to (?:get (?:local )?issuer certificate|verify the first certificate)',
    'unable to locally verify the issuer|certificate signed by unknown authority|The certificate is NOT trusted',
    'server certificate verification failed|certificate verify failed(?!: (?:certificate has expired|(?:hostname|ip address) mismatch))',
  ].join('|'),
  'i',
);

/** What a failed step wrote last tells a cause that has little to do with its command. undefined: nothing that is known. */
export function logHint(
  end: string,
  { args, files }: Pick<ExecOp, 'args' | 'files'>,
  certificates: string | undefined,
): string | undefined {
  if (certificates === undefined && unknownAuthority.test(end))
    return 'a proxy may break up TLS: give its certificate with --ca FILE';
  if (!/Unable to locate package/.test(end)) return undefined;
  const command = [...args, ...files.map(({ content }) => content)].join('\n');
  // Whatever script brings the lists up to date has the word.
  return /\bapt\b/.test(command) && !/\bupdate\b/.test(command)
    ? 'put `apt-get update` into the same RUN, before `apt-get install`'
    : undefined;
}
