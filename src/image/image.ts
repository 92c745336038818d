import type { ImageConfig } from '../oci/config.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Manifest } from '../oci/manifest.ts';
import type { Layer } from './layer.ts';

/** One image of one platform. The raw bytes decide; parsed objects are views. */
export interface Image {
  /** Of the manifest: media type, digest, size. */
  descriptor(): Promise<Descriptor>;
  rawManifest(): Promise<Uint8Array>;
  rawConfig(): Promise<Uint8Array>;
  manifest(): Promise<Manifest>;
  config(): Promise<ImageConfig>;
  digest(): Promise<Digest>;
  /** Base to top. Opens nothing. */
  layers(): Promise<readonly Layer[]>;
}
