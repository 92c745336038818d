import { createHash } from 'node:crypto';
import type { Digest } from '../oci/digest.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { promisedDigest, promising, through } from '../util/streams.ts';

/**
 * The same bytes; throws IMAGE_INVALID at their end when they are not those of the digest, and as soon as they are more than
 * `size`. Whoever uses the bytes before the end must be able to take back what it did with them.
 */
export function verified(stream: ByteStream, expected: Expected): AsyncGenerator<Uint8Array> {
  // Hashing costs more than all else that is done to a byte between a socket and a file.
  return promisedDigest(stream) === expected.digest
    ? through(stream, (bytes) => sized(bytes, expected))
    : promising(hashed(sized(stream, expected), expected), expected.digest);
}

interface Expected {
  readonly digest: Digest;
  readonly size?: number | undefined;
}

async function* sized(stream: ByteStream, expected: Expected): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (expected.size !== undefined && size > expected.size) {
      throw new BuildError(
        'IMAGE_INVALID',
        `${expected.digest} has more than the ${expected.size} bytes it should have`,
      );
    }
    yield chunk;
  }
  if (expected.size !== undefined && size !== expected.size) {
    throw new BuildError(
      'IMAGE_INVALID',
      `${expected.digest} has ${size} bytes and should have ${expected.size}`,
    );
  }
}

async function* hashed(stream: ByteStream, expected: Expected): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const chunk of stream) {
    hash.update(chunk);
    yield chunk;
  }
  const digest: Digest = `sha256:${hash.digest('hex')}`;
  if (digest !== expected.digest) {
    throw new BuildError(
      'IMAGE_INVALID',
      `content has the digest ${digest} and should have ${expected.digest}`,
      {
        details: { expected: expected.digest, actual: digest },
      },
    );
  }
}

/** The same bytes, counted: `onProgress` gets the total so far; stops with the signal's reason when that is aborted. */
export function observed(stream: ByteStream, options: Observer = {}): AsyncGenerator<Uint8Array> {
  return through(stream, (bytes) => observe(bytes, options));
}

interface Observer {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

async function* observe(stream: ByteStream, options: Observer): AsyncGenerator<Uint8Array> {
  let total = 0;
  options.signal?.throwIfAborted();
  for await (const chunk of stream) {
    options.signal?.throwIfAborted();
    total += chunk.length;
    yield chunk;
    options.onProgress?.(total);
  }
}
