import type { Exporter, PlatformImage } from '../export/exporter.ts';
import { refuseStore } from '../export/output-file.ts';
import { storeExporter } from '../export/to-store.ts';
import { checkLevel } from '../image/compression.ts';
import { assembleImage } from '../image/mutate.ts';
import type { ImageConfig } from '../oci/config.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { formatReference, parseReference } from '../oci/reference.ts';
import type { RegistryClient, Repository } from '../registry/client.ts';
import { BuildError } from '../util/build-error.ts';
import type { JsonValue } from '../util/canonical-json.ts';
import type { Origin } from './base-images.ts';
import type { EarlyPush } from './early-push.ts';
import { internalStep } from './internal-step.ts';
import type { Plan } from './plan.ts';
import type { ResultLayer } from './result.ts';
import type { LayerCompression, Session } from './session.ts';
import type { BuildOptions, BuildResult, OutputOption } from './types.ts';

export interface ExportRequest {
  readonly options: BuildOptions;
  readonly outputs: readonly OutputOption[];
  readonly session: Session;
  readonly plan: Plan;
  readonly config: ImageConfig;
  readonly layers: readonly ResultLayer[];
  readonly origins: ReadonlyMap<Digest, Origin>;
  /** What of the image is on its way already; undefined: nothing. */
  readonly early?: EarlyPush | undefined;
  /** Further keys of the image's config. */
  readonly configKeys?: Readonly<Record<string, JsonValue>> | undefined;
}

const outputTypes: readonly OutputOption['type'][] = [
  'image',
  'registry',
  'oci',
  'docker',
  'tar',
  'local',
  'cacheonly',
];

/** The outputs of a build, checked before anything runs. Errors: USAGE, REFERENCE_INVALID. */
export function checkOutputs(options: BuildOptions, storeRoot: string): readonly OutputOption[] {
  const outputs = options.outputs ?? [{ type: 'image' as const }];
  const names = outputNames(options);
  for (const output of outputs) {
    const destination = output.dest ?? output.stream;
    // For callers without types: else nothing would be written, and nobody told.
    if (!outputTypes.includes(output.type)) {
      throw new BuildError('USAGE', `\`${output.type}\` is no type of an output`, {
        hint: `known are ${outputTypes.join(', ')}`,
      });
    }
    const needsDestination = ['oci', 'docker', 'tar', 'local'].includes(output.type);
    if (
      needsDestination &&
      destination === undefined &&
      !(output.type === 'docker' && options.load !== false)
    ) {
      throw new BuildError('USAGE', `the output type=${output.type} needs dest=PATH`);
    }
    if (isPushed(output) && names.length + (output.names?.length ?? 0) === 0) {
      throw new BuildError('USAGE', 'a push needs a name', { hint: 'give one: -t registry.example/app:1.0' });
    }
    for (const name of output.names ?? []) newName(name);
    if (output.dest !== undefined) refuseStore(output.dest, storeRoot);
  }
  const kinds = new Set(outputs.map((output) => output.compression ?? 'gzip'));
  if (kinds.size > 1)
    throw new BuildError('UNSUPPORTED_HERE', 'all outputs of one build have the same compression');
  const levels = new Set(
    outputs.flatMap(({ compressionLevel: level }) => (level === undefined ? [] : [level])),
  );
  if (levels.size > 1)
    throw new BuildError('UNSUPPORTED_HERE', 'all outputs of one build have the same compression level');
  const compression = layerCompression(outputs);
  if (compression !== undefined) checkLevel(compression.type, compression.level);
  if (outputs.some((output) => output.forceCompression === true)) {
    throw new BuildError('UNSUPPORTED_HERE', 'force-compression is not supported yet', {
      hint: 'leave it out: new layers get the compression asked for, base layers stay as they are',
    });
  }
  return outputs;
}

/** How new layers are compressed: one way for all outputs. */
export function layerCompression(outputs: readonly OutputOption[]): LayerCompression | undefined {
  const asked = outputs.find(({ compression }) => compression !== undefined)?.compression;
  const level = outputs.find(({ compressionLevel }) => compressionLevel !== undefined)?.compressionLevel;
  if (asked === undefined && level === undefined) return undefined;
  const type = asked === 'uncompressed' ? 'none' : (asked ?? 'gzip');
  return { type, ...(level === undefined ? {} : { level }) };
}

/** Writes each output in turn. */
export async function exportAll(request: ExportRequest): Promise<Omit<BuildResult, 'steps' | 'diagnostics'>> {
  const { options, session, plan, layers } = request;
  const names = outputNames(options);
  let descriptor: Descriptor | undefined;
  let imageId: Digest | undefined;
  for (const output of request.outputs) {
    if (output.type === 'cacheonly') continue;
    const image = await assembleOutput(request, output);
    const result = { images: [{ platform: plan.platform, image, layers: layers.map(({ layer }) => layer) }] };
    for (const exporter of await exportersOf(output, request)) {
      const written = await internalStep(session.emit, exporter.name, (id) =>
        exporter.export(result, {
          names: namesOf(options, output),
          id,
          signal: session.signal,
          emit: session.emit,
        }),
      );
      if (written !== undefined) {
        descriptor ??= written;
        imageId ??= (await image.manifest()).config.digest;
      }
    }
  }
  return {
    digest: descriptor?.digest,
    imageId,
    descriptor,
    names,
    metadata: metadata(descriptor, imageId, names),
  };
}

async function assembleOutput(request: ExportRequest, output: OutputOption): Promise<PlatformImage['image']> {
  const annotations = { ...request.options.annotations, ...output.annotations };
  return assembleImage({
    layers: request.layers.map(({ layer }) => layer),
    config: request.config,
    configKeys: request.configKeys,
    mediaTypes: output.ociMediaTypes === false ? 'docker' : 'oci',
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  });
}

/** The exporters of one output: `push` adds the registry, `load` an engine. Loaded when needed: most builds use one. */
async function exportersOf(output: OutputOption, request: ExportRequest): Promise<readonly Exporter[]> {
  const { session, options } = request;
  const exporters: Exporter[] = [];
  const target = output.stream === undefined ? { file: output.dest ?? '' } : { stream: output.stream };
  const engine = typeof options.load === 'string' ? options.load : undefined;
  switch (output.type) {
    case 'image':
      exporters.push(storeExporter(session.store));
      break;
    case 'local':
      exporters.push((await import('../export/to-directory.ts')).directoryExporter(output.dest ?? ''));
      break;
    case 'tar':
      exporters.push((await import('../export/to-tar.ts')).tarExporter(target));
      break;
    case 'oci':
    case 'docker':
      if (output.dest === undefined && output.stream === undefined) break;
      if (output.tar === false) {
        exporters.push((await import('../export/to-layout.ts')).layoutExporter(output.dest ?? ''));
      } else {
        exporters.push((await import('../export/to-archive.ts')).archiveExporter(output.type, target));
      }
      break;
    case 'registry':
    case 'cacheonly':
      break;
    default:
      output.type satisfies never;
  }
  if (isPushed(output)) {
    const { registryExporter } = await import('../export/to-registry.ts');
    const { origins, early } = request;
    const from = { origins, early: (to: Repository) => early?.to(to) };
    exporters.push(registryExporter(await registryOf(output, request), from));
  }
  const loads = options.load !== undefined && options.load !== false;
  if (loads || (output.type === 'docker' && output.dest === undefined && output.stream === undefined)) {
    const { engineExporter } = await import('../export/to-engine.ts');
    exporters.push(await engineExporter(engine, session.env));
  }
  return exporters;
}

/** A push that the registry would refuse is told before the first step runs, not after the last (C-RE-6). */
export async function checkPushRights(
  request: Pick<ExportRequest, 'options' | 'outputs' | 'session'>,
): Promise<void> {
  const { outputs, session } = request;
  for (const output of outputs.filter(isPushed)) {
    const { checkPushAccess } = await import('../registry/push.ts');
    const client = await registryOf(output, request);
    for (const name of namesOf(request.options, output))
      await checkPushAccess(client, parseReference(name), { signal: session.signal });
  }
}

export function isPushed(output: OutputOption): boolean {
  return output.type === 'registry' || output.push === true;
}

export async function registryOf(
  output: OutputOption,
  { options, session }: Pick<ExportRequest, 'options' | 'session'>,
): Promise<RegistryClient> {
  if (output.insecure !== true) return session.registry();
  const names = [...(options.tags ?? []), ...(output.names ?? [])];
  return session.registry({ insecure: names.map((name) => parseReference(name).registry) });
}

/** All names of one output. */
export function namesOf(options: BuildOptions, output: OutputOption): readonly string[] {
  const own = (output.names ?? []).map(newName);
  return [...new Set([...outputNames(options), ...own])];
}

function outputNames(options: BuildOptions): string[] {
  return [...new Set((options.tags ?? []).map(newName))];
}

/** The name of an image that is still to be made: with a digest it would be taken for what is pinned by it. */
function newName(text: string): string {
  const reference = parseReference(text);
  if (reference.digest === undefined) return formatReference(reference);
  throw new BuildError(
    'REFERENCE_INVALID',
    `\`${text}\` cannot be the name of a new image: it has a digest`,
    {
      hint: 'name it by a tag; its digest is told at the end',
    },
  );
}

/** The keys of docker buildx (C-MD-5). */
function metadata(
  descriptor: Descriptor | undefined,
  imageId: Digest | undefined,
  names: readonly string[],
): Record<string, unknown> {
  if (descriptor === undefined) return {};
  return {
    'containerimage.config.digest': imageId,
    'containerimage.descriptor': descriptor,
    'containerimage.digest': descriptor.digest,
    ...(names.length === 0 ? {} : { 'image.name': names.join(',') }),
  };
}
