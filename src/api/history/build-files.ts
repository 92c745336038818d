import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../oci/digest.ts';
import type { BuildRecord } from '../build-record.ts';
import { isStoredBuild } from './check-record.ts';

/**
 * The files of the history, `<root>/builds/`: a build is `<id>.<source>.json`, replaced whole by rename, and a folder `<id>` with the output of
 * its steps, `<number>.log`. Ids begin with the time, so a listing of names is in order; `source` is what names the Dockerfile. What is damaged or
 * foreign is passed over: the history explains builds, and must never make one fail.
 */
export interface BuildFile {
  readonly id: string;
  readonly source: string;
  /** Milliseconds since the epoch, of its start. */
  readonly time: number;
  /** Absolute. */
  readonly path: string;
}

const timeDigits = 9;
const randomDigits = 4;
const fileName = new RegExp(`^([0-9a-z]{${timeDigits + randomDigits}})\\.([0-9a-f]{12})\\.json$`);
const largestRecord = 256 * 1024 * 1024;

/** In the name of a file. */
export function shortSource(source: Digest): string {
  return source.slice('sha256:'.length, 'sha256:'.length + 12);
}

export function buildsDirectory(root: string): string {
  return join(root, 'builds');
}

export function newBuildId(time: number, random: number): string {
  const digits = Math.floor(random * 36 ** randomDigits).toString(36);
  return time.toString(36).padStart(timeDigits, '0') + digits.padStart(randomDigits, '0');
}

export function buildFile(root: string, id: string, source: string): BuildFile {
  const time = Number.parseInt(id.slice(0, timeDigits), 36);
  return { id, source, time, path: join(buildsDirectory(root), `${id}.${source}.json`) };
}

/** All that there are, newest first. */
export function listBuildFiles(root: string): readonly BuildFile[] {
  return buildFilesOf(root, namesIn(root));
}

function namesIn(root: string): readonly string[] {
  try {
    return readdirSync(buildsDirectory(root));
  } catch {
    return [];
  }
}

function buildFilesOf(root: string, names: readonly string[]): readonly BuildFile[] {
  return names
    .flatMap((name) => {
      const [, id, source] = fileName.exec(name) ?? [];
      return id === undefined || source === undefined ? [] : [buildFile(root, id, source)];
    })
    .toSorted((a, b) => (a.id < b.id ? 1 : -1));
}

/** What only the file says. */
export interface StoredBuild extends BuildRecord {
  readonly version: 1;
  readonly owner: BuildOwner;
}

/** undefined: gone, or damaged. */
export function readBuildFile(file: BuildFile): StoredBuild | undefined {
  try {
    const bytes = readFileSync(file.path);
    if (bytes.length > largestRecord) return undefined;
    const value = JSON.parse(bytes.toString()) as unknown;
    return isStoredBuild(value) && value.id === file.id ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Replaces it; throws what the system says. */
export function writeBuildFile(root: string, file: BuildFile, record: StoredBuild): void {
  const text = JSON.stringify(record);
  const temporary = join(buildsDirectory(root), `.${file.id}.tmp`);
  try {
    writeFileSync(temporary, text, { mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    mkdirSync(buildsDirectory(root), { recursive: true, mode: 0o700 });
    writeFileSync(temporary, text, { mode: 0o600 });
  }
  renameSync(temporary, file.path);
}

export function logFile(root: string, id: string, step: number): string {
  return join(buildsDirectory(root), id, `${step}.log`);
}

export function removeBuildFiles(root: string, file: BuildFile): void {
  rmSync(file.path, { force: true });
  rmSync(join(buildsDirectory(root), file.id), { recursive: true, force: true });
}

/** How many builds are kept, and how long: the newest always, and those that are running (KM-5). */
export interface HistoryLimits {
  readonly builds: number;
  readonly hours: number;
}

export const defaultLimits: HistoryLimits = { builds: 50, hours: 48 };

/** Removes what the limits do not keep, and what a killed build left half written. Looks at names alone unless there is something to remove. */
export function pruneBuilds(root: string, limits: HistoryLimits, now: number): void {
  const names = namesIn(root);
  const files = buildFilesOf(root, names);
  const oldest = now - limits.hours * 3_600_000;
  for (const [index, file] of files.entries()) {
    if (index === 0 || (index < limits.builds && file.time >= oldest)) continue;
    const record = readBuildFile(file);
    if (record?.status === 'running' && isAlive(record.owner)) continue;
    removeBuildFiles(root, file);
  }
  const kept = new Set(files.map(({ id }) => id));
  for (const name of names) {
    const id = /^\.?([0-9a-z]{13})(?:\.tmp)?$/.exec(name)?.[1];
    if (id !== undefined && !kept.has(id) && buildFile(root, id, '').time < oldest)
      rmSync(join(buildsDirectory(root), name), { recursive: true, force: true });
  }
}

/** Which process does a build. A process id says nothing in another pid namespace, nor after it was given to another process. */
export interface BuildOwner {
  readonly pid: number;
  readonly start?: string | undefined;
  readonly namespace?: string | undefined;
}

export function thisProcess(): BuildOwner {
  return { pid: process.pid, start: startOf('self'), namespace: namespaceOf() };
}

/** Whether the build may still be running; of another pid namespace nobody can tell. */
export function isAlive({ pid, start, namespace }: BuildOwner): boolean {
  if (namespace !== namespaceOf()) return true;
  if (start !== undefined) return startOf(String(pid)) === start;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** When a process was started, in ticks since the boot: proc(5), field 22 of stat. */
function startOf(pid: string): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function namespaceOf(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
}
