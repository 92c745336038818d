import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Definition } from '../../graph/definition.ts';
import type { Digest } from '../../oci/digest.ts';
import { formatPlatform } from '../../oci/platform.ts';
import type { Platform } from '../../oci/platform.ts';
import type { ProgressEvent, VertexEvent } from '../../progress/event.ts';
import { BuildError } from '../../util/build-error.ts';
import type { BuildRecord } from '../build-record.ts';
import type { BuildResult } from '../types.ts';
import type { BuildFile, HistoryLimits } from './build-files.ts';
import { StepCollector } from './step-collector.ts';
import {
  buildFile,
  logFile,
  newBuildId,
  pruneBuilds,
  shortSource,
  thisProcess,
  writeBuildFile,
} from './build-files.ts';

/** What is known of a build before it begins. */
export interface BuildAbout {
  readonly source: Digest;
  readonly context: string;
  readonly dockerfile: string;
  readonly target: string | undefined;
  readonly names: readonly string[];
}

/** A build that is over sooner, as a cached one is, is written once. Milliseconds. */
const writeFirst = 50;
/** A running build is written again when it has something new, so that a kill leaves something to look at; but not more often. Milliseconds. */
const writeEvery = 2000;
/** Nor more often than costs a hundredth of the time. */
const costFactor = 100;

/**
 * Writes the history of one build: a file soon after it began, once more when it ends, and the whole output of its steps. Gets events as users see
 * them, with secrets masked. Nothing of it ever fails a build: where nothing can be written (a read-only store, a full disk) it stops.
 */
export class BuildRecorder {
  readonly id: string;
  readonly #root: string;
  readonly #file: BuildFile;
  readonly #limits: HistoryLimits;
  readonly #steps = new StepCollector();
  readonly #logs = new Map<string, number>();
  #record: Omit<BuildRecord, 'steps'>;
  readonly #first: NodeJS.Timeout;
  /** When it is to be written again. */
  #due = 0;
  #broken = false;

  constructor(root: string, about: BuildAbout, limits: HistoryLimits) {
    const { source, ...shown } = about;
    const started = Date.now();
    this.id = newBuildId(started, Math.random());
    this.#root = root;
    this.#limits = limits;
    this.#file = buildFile(root, this.id, shortSource(source));
    this.#record = { id: this.id, ...shown, started, status: 'running' };
    this.#first = setTimeout(() => this.#attempt(() => this.#write()), writeFirst).unref();
  }

  planned(definition: Definition, platform: Platform): void {
    this.#steps.planned(definition);
    this.#record = { ...this.#record, platform: formatPlatform(platform) };
  }

  event(event: ProgressEvent): void {
    if (this.#broken) return;
    if (event.type === 'vertex' && event.id.startsWith('sha256:')) this.#vertex(event);
    else if (event.type === 'log') this.#log(event.id, event.data);
  }

  end(outcome: BuildResult | { readonly error: unknown }): void {
    const ended = Date.now();
    clearTimeout(this.#first);
    if ('error' in outcome) {
      const { error } = outcome;
      const code = error instanceof BuildError ? error.code : 'INTERNAL';
      const message = error instanceof Error ? error.message : String(error);
      const status = code === 'INTERRUPTED' ? 'interrupted' : 'failed';
      const hint = error instanceof BuildError && error.hint !== undefined ? { hint: error.hint } : {};
      this.#record = { ...this.#record, ended, status, error: { code, message, ...hint } };
    } else {
      const { digest, imageId, names } = outcome;
      this.#record = { ...this.#record, ended, status: 'done', digest, imageId, names };
    }
    this.#attempt(() => {
      for (const log of this.#logs.values()) closeSync(log);
      this.#logs.clear();
      this.#write();
      pruneBuilds(this.#root, this.#limits, ended);
    });
  }

  #vertex(event: VertexEvent): void {
    const { id, state, time } = event;
    const step = this.#steps.event(event);
    if (state === 'running') {
      step.started ??= time;
      if (time >= this.#due) this.#attempt(() => this.#write());
    } else if (state !== 'waiting') step.ended = time;
    const log = this.#logs.get(id);
    if (log === undefined || state === 'running') return;
    this.#logs.delete(id);
    this.#attempt(() => closeSync(log));
  }

  #log(id: string, data: Uint8Array): void {
    const step = this.#steps.get(id);
    if (step === undefined) return;
    this.#attempt(() => {
      let log = this.#logs.get(id);
      if (log === undefined) {
        const path = logFile(this.#root, this.id, step.number);
        if (step.logBytes === undefined) mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        log = openSync(path, 'a', 0o600);
        this.#logs.set(id, log);
      }
      for (let at = 0; at < data.length;) at += writeSync(log, data, at);
      step.logBytes = (step.logBytes ?? 0) + data.length;
    });
  }

  #write(): void {
    const before = performance.now();
    // Of a build that has ended nobody asks whether it still runs.
    const owner = this.#record.status === 'running' ? thisProcess() : { pid: process.pid };
    const { steps } = this.#steps;
    writeBuildFile(this.#root, this.#file, { version: 1, owner, ...this.#record, steps });
    const cost = performance.now() - before;
    this.#due = steps.length === 0 ? 0 : Date.now() + writeEvery + cost * costFactor;
  }

  #attempt(work: () => void): void {
    if (this.#broken) return;
    try {
      work();
    } catch {
      this.#broken = true;
    }
  }
}
