import { BuildError } from '../util/build-error.ts';
import type { Needle } from '../util/secret-needles.ts';
import type { FoundSecret } from '../util/secret-search.ts';
import { SecretSearch } from '../util/secret-search.ts';
import type { ByteStream } from '../util/streams.ts';
import type { Entry, EntryStream } from './entry.ts';

/** What new layers are searched for. Plain data, for other processes. */
export interface SecretGateData {
  readonly needles: readonly Needle[];
  /** Ids of secrets that may be in an image. */
  readonly allowed: readonly string[] | 'all';
}

/** A secret in a layer. Plain data. */
export interface LayerLeak extends FoundSecret {
  /** As it is in the image: absolute. */
  readonly path: string;
  /** What of the file holds it. */
  readonly where: 'content' | 'name' | 'link target' | 'attribute';
}

/** Leaks that are told of one layer. */
const mostLeaks = 20;

/**
 * Searches the entries of a layer while they are written: names, link targets, extended attributes, and contents as they are read, so that
 * none is read for it. A layer with a leak never comes to be: the stream ends in SECRET_LEAK. Those that are allowed are in `leaks`.
 */
export class LayerInspection {
  readonly leaks: LayerLeak[] = [];
  readonly #search: SecretSearch;
  readonly #allowed: SecretGateData['allowed'];

  constructor({ needles, allowed }: SecretGateData) {
    this.#search = searchOf(needles);
    this.#allowed = allowed;
  }

  async *watch(entries: EntryStream): AsyncGenerator<Entry> {
    for await (const entry of entries) yield this.#inspect(entry);
    const forbidden = this.leaks.filter(({ secret }) => !isAllowed(this.#allowed, secret));
    if (forbidden.length > 0) throw leakError(forbidden);
  }

  #inspect(entry: Entry): Entry {
    const tell =
      (where: LayerLeak['where']) =>
      (found: FoundSecret): void => {
        const leak = { ...found, path: `/${entry.path}`, where };
        if (this.leaks.length < mostLeaks && !this.leaks.some((known) => covers(known, leak)))
          this.leaks.push(leak);
      };
    for (const found of this.#search.inText(entry.path)) tell('name')(found);
    if (entry.type === 'symlink')
      for (const found of this.#search.inText(entry.linkTarget ?? '')) tell('link target')(found);
    for (const [name, value] of Object.entries(entry.xattrs ?? {})) {
      const see = this.#search.stream(tell('attribute'));
      see(Buffer.from(`${name}\0`));
      see(value);
    }
    const { content } = entry;
    if (content === undefined) return entry;
    return { ...entry, content: () => seen(content(), this.#search.stream(tell('content'))) };
  }
}

/** A name counts once, not again for all that is below it. */
function covers(known: LayerLeak, leak: LayerLeak): boolean {
  if (known.secret !== leak.secret || known.where !== leak.where) return false;
  return known.path === leak.path || (leak.where === 'name' && leak.path.startsWith(`${known.path}/`));
}

async function* seen(bytes: ByteStream, see: (chunk: Uint8Array) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    see(chunk);
    yield chunk;
  }
}

/** By list: its search is made once. */
const searches = new WeakMap<readonly Needle[], SecretSearch>();

export function searchOf(needles: readonly Needle[]): SecretSearch {
  const known = searches.get(needles) ?? new SecretSearch(needles);
  searches.set(needles, known);
  return known;
}

export function isAllowed(allowed: SecretGateData['allowed'], secret: string): boolean {
  return allowed === 'all' || allowed.includes(secret);
}

/** SECRET_LEAK for secrets in a layer. */
export function leakError(leaks: readonly LayerLeak[]): BuildError {
  const ids = [...new Set(leaks.map(({ secret }) => secret))];
  return new BuildError('SECRET_LEAK', leakMessage(leaks), {
    hint: `use it where it is mounted and write it nowhere else; \`--allow ${ids.map((id) => `secret.leak=${id}`).join(',')}\` builds it anyway`,
    details: { leaks },
  });
}

/** One line of each leak: `the secret npm is in /root/.npmrc, as base64`. */
export function leakMessage(leaks: readonly LayerLeak[]): string {
  return leaks
    .map(({ secret, path, where, form }) => {
      const place = where === 'content' ? path : `the ${where} of ${path}`;
      return `the secret \`${secret}\` is in ${place}${spelling(form)}`;
    })
    .join('\n');
}

/** How a secret is written where it was found. */
export function spelling(form: FoundSecret['form']): string {
  return { plain: '', base64: ', as base64', hex: ', in hex', url: ', as in a URL' }[form];
}
