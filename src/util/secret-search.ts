import type { OnNeedles } from './byte-search.ts';
import { ByteSearch } from './byte-search.ts';
import type { Needle } from './secret-needles.ts';

/** A secret that was found, and how it was written there. */
export interface FoundSecret {
  readonly secret: string;
  readonly form: Needle['form'] | 'url';
}

/** The search for all secrets of a build. Its table is made when it is first used. */
export class SecretSearch {
  readonly needles: readonly Needle[];
  #search: ByteSearch | undefined;

  constructor(needles: readonly Needle[]) {
    this.needles = needles;
  }

  get bytes(): ByteSearch {
    return (this.#search ??= new ByteSearch(this.needles.map(({ bytes }) => bytes)));
  }

  /** Searches one stream, chunk by chunk, for what is a leak; tells of each secret once. */
  stream(onFound: (found: FoundSecret) => void): (chunk: Uint8Array) => void {
    const { bytes } = this;
    const cursor = bytes.start();
    const told = new Set<string>();
    const onNeedles: OnNeedles = (numbers, _, decoded) => {
      for (const number of numbers) {
        const needle = this.needles[number];
        if (needle?.leak !== true || told.has(needle.secret)) continue;
        told.add(needle.secret);
        onFound({ secret: needle.secret, form: decoded ? 'url' : needle.form });
      }
    };
    return (chunk) => bytes.scan(cursor, chunk, onNeedles);
  }

  /** The secrets that a text holds. */
  inText(text: string): readonly FoundSecret[] {
    const found: FoundSecret[] = [];
    this.stream((one) => found.push(one))(Buffer.from(text));
    return found;
  }
}
