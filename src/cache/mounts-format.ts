import type { Descriptor } from '../oci/descriptor.ts';
import { decodeManifest } from '../oci/decode.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOf, parseDigest } from '../oci/digest.ts';
import { mediaType } from '../oci/media-type.ts';
import { BuildError } from '../util/build-error.ts';
import type { CacheManifest } from './place.ts';

// Content of cache mounts for other machines: an OCI artifact with one blob for each mount, a tar packed with zstd.

export const cacheMountsType = 'application/vnd.tsbuild.cache-mounts.v1';
export const cacheMountType = 'application/vnd.tsbuild.cache-mount.v1.tar+zstd';

const idKey = 'dev.tsbuild.cache-mount.id';
const diffIdKey = 'dev.tsbuild.cache-mount.diff-id';
/** `1777:0:0`: octal mode, owner and group of the directory itself. */
const directoryKey = 'dev.tsbuild.cache-mount.directory';

export interface CacheMountBlob {
  /** As RUN --mount has it; any text. */
  readonly id: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** Of the tar in it. */
  readonly diffId: Digest;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The blob that an artifact without a config has (image-spec manifest.md "Guidance for an Empty Descriptor"). */
export const emptyConfig: Uint8Array = Buffer.from('{}');

export function encodeCacheMounts(mounts: readonly CacheMountBlob[]): Required<CacheManifest> {
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaType.ociManifest,
    artifactType: cacheMountsType,
    config: { mediaType: mediaType.ociEmpty, digest: digestOf(emptyConfig), size: emptyConfig.length },
    layers: mounts.map(({ id, digest, size, diffId, mode, uid, gid }): Descriptor => ({
      mediaType: cacheMountType,
      ...{ digest, size },
      annotations: {
        [idKey]: id,
        [diffIdKey]: diffId,
        [directoryKey]: `${mode.toString(8)}:${uid}:${gid}`,
      },
    })),
  };
  return { mediaType: mediaType.ociManifest, bytes: Buffer.from(JSON.stringify(manifest)) };
}

/** By id. Throws IMAGE_INVALID for what is no such artifact. */
export function decodeCacheMounts({
  bytes,
  mediaType: type,
}: CacheManifest): ReadonlyMap<string, CacheMountBlob> {
  const { artifactType, layers } = decodeManifest(bytes, type);
  if (artifactType !== cacheMountsType)
    throw new BuildError('IMAGE_INVALID', 'this is no artifact with cache mounts', {
      hint: 'name one that --cache-mounts-to has written',
    });
  const mounts = new Map<string, CacheMountBlob>();
  for (const { mediaType: blobType, digest, size, annotations = {} } of layers) {
    const [, mode, uid, gid] =
      /^([0-7]{1,4}):(\d{1,9}):(\d{1,9})$/.exec(annotations[directoryKey] ?? '') ?? [];
    const id = annotations[idKey];
    if (blobType !== cacheMountType || id === undefined || mode === undefined)
      throw new BuildError('IMAGE_INVALID', 'the artifact with cache mounts is not well formed');
    const diffId = parseDigest(annotations[diffIdKey]);
    const owner = { mode: Number.parseInt(mode, 8), uid: Number(uid), gid: Number(gid) };
    mounts.set(id, { id, digest, size, diffId, ...owner });
  }
  return mounts;
}
