import type { ContainerConfig, HistoryEntry, ImageConfig } from '../oci/config.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestOf } from '../oci/digest.ts';
import type { Index, Manifest } from '../oci/manifest.ts';
import { mediaType } from '../oci/media-type.ts';
import type { Platform } from '../oci/platform.ts';
import { BuildError } from '../util/build-error.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import type { Image } from './image.ts';
import type { Layer } from './layer.ts';

export interface AssembleImage {
  /** Base to top. */
  readonly layers: readonly Layer[];
  /** `rootfs` is made from the layers, whatever stands there. */
  readonly config: Omit<ImageConfig, 'rootfs'>;
  readonly mediaTypes: 'oci' | 'docker';
  /** Further keys of the config, after its own. */
  readonly configKeys?: Readonly<Record<string, JsonValue>> | undefined;
  /** Of the manifest. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/**
 * Makes an image of layers and a config. Equal input gives equal bytes: keys stand in the order of the specification, those of maps are
 * sorted. Derives the blobs of layers that have none. Throws USAGE for layers that Docker's media types cannot name.
 */
export async function assembleImage(request: AssembleImage): Promise<Image> {
  const diffIds = await Promise.all(request.layers.map((layer) => layer.diffId()));
  const config: ImageConfig = orderedConfig({
    ...request.config,
    rootfs: { type: 'layers', diff_ids: diffIds },
  });
  const bytes = Buffer.from(JSON.stringify({ ...config, ...request.configKeys }));
  return imageOfConfig(bytes, { ...request, config });
}

/** The image whose config has exactly these bytes; `config` is what they say. Makes the manifest alone. */
export async function imageOfConfig(
  rawConfig: Uint8Array,
  request: Omit<AssembleImage, 'config'> & { readonly config: ImageConfig },
): Promise<Image> {
  const { layers, mediaTypes, config, annotations } = request;
  const types =
    mediaTypes === 'oci'
      ? { manifest: mediaType.ociManifest, config: mediaType.ociConfig }
      : { manifest: mediaType.dockerManifest, config: mediaType.dockerConfig };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, digest: digestOf(rawConfig), size: rawConfig.length },
    layers: await Promise.all(layers.map((layer) => layerDescriptor(layer, mediaTypes))),
    ...(isEmpty(annotations) ? {} : { annotations: sorted(annotations ?? {}) }),
  };
  const rawManifest = Buffer.from(JSON.stringify(manifest));
  const descriptor: Descriptor = {
    mediaType: types.manifest,
    digest: digestOf(rawManifest),
    size: rawManifest.length,
  };
  return {
    descriptor: () => Promise.resolve(descriptor),
    rawManifest: () => Promise.resolve(rawManifest),
    rawConfig: () => Promise.resolve(rawConfig),
    manifest: () => Promise.resolve(manifest),
    config: () => Promise.resolve(config),
    digest: () => Promise.resolve(descriptor.digest),
    layers: () => Promise.resolve(layers),
  };
}

export interface IndexMember {
  readonly descriptor: Descriptor;
  readonly platform?: Platform | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** Makes the index of several images: its bytes and what refers to them. Order is kept. */
export function assembleIndex(
  members: readonly IndexMember[],
  options: {
    readonly mediaTypes: 'oci' | 'docker';
    readonly annotations?: Readonly<Record<string, string>> | undefined;
  },
): { readonly bytes: Uint8Array; readonly descriptor: Descriptor } {
  const type = options.mediaTypes === 'oci' ? mediaType.ociIndex : mediaType.dockerList;
  const index: Index = {
    schemaVersion: 2,
    mediaType: type,
    manifests: members.map(({ descriptor, platform, annotations }) => ({
      mediaType: descriptor.mediaType,
      digest: descriptor.digest,
      size: descriptor.size,
      ...(isEmpty(annotations) ? {} : { annotations: sorted(annotations ?? {}) }),
      ...(platform === undefined ? {} : { platform: orderedPlatform(platform) }),
    })),
    ...(isEmpty(options.annotations) ? {} : { annotations: sorted(options.annotations ?? {}) }),
  };
  const bytes = Buffer.from(JSON.stringify(index));
  return { bytes, descriptor: { mediaType: type, digest: digestOf(bytes), size: bytes.length } };
}

async function layerDescriptor(layer: Layer, family: 'oci' | 'docker'): Promise<Descriptor> {
  const [type, digest, size] = await Promise.all([layer.mediaType(), layer.digest(), layer.size()]);
  const { urls } = layer;
  return { mediaType: layerTypeIn(type, family), digest, size, ...(urls === undefined ? {} : { urls }) };
}

const ociOfDocker: Readonly<Record<string, string>> = {
  [mediaType.dockerLayer]: mediaType.ociLayer,
  [mediaType.dockerLayerGzip]: mediaType.ociLayerGzip,
  [mediaType.dockerLayerForeign]: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
};
const dockerOfOci: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(ociOfDocker).map(([docker, oci]) => [oci, docker]),
);

/** The name of a layer's form in the family of its manifest. Throws USAGE for zstd in Docker's. */
export function layerTypeIn(type: string, family: 'oci' | 'docker'): string {
  if (family === 'oci') return ociOfDocker[type] ?? type;
  const docker = ociOfDocker[type] === undefined ? dockerOfOci[type] : type;
  if (docker !== undefined) return docker;
  throw new BuildError('USAGE', `Docker's media types have no name for ${type}`, {
    hint: 'use oci-mediatypes=true with this compression',
  });
}

function orderedConfig(config: ImageConfig): ImageConfig {
  return pick<ImageConfig>({
    created: config.created,
    author: config.author,
    architecture: config.architecture,
    os: config.os,
    'os.version': config['os.version'],
    'os.features': config['os.features'],
    variant: config.variant,
    config: config.config === undefined ? undefined : orderedContainer(config.config),
    rootfs: { type: 'layers', diff_ids: config.rootfs.diff_ids },
    history: config.history?.map(orderedHistory),
  });
}

function orderedContainer(config: ContainerConfig): ContainerConfig {
  return pick<ContainerConfig>({
    User: config.User,
    ExposedPorts: config.ExposedPorts === undefined ? undefined : sorted(config.ExposedPorts),
    Env: config.Env,
    Entrypoint: config.Entrypoint,
    Cmd: config.Cmd,
    Volumes: config.Volumes === undefined ? undefined : sorted(config.Volumes),
    WorkingDir: config.WorkingDir,
    Labels: config.Labels === undefined ? undefined : sorted(config.Labels),
    StopSignal: config.StopSignal,
    ArgsEscaped: config.ArgsEscaped,
    Healthcheck: config.Healthcheck,
    OnBuild: config.OnBuild,
    Shell: config.Shell,
  });
}

function orderedHistory(entry: HistoryEntry): HistoryEntry {
  return pick<HistoryEntry>({
    created: entry.created,
    created_by: entry.created_by,
    comment: entry.comment,
    author: entry.author,
    empty_layer: entry.empty_layer,
  });
}

function orderedPlatform(platform: Platform): Platform {
  return pick<Platform>({
    architecture: platform.architecture,
    os: platform.os,
    'os.version': platform['os.version'],
    'os.features': platform['os.features'],
    variant: platform.variant,
  });
}

/** Without the keys that have no value: null means the same to every reader, and Go writes neither. */
function pick<T extends object>(value: { readonly [K in keyof T]: T[K] | null | undefined }): T {
  return Object.fromEntries(
    Object.entries(value).filter(([, item]) => item !== undefined && item !== null),
  ) as T;
}

function sorted<V>(record: Readonly<Record<string, V>>): Record<string, V> {
  return Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function isEmpty(record: Readonly<Record<string, string>> | undefined): boolean {
  return record === undefined || Object.keys(record).length === 0;
}
