import type { Digest } from './digest.ts';
import type { Platform } from './platform.ts';

/** OCI image-spec, descriptor.md; keys as there. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly urls?: readonly string[];
  readonly platform?: Platform;
  readonly artifactType?: string;
}
