import { createHmac, randomBytes } from 'node:crypto';
import type { LoweredImage } from '../frontend/lower.ts';
import type { LayerLeak, SecretGateData } from '../image/secret-scan.ts';
import {
  isAllowed,
  LayerInspection,
  leakError,
  leakMessage,
  searchOf,
  spelling,
} from '../image/secret-scan.ts';
import { readTar } from '../image/tar.ts';
import type { Digest } from '../oci/digest.ts';
import { digestOfJson } from '../oci/digest.ts';
import type { Emit } from '../progress/event.ts';
import type { State } from '../store/state-record.ts';
import { BuildError } from '../util/build-error.ts';
import type { Needle } from '../util/secret-needles.ts';
import type { SourceLocation } from '../util/source.ts';
import { internalStep } from './internal-step.ts';
import type { OwnLayer } from './image-config.ts';
import type { ResultLayer } from './result.ts';

interface Surroundings {
  /** As of `--allow`. */
  readonly allow: ReadonlySet<string>;
  readonly state: State;
  readonly emit: Emit;
}

/**
 * Keeps the secrets of one build out of its image (M-16): history and config are searched before anything runs, new layers while they are
 * written, and layers of earlier builds once for each set of secrets. What is found is SECRET_LEAK at its line, or a warning where it
 * is allowed. Not found is what a step has compressed, encrypted or cut up.
 */
export class SecretGate {
  /** For those who write layers in other processes. */
  readonly data: SecretGateData;
  readonly #surroundings: Surroundings;
  readonly #searched = new Set<Digest>();
  #fingerprint: string | undefined;

  constructor(needles: readonly Needle[], surroundings: Surroundings) {
    this.data = { needles, allowed: allowedSecrets(surroundings.allow) };
    this.#surroundings = surroundings;
  }

  /** For one new layer. */
  inspect(): LayerInspection {
    return new LayerInspection(this.data);
  }

  /** Told of each layer that was inspected. */
  searched(diffId: Digest, leaks: readonly LayerLeak[], source: SourceLocation | undefined): void {
    this.#searched.add(diffId);
    if (leaks.length > 0) this.#warn(leakMessage(leaks), source);
    else this.#keep(this.#cleanKey(diffId), { clean: true });
  }

  /** Throws SECRET_LEAK for a secret that a build arg or the Dockerfile itself brings into history or config. */
  checkImage({ history, config }: LoweredImage, annotations: Readonly<Record<string, string>>): void {
    const told = new Set<string>();
    for (const { created_by: text = '', source } of history)
      this.#checkText(text, 'history', { told, source });
    for (const [name, value] of Object.entries(config)) {
      for (const text of textsIn(value)) this.#checkText(text, name, { told });
    }
    for (const text of textsIn(annotations)) this.#checkText(text, 'annotations', { told });
  }

  #checkText(
    text: string,
    place: string,
    { told, source }: { told: Set<string>; source?: SourceLocation | undefined },
  ): void {
    for (const { secret, form } of searchOf(this.data.needles).inText(text)) {
      if (told.has(secret)) continue;
      told.add(secret);
      const where = place === 'history' ? 'history' : 'config';
      const message = `the secret \`${secret}\` is in the ${where} of the image${spelling(form)}`;
      if (isAllowed(this.data.allowed, secret)) this.#warn(message, source);
      else
        throw new BuildError('SECRET_LEAK', message, {
          source,
          hint: `ARG, ENV and LABEL stay in the image: use RUN --mount=type=secret,id=${secret}; \`--allow secret.leak=${secret}\` builds it anyway`,
          details: { leaks: [{ secret, form, where }] },
        });
    }
  }

  /** Searches layers of earlier builds that were not searched for these secrets yet. Throws SECRET_LEAK. */
  async checkLayers(layers: readonly OwnLayer[], signal: AbortSignal): Promise<void> {
    const unknown = layers.filter(({ layer: { layer } }) => !this.isClean(layer.knownDiffId));
    if (unknown.length === 0) return;
    await internalStep(this.#surroundings.emit, '[internal] search cached layers for secrets', async () => {
      for (const { layer, source } of unknown) await this.#searchLayer(layer, source, signal);
    });
  }

  async #searchLayer(
    { layer }: ResultLayer,
    source: SourceLocation | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const inspection = this.inspect();
    try {
      const entries = readTar(layer.uncompressed({ signal }), { whiteouts: true });
      for await (const { content } of inspection.watch(entries))
        if (content !== undefined) for await (const chunk of content()) void chunk;
    } catch (error) {
      throw error instanceof BuildError ? error.at(source) : error;
    }
    this.searched(layer.knownDiffId, inspection.leaks, source);
  }

  #warn(message: string, source: SourceLocation | undefined): void {
    const hint = 'allowed by --allow secret.leak';
    this.#surroundings.emit({
      type: 'diagnostic',
      diagnostic: { severity: 'warning', rule: 'SecretLeak', message, hint, ...(source && { source }) },
    });
  }

  /** Whether a layer was searched for these secrets, by this build or an earlier one. */
  isClean(diffId: Digest): boolean {
    if (this.#searched.has(diffId)) return true;
    return this.#surroundings.state.cacheRecord(this.#cleanKey(diffId)) !== undefined;
  }

  #cleanKey(diffId: Digest): Digest {
    return digestOfJson({ secretGate: this.#secretsName(), layer: diffId });
  }

  /** A name for these secrets that tells nothing about them to whoever has it without the store. */
  #secretsName(): string {
    if (this.#fingerprint !== undefined) return this.#fingerprint;
    const hmac = createHmac('sha256', this.#storeKey());
    for (const { bytes } of this.data.needles) hmac.update(`${bytes.length}:`).update(bytes);
    return (this.#fingerprint = hmac.digest('hex'));
  }

  #storeKey(): string {
    const key = digestOfJson({ secretGate: 'key' });
    const known = this.#surroundings.state.cacheRecord(key)?.result;
    if (typeof known === 'string') return known;
    const fresh = randomBytes(32).toString('hex');
    this.#keep(key, fresh);
    return fresh;
  }

  #keep(key: Digest, result: string | { readonly clean: true }): void {
    this.#surroundings.state.putCacheRecord({
      ...{ key, opKey: key, inputs: [], kind: 'gate', name: 'secret gate' },
      result,
    });
  }
}

/** `secret.leak` for all, `secret.leak=ID` for one. */
function allowedSecrets(allow: ReadonlySet<string>): SecretGateData['allowed'] {
  if (allow.has('secret.leak')) return 'all';
  const start = 'secret.leak=';
  return [...allow].filter((right) => right.startsWith(start)).map((right) => right.slice(start.length));
}

/** Leaks that an earlier build was allowed are none of this one's rights. Throws SECRET_LEAK. */
export function refuseKnownLeaks(layers: readonly OwnLayer[], allow: ReadonlySet<string>): void {
  const allowed = allowedSecrets(allow);
  for (const { layer, source } of layers) {
    const leaks = (layer.leaks ?? []).filter(({ secret }) => !isAllowed(allowed, secret));
    if (leaks.length > 0) throw leakError(leaks).at(source);
  }
}

function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      if (typeof item === 'string') yield `${key}=${item}`;
      else {
        yield key;
        yield* textsIn(item);
      }
    }
  }
}
