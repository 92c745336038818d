import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isIndexType, isManifestType } from '../oci/media-type.ts';
import type { Emit } from '../progress/event.ts';
import { transferTeller } from '../progress/transfer.ts';
import { BuildError } from '../util/build-error.ts';
import { sideBySide } from '../util/side-by-side.ts';
import { againIfSpoilt } from '../util/spoilt.ts';
import type { DocumentSource, DocumentTarget, RawDocument } from './documents.ts';

export interface CopyDocumentsOptions {
  readonly signal?: AbortSignal | undefined;
  readonly emit?: Emit | undefined;
  /** The step that transfers are shown under. */
  readonly id: string;
  /** Blobs on their way at once; default 4. */
  readonly concurrency?: number | undefined;
}

const deepest = 4;
const mostDocuments = 4096;
/** Of all documents of one image together, which are held until the blobs have gone before them: bytes. */
export const documentsLimit: number = 64 * 1024 * 1024;

/**
 * Copies a document with all that hangs from it, bytes as they are: blobs side by side, then documents, each after what it names; `top`
 * itself is left to the caller. Each blob is read only where the target lacks it; one that fails leaves the others alone. Throws
 * IMAGE_INVALID, and what source and target throw.
 */
export async function copyParts(
  source: DocumentSource,
  target: DocumentTarget,
  top: RawDocument,
  options: CopyDocumentsOptions,
): Promise<void> {
  const below = await documentsBelow(source, top, options.signal);
  const blobs = new Map<Digest, Descriptor>();
  for (const each of [...below, top]) {
    for (const blob of blobsOf(each)) {
      const { size = blob.size } = blobs.get(blob.digest) ?? {};
      if (size !== blob.size) throw wrongSize(source, blob, size);
      blobs.set(blob.digest, blob);
    }
  }
  await sideBySide(
    blobs.values(),
    (blob, signal) => againIfSpoilt(() => copyBlob({ source, target }, blob, { ...options, signal })),
    { signal: options.signal, concurrency: options.concurrency ?? 4 },
  );
  for (const each of below) {
    options.signal?.throwIfAborted();
    await target.document(each);
  }
}

/** In the order in which they can be written. */
async function documentsBelow(
  source: DocumentSource,
  top: RawDocument,
  signal: AbortSignal | undefined,
): Promise<readonly RawDocument[]> {
  const found = new Map<Digest, RawDocument>();
  let bytes = 0;
  const visit = async (raw: RawDocument, depth: number): Promise<void> => {
    if (raw.document.kind !== 'index') return;
    if (depth >= deepest)
      throw new BuildError('IMAGE_INVALID', `${source.name} has indexes nested more than ${deepest} deep`);
    for (const child of raw.document.index.manifests) {
      signal?.throwIfAborted();
      if (!isDocument(child) || found.has(child.digest)) continue;
      const document = await source.document(child);
      const { length } = document.bytes;
      if (length !== child.size) throw wrongSize(source, child, length);
      bytes += length;
      if (bytes > documentsLimit)
        throw new BuildError(
          'IMAGE_INVALID',
          `${source.name} has manifests of more than ${documentsLimit} bytes`,
        );
      await visit(document, depth + 1);
      found.set(child.digest, document);
      if (found.size > mostDocuments)
        throw new BuildError('IMAGE_INVALID', `${source.name} has more than ${mostDocuments} manifests`);
    }
  };
  await visit(top, 0);
  return [...found.values()];
}

/** Nobody could read what is stored so. */
function wrongSize(source: DocumentSource, { digest, size }: Descriptor, actual: number): BuildError {
  return new BuildError(
    'IMAGE_INVALID',
    `${source.name} names ${digest} with ${size} bytes, and it has ${actual}`,
  );
}

function isDocument({ mediaType }: Descriptor): boolean {
  return isIndexType(mediaType) || isManifestType(mediaType);
}

function blobsOf({ document }: RawDocument): readonly Descriptor[] {
  if (document.kind === 'index') return document.index.manifests.filter((item) => !isDocument(item));
  return [document.manifest.config, ...document.manifest.layers];
}

async function copyBlob(
  { source, target }: { readonly source: DocumentSource; readonly target: DocumentTarget },
  blob: Descriptor,
  { emit, id, signal }: CopyDocumentsOptions,
): Promise<void> {
  const name = `copying ${blob.digest.slice(7, 19)}`;
  const progress = transferTeller(emit, { id, name, total: blob.size });
  let began = false;
  await target.blob(
    blob,
    (open) => {
      began = true;
      return source.blob(blob, { ...open, signal, onProgress: progress.at });
    },
    source.origin,
  );
  if (began) progress.done(blob.size);
}
