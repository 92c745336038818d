import { BuildError } from '../util/build-error.ts';
import type { ImageConfig } from './config.ts';
import { decodeConfigObject } from './decode-config.ts';
import type { JsonObject } from './decode-json.ts';
import { array, check, count, object, optional, parseObject, strings, text } from './decode-json.ts';
import type { Descriptor } from './descriptor.ts';
import { parseDigest } from './digest.ts';
import type { Index, Manifest } from './manifest.ts';
import { isIndexType, isManifestType, mediaType as types } from './media-type.ts';
import type { Platform } from './platform.ts';

/** Bytes; what the distribution project accepts too (R-PULL-1). */
export const manifestLimit: number = 4 * 1024 * 1024;
/** Bytes. */
export const configLimit: number = 8 * 1024 * 1024;

const listLimit = 4096;
const manifestKeys = [
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'subject',
  'annotations',
];
const indexKeys = ['schemaVersion', 'mediaType', 'artifactType', 'manifests', 'subject', 'annotations'];
// What no v2 document may have beside its own keys: a reader that looks for them would see another image (GHSA-xmmx-7jpf-fx42).
const schema1Keys = ['fsLayers', 'signatures', 'history', 'tag'];

/** A document that names either one image's parts, or images. */
export type Document =
  | { readonly kind: 'manifest'; readonly mediaType: string; readonly manifest: Manifest }
  | { readonly kind: 'index'; readonly mediaType: string; readonly index: Index };

/**
 * Reads a manifest or an index of unknown origin. `mediaType` is what the sender said it is; the document must agree with it and with
 * itself: both `layers` and `manifests`, a schema 1 document, keys that differ in case only, wrong shapes and sizes are refused.
 * Throws IMAGE_INVALID. Unknown keys are ignored, as image-spec "extensibility" demands.
 */
export function decodeDocument(bytes: Uint8Array, mediaType?: string): Document {
  check(bytes.length <= manifestLimit, `it has ${bytes.length} bytes, more than ${manifestLimit}`);
  const value = parseObject(bytes);
  const named = optional(value, 'mediaType', text);
  const claimed = claim(mediaType);
  if (isSchema1(value, claimed ?? named)) {
    throw new BuildError(
      'IMAGE_INVALID',
      'the image has a manifest of schema version 1, which is not supported',
      {
        hint: 'push it again with a current tool: registries have dropped this format',
      },
    );
  }
  check(value['schemaVersion'] === 2, 'schemaVersion is not 2');
  const parts = 'layers' in value || 'config' in value;
  const list = 'manifests' in value;
  check(!(parts && list), 'it is ambiguous: it has both `manifests` and `layers` or `config`');
  for (const key of schema1Keys)
    check(!(key in value), `it is ambiguous: it has the key \`${key}\` of schema version 1`);
  refuseLookalikes(value, [...manifestKeys, ...indexKeys, ...schema1Keys]);
  if (claimed !== undefined && named !== undefined) {
    check(claimed === named, `it says that it is ${named}, but was sent as ${claimed}`);
  }
  const type = claimed ?? named ?? (list ? types.ociIndex : types.ociManifest);
  if (isIndexType(type)) {
    check(list, `it is no index, though its media type is ${type}`);
    return { kind: 'index', mediaType: type, index: readIndex(value) };
  }
  check(isManifestType(type), `its media type is ${JSON.stringify(type.slice(0, 100))}`);
  check(parts, `it is no manifest, though its media type is ${type}`);
  return { kind: 'manifest', mediaType: type, manifest: readManifest(value) };
}

/** Reads a manifest (image-spec manifest.md, Docker schema 2). Throws IMAGE_INVALID, also for an index. */
export function decodeManifest(bytes: Uint8Array, mediaType?: string): Manifest {
  const document = decodeDocument(bytes, mediaType);
  if (document.kind === 'manifest') return document.manifest;
  throw new BuildError('IMAGE_INVALID', 'this is an index, not the manifest of one image');
}

/** Reads an index (image-spec image-index.md, Docker's manifest list). Throws IMAGE_INVALID, also for a manifest. */
export function decodeIndex(bytes: Uint8Array, mediaType?: string): Index {
  const document = decodeDocument(bytes, mediaType);
  if (document.kind === 'index') return document.index;
  throw new BuildError('IMAGE_INVALID', 'this is the manifest of one image, not an index');
}

/** Reads an image config (image-spec config.md, Docker's too). Nulls count as absent; unknown keys are dropped. Throws IMAGE_INVALID. */
export function decodeConfig(bytes: Uint8Array): ImageConfig {
  check(bytes.length <= configLimit, `the config has ${bytes.length} bytes, more than ${configLimit}`);
  return decodeConfigObject(parseObject(bytes));
}

/** A media type from a header: without parameters; the types that servers give to any JSON say nothing. */
function claim(mediaType: string | undefined): string | undefined {
  const bare = mediaType?.split(';')[0]?.trim().toLowerCase();
  const nothing = ['', 'application/json', 'application/octet-stream', 'text/plain'];
  return bare === undefined || nothing.includes(bare) ? undefined : bare;
}

function isSchema1(value: JsonObject, type: string | undefined): boolean {
  if (type === types.dockerManifestV1 || type === types.dockerManifestV1Signed) return true;
  return value['schemaVersion'] === 1;
}

/** Go's JSON reader takes `Layers` for `layers`, so two readers could see two images in one document. */
function refuseLookalikes(value: JsonObject, known: readonly string[]): void {
  const lower = new Map(known.map((key) => [key.toLowerCase(), key]));
  for (const key of Object.keys(value)) {
    const meant = lower.get(key.toLowerCase());
    check(
      meant === undefined || meant === key,
      `it is ambiguous: the key ${JSON.stringify(key.slice(0, 50))}`,
    );
  }
}

function readManifest(value: JsonObject): Manifest {
  const type = optional(value, 'mediaType', text);
  const artifactType = optional(value, 'artifactType', text);
  const subject = optional(value, 'subject', readDescriptor);
  const annotations = optional(value, 'annotations', strings);
  return {
    schemaVersion: 2,
    ...(type === undefined ? {} : { mediaType: type }),
    ...(artifactType === undefined ? {} : { artifactType }),
    config: readDescriptor(value['config'], 'config'),
    layers: array(value['layers'], 'layers', listLimit).map((item, at) =>
      readDescriptor(item, `layers[${at}]`),
    ),
    ...(subject === undefined ? {} : { subject }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function readIndex(value: JsonObject): Index {
  const type = optional(value, 'mediaType', text);
  const artifactType = optional(value, 'artifactType', text);
  const annotations = optional(value, 'annotations', strings);
  const manifests = array(value['manifests'], 'manifests', listLimit);
  return {
    schemaVersion: 2,
    ...(type === undefined ? {} : { mediaType: type }),
    ...(artifactType === undefined ? {} : { artifactType }),
    manifests: manifests.map((item, at) => readDescriptor(item, `manifests[${at}]`)),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function readDescriptor(input: unknown, where: string): Descriptor {
  const value = object(input, where);
  const annotations = optional(value, 'annotations', strings);
  const urls = optional(value, 'urls', (item, at) => array(item, at, 100).map((url) => text(url, at)));
  const platform = optional(value, 'platform', readPlatform);
  const artifactType = optional(value, 'artifactType', text);
  const type = text(value['mediaType'], `${where}.mediaType`);
  check(/^[\w.+-]+\/[\w.+-]+$/.test(type) && type.length <= 255, `${where}.mediaType is no media type`);
  return {
    mediaType: type,
    digest: parseDigest(value['digest']),
    size: count(value['size'], `${where}.size`),
    ...(annotations === undefined ? {} : { annotations }),
    ...(urls === undefined ? {} : { urls }),
    ...(platform === undefined ? {} : { platform }),
    ...(artifactType === undefined ? {} : { artifactType }),
  };
}

function readPlatform(input: unknown, where: string): Platform {
  const value = object(input, where);
  const variant = optional(value, 'variant', platformWord);
  const version = optional(value, 'os.version', text);
  const features = optional(value, 'os.features', (item, at) =>
    array(item, at, 100).map((word) => text(word, at)),
  );
  return {
    os: platformWord(value['os'], `${where}.os`),
    architecture: platformWord(value['architecture'], `${where}.architecture`),
    ...(variant === undefined || variant === '' ? {} : { variant }),
    ...(version === undefined || version === '' ? {} : { 'os.version': version }),
    ...(features === undefined ? {} : { 'os.features': features }),
  };
}

/** Messages list the platforms that there are. */
function platformWord(value: unknown, where: string): string {
  const word = text(value, where);
  check(word.length <= 255, `${where} is too long`);
  return word;
}
