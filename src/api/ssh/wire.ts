// The encoding of SSH (RFC 4251, section 5): numbers of four bytes, strings behind their length, large integers as strings.

/** Reads values one after the other. Every method throws RangeError where the bytes end before the value. */
export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at) throw new RangeError('the bytes end within a value');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  uint32(): number {
    return this.take(4).readUInt32BE(0);
  }

  string(): Buffer {
    return this.take(this.uint32());
  }

  text(): string {
    return this.string().toString('latin1');
  }
}

export function wireUint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function wireString(value: Uint8Array | string): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([wireUint32(bytes.length), bytes]);
}

/** A large integer, not negative, from its big-endian bytes. */
export function wireInteger(value: Uint8Array): Buffer {
  const bytes = withoutZeros(value);
  const first = bytes[0];
  return wireString(first !== undefined && first >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);
}

export function withoutZeros(value: Uint8Array): Uint8Array {
  const start = value.findIndex((byte) => byte !== 0);
  return start < 0 ? value.subarray(value.length) : value.subarray(start);
}
