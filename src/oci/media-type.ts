/** Media types of OCI image-spec 1.1 and of Docker's image manifest version 2, schema 2. */
export const mediaType = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerManifestV1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerManifestV1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  dockerLayerForeign: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
} as const;

export type Compression = 'none' | 'gzip' | 'zstd';

/** How a layer of this media type is compressed; undefined for a type that is no layer tsbuild can read. */
export function layerCompression(type: string): Compression | undefined {
  if (/[+.]gzip$/.test(type)) return 'gzip';
  if (type.endsWith('+zstd')) return 'zstd';
  if (/\.tar$/.test(type)) return 'none';
  return undefined;
}

export function isIndexType(type: string): boolean {
  return type === mediaType.ociIndex || type === mediaType.dockerList;
}

export function isManifestType(type: string): boolean {
  return type === mediaType.ociManifest || type === mediaType.dockerManifest;
}

/** Whether a manifest with such a config is that of an image. */
export function isImageConfigType(type: string): boolean {
  return type === mediaType.ociConfig || type === mediaType.dockerConfig;
}

/** Layer types whose licence may forbid to push them (R-PULL-4). */
export function isNondistributable(type: string): boolean {
  return /\.(?:foreign|nondistributable)\./.test(type);
}
