import type { CachePlace } from '../cache/place.ts';
import { refuseStore } from '../export/output-file.ts';
import type { HttpClient } from '../net/http.ts';
import type { Platform } from '../oci/platform.ts';
import { parseReference } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import type { Session } from './session.ts';
import type { CacheExport, CacheImport } from './types.ts';

type Place = CacheImport | Exclude<CacheExport, { readonly type: 'inline' }>;

/** Opens places of caches; each kind is loaded when it is used. Dispose it after the last call. */
export class CachePlaces implements AsyncDisposable {
  readonly #session: Session;
  readonly #platform: Platform;
  #http: HttpClient | undefined;

  constructor(session: Session, platform: Platform) {
    this.#session = session;
    this.#platform = platform;
  }

  /** Asks nobody. Throws USAGE, REFERENCE_INVALID, UNSUPPORTED_HERE. */
  async open(place: Place): Promise<CachePlace> {
    const session = this.#session;
    switch (place.type) {
      case 'registry': {
        const { registryPlace } = await import('../cache/registry-place.ts');
        const reference = parseReference(place.ref);
        const options = place.insecure === true ? { insecure: [reference.registry] } : undefined;
        let client: ReturnType<Session['registry']> | undefined;
        return registryPlace(() => (client ??= session.registry(options)), reference, this.#platform);
      }
      case 'local': {
        const { directoryPlace } = await import('../cache/directory-place.ts');
        if ('src' in place) return directoryPlace({ ...place, directory: place.src });
        refuseStore(place.dest, session.store.root);
        return directoryPlace({ directory: place.dest, tag: place.tag, reset: place.reset });
      }
      case 'gha': {
        const { ghaPlace } = await import('../cache/gha-place.ts');
        return ghaPlace(place, { http: await this.#client(), env: session.env });
      }
      case 's3': {
        const { s3Place } = await import('../cache/s3-place.ts');
        return s3Place(place, { http: await this.#client(), env: session.env });
      }
      default:
        throw new BuildError(
          'USAGE',
          `\`${String((place as { type?: unknown }).type)}\` is no type of a cache`,
        );
    }
  }

  async #client(): Promise<HttpClient> {
    const { createHttpClient } = await import('../net/http.ts');
    return (this.#http ??= createHttpClient({ env: this.#session.env }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http?.[Symbol.asyncDispose]();
  }
}
