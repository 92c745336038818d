import type { RawDocument } from '../image/documents.ts';
import { chooseDocument, platformOf } from '../image/documents.ts';
import { copyParts, documentsLimit } from '../image/copy-documents.ts';
import type { IndexMember } from '../image/mutate.ts';
import { assembleIndex } from '../image/mutate.ts';
import { rawDocument } from '../image/documents.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { mediaType } from '../oci/media-type.ts';
import type { Platform } from '../oci/platform.ts';
import { formatPlatform, hostPlatform, normalizePlatform, parsePlatform } from '../oci/platform.ts';
import { formatReference, refuseRegistryAlone } from '../oci/reference.ts';
import { BuildError } from '../util/build-error.ts';
import { internalStep } from './internal-step.ts';
import { findStoreImage } from './store-image.ts';
import type { Session } from './session.ts';
import { withSession } from './session.ts';
import type { Location } from './transports.ts';
import { openSource, openTarget, parseLocation } from './transports.ts';
import type { CommonOptions } from './types.ts';

/**
 * Images by where they are: `[docker://]NAME` in a registry, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:NAME]`,
 * `store:NAME` in the local store.
 */
export interface CopyOptions extends CommonOptions {
  readonly source: string;
  readonly destination: string;
  /** `linux/arm64`; one gives its image alone, several a new index. Default: all there are, the index as it is. */
  readonly platforms?: readonly string[] | undefined;
}

/** The manifest or index that a name stands for. */
export interface InspectedManifest {
  readonly descriptor: Descriptor;
  /** As it is kept. */
  readonly bytes: Uint8Array;
  /** What the bytes say, as JSON. */
  readonly document: unknown;
}

export interface ReadOptions extends CommonOptions {
  /** As in `CopyOptions.source`. */
  readonly image: string;
  /** Its manifest, instead of the index that has it. */
  readonly platform?: string | undefined;
}

/**
 * Copies an image with all its platforms, or an artifact, from anywhere to anywhere; bytes and so digests stay as they are, but for what is
 * read from a docker-archive, which has no manifest. From registry to registry blobs are mounted where that is possible, else they
 * stream through without touching the disk. Errors: IMAGE_*, REGISTRY_*, USAGE.
 */
export function copyImage(options: CopyOptions): Promise<Descriptor> {
  return withSession(options, async (session) => {
    const source = parseLocation(options.source);
    const destination = parseLocation(options.destination);
    return internalStep(session.emit, `copying ${options.source} to ${options.destination}`, async (id) => {
      const from = await openSource(session, source);
      const top = await withStoreHint(session, options.source, async () => {
        // That form has no index: of several platforms it gets this host's.
        const usual = destination.kind === 'docker-archive' ? await onePlatform(from) : [];
        return chooseDocument(from, options.platforms?.map(parsePlatform) ?? usual);
      });
      const target = await openTarget(session, destination);
      await copyParts(from, target, top, { id, signal: session.signal, emit: session.emit });
      await target.finish(top);
      return plain(top.descriptor);
    });
  });
}

async function onePlatform(from: Awaited<ReturnType<typeof openSource>>): Promise<readonly Platform[]> {
  return (await from.top()).document.kind === 'index' ? [hostPlatform()] : [];
}

/** The digest of an image: of its index, or with `platform` of its manifest. Errors: IMAGE_*, REGISTRY_*. */
export function imageDigest(options: ReadOptions): Promise<Digest> {
  return withSession(options, async (session) => {
    const location = parseLocation(options.image);
    return withStoreHint(session, options.image, async () => {
      if (location.kind === 'registry' && options.platform === undefined) {
        const { reference } = location;
        const client = await session.registry();
        const found = await client.headManifest(reference, reference.digest ?? reference.tag ?? 'latest', {
          signal: session.signal,
        });
        if (found !== undefined) return found.digest;
      }
      return (await readDocument(session, location, options.platform)).descriptor.digest;
    });
  });
}

/** What a name stands for, as it is kept. Errors: IMAGE_*, REGISTRY_*. */
export function inspectManifest(options: ReadOptions): Promise<InspectedManifest> {
  return withSession(options, async (session) => {
    const location = parseLocation(options.image);
    const found = await withStoreHint(session, options.image, () =>
      readDocument(session, location, options.platform),
    );
    const { bytes, descriptor } = found;
    return { bytes, descriptor: plain(descriptor), document: JSON.parse(Buffer.from(bytes).toString()) };
  });
}

/** The tags of a repository, in the order of its registry. Errors: REGISTRY_*, IMAGE_NOT_FOUND. */
export function listTags(
  options: CommonOptions & { readonly repository: string },
): Promise<readonly string[]> {
  return withSession(options, async (session) => {
    refuseRegistryAlone(options.repository.replace(/^docker:\/\//, ''));
    const location = parseLocation(options.repository);
    if (location.kind !== 'registry') throw new BuildError('USAGE', 'tags are those of a registry');
    return (await session.registry()).listTags(location.reference, { signal: session.signal });
  });
}

/**
 * Takes a tag away from its registry, or by digest an image with all its tags; its blobs go when the registry collects them. Errors:
 * IMAGE_NOT_FOUND, REGISTRY_*: some registries delete by digest alone, and then a tag stays.
 */
export function deleteManifest(options: CommonOptions & { readonly image: string }): Promise<void> {
  return withSession(options, async (session) => {
    const location = parseLocation(options.image);
    if (location.kind !== 'registry')
      throw new BuildError('USAGE', `\`${options.image}\` is no name in a registry`);
    const { reference } = location;
    const { digest, tag } = reference;
    if (digest === undefined && !/:[^/]*$/.test(options.image.replace(/^docker:\/\//, '')))
      throw new BuildError('USAGE', `\`${options.image}\` has neither tag nor digest`, {
        hint: 'what is deleted is named in full',
      });
    await (
      await session.registry()
    ).deleteManifest(reference, digest ?? tag ?? 'latest', { signal: session.signal });
  });
}

export interface CreateIndexOptions extends CommonOptions {
  /** Images and indexes, as in `CopyOptions.source`; the members of an index are taken one by one. */
  readonly sources: readonly string[];
  /** Names in registries. */
  readonly names: readonly string[];
  /** What the first name has already stays, but for platforms that come anew. */
  readonly append?: boolean | undefined;
  /** Of the index; those of indexes among the sources stay. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** Of what the index says of its images. */
  readonly descriptorAnnotations?: readonly DescriptorAnnotation[] | undefined;
  /** What a source is to be called, whatever its config says: `{ 'registry.example/app:arm': 'linux/arm/v7' }`. */
  readonly platforms?: Readonly<Record<string, string>> | undefined;
  /** Nothing is written. */
  readonly dryRun?: boolean | undefined;
}

export interface DescriptorAnnotation {
  readonly name: string;
  readonly value: string;
  /** Of the image for this platform alone. */
  readonly platform?: string | undefined;
}

interface Member extends IndexMember {
  /** Absent: the name that is appended to has it. */
  readonly from?: { readonly location: Location; readonly raw: RawDocument } | undefined;
}

/**
 * Makes an index of several images and pushes it under its names, with all that hangs from it: what another repository of the registry
 * has is mounted. Errors: IMAGE_*, REGISTRY_*, USAGE.
 */
export function createIndex(options: CreateIndexOptions): Promise<InspectedManifest> {
  return withSession(options, async (session) => {
    const names = options.names.map((name) => {
      const location = parseLocation(name);
      if (location.kind === 'registry') return location.reference;
      throw new BuildError('USAGE', `\`${name}\` is no name in a registry`);
    });
    if (names.length === 0 && options.dryRun !== true) throw new BuildError('USAGE', 'the index has no name');
    const found = await collectMembers(session, options);
    const members = annotatedMembers(found.members, options.descriptorAnnotations ?? []);
    const annotations = { ...found.annotations, ...options.annotations };
    // Docker's list has no annotations.
    const docker = members.every(
      ({ descriptor, annotations: own }) =>
        descriptor.mediaType === mediaType.dockerManifest && own === undefined,
    );
    const made = assembleIndex(members, {
      mediaTypes: docker && Object.keys(annotations).length === 0 ? 'docker' : 'oci',
      annotations,
    });
    const top = rawDocument(made.bytes, made.descriptor);
    for (const reference of options.dryRun === true ? [] : names) {
      await internalStep(session.emit, `pushing ${formatReference(reference)}`, async (id) => {
        const target = await openTarget(session, { kind: 'registry', reference });
        for (const { from } of members) {
          if (from === undefined) continue;
          const source = await openSource(session, from.location);
          await copyParts(source, target, from.raw, { id, signal: session.signal, emit: session.emit });
          await target.document(from.raw);
        }
        await target.finish(top);
      });
    }
    const document: unknown = JSON.parse(made.bytes.toString());
    return { bytes: made.bytes, descriptor: made.descriptor, document };
  });
}

/** Of the same platform the last one counts; attestations stay beside what they attest. */
async function collectMembers(
  session: Session,
  options: CreateIndexOptions,
): Promise<{
  readonly members: readonly Member[];
  readonly annotations: Readonly<Record<string, string>>;
}> {
  const found: Member[] = [];
  let bytes = 0;
  let annotations: Readonly<Record<string, string>> = {};
  const add = async (text: string, appended: boolean): Promise<void> => {
    const location = parseLocation(text);
    const source = await openSource(session, location);
    const top = await source.top();
    const given = options.platforms?.[text];
    const named = given === undefined ? undefined : parsePlatform(given);
    if (top.document.kind === 'manifest') {
      const platform = named ?? (await platformOf(source, top));
      found.push({ descriptor: plain(top.descriptor), platform, from: { location, raw: top } });
      return;
    }
    if (named !== undefined) throw new BuildError('USAGE', `${text} has several platforms of its own`);
    annotations = { ...annotations, ...top.document.index.annotations };
    for (const descriptor of top.document.index.manifests) {
      const { platform, annotations: own } = descriptor;
      const raw = appended ? undefined : await source.document(descriptor);
      bytes += raw?.bytes.length ?? 0;
      if (bytes > documentsLimit)
        throw new BuildError('IMAGE_INVALID', `${text} has manifests of more than ${documentsLimit} bytes`);
      found.push({ descriptor, platform, annotations: own, from: raw && { location, raw } });
    }
  };
  const [first] = options.names;
  if (options.append === true && first !== undefined) await add(first, true);
  for (const text of options.sources) await add(text, false);
  const key = ({ platform, descriptor }: Member): string =>
    platform === undefined || platform.os === 'unknown' ? descriptor.digest : JSON.stringify(platform);
  const unique = new Map<string, Member>();
  for (const member of found) unique.set(key(member), member);
  const members = [...unique.values()];
  if (members.length === 0) throw new BuildError('USAGE', 'the index has no images');
  return { members, annotations };
}

/** What is to be said of each image, beside what is said of it already. Error: USAGE for a platform that no image is for. */
function annotatedMembers(
  members: readonly Member[],
  wanted: readonly DescriptorAnnotation[],
): readonly Member[] {
  const used = new Set<DescriptorAnnotation>();
  const annotated = members.map((member) => {
    const { platform } = member;
    if (platform === undefined || platform.os === 'unknown') return member;
    const name = formatPlatform(normalizePlatform(platform));
    const fitting = wanted.filter(
      (item) => item.platform === undefined || formatPlatform(parsePlatform(item.platform)) === name,
    );
    if (fitting.length === 0) return member;
    for (const item of fitting) used.add(item);
    const added = Object.fromEntries(fitting.map((item) => [item.name, item.value]));
    return { ...member, annotations: { ...member.annotations, ...added } };
  });
  const lost = wanted.find((item) => !used.has(item));
  if (lost === undefined) return annotated;
  throw new BuildError(
    'USAGE',
    `no image of the index is for ${lost.platform ?? 'a platform'}, to be annotated with ${lost.name}`,
  );
}

async function readDocument(
  session: Session,
  location: Location,
  platform: string | undefined,
): Promise<RawDocument> {
  const source = await openSource(session, location);
  return chooseDocument(source, platform === undefined ? [] : [parsePlatform(platform)]);
}

/** Here a name alone is one of a registry. Where that has no such image and the store has one, the error says how to name that. */
async function withStoreHint<T>(session: Session, text: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const { code, message, details } = error instanceof BuildError ? error : {};
    const isAbsent =
      code === 'IMAGE_NOT_FOUND' || code === 'REGISTRY_UNREACHABLE' || code === 'REGISTRY_UNAUTHORIZED';
    if (!isAbsent || message === undefined || parseLocation(text).kind !== 'registry') throw error;
    if ((await findStoreImage(session, text).catch(() => undefined)) === undefined) throw error;
    throw new BuildError(code, message, {
      hint: `the store has an image of this name: write store:${text}`,
      details,
      cause: error,
    });
  }
}

/** Without what another index says of it. */
function plain({ mediaType: type, digest, size }: Descriptor): Descriptor {
  return { mediaType: type, digest, size };
}
