import {
  chmodSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { BuildOptions } from '../../src/index.ts';

/** A file of a scene: its text, or more about it. */
export type SceneFile =
  | string
  | {
      readonly text?: string;
      /** Default 0644. */
      readonly mode?: number;
      /** Seconds; default: when it is written. */
      readonly mtime?: number;
      /** Makes it a symbolic link. */
      readonly link?: string;
      /** Bytes, instead of a text. */
      readonly bytes?: Uint8Array;
    };

export type SceneFiles = Readonly<Record<string, SceneFile>>;

/** All that a build depends on, as plain data: an edit makes another of it. */
export interface Scene {
  readonly dockerfile: string;
  /** The build context. */
  readonly files: SceneFiles;
  /** Images of the store, by the name that FROM has: what is in them. */
  readonly bases: Readonly<Record<string, SceneFiles>>;
  /** Named contexts. */
  readonly contexts: Readonly<Record<string, SceneFiles>>;
  /** What the HTTP server has; `{http}` in the Dockerfile is its address. */
  readonly http: Readonly<Record<string, string>>;
  /** What the repository `/r.git` has; `{git}` in the Dockerfile is the server's address. */
  readonly git: SceneFiles;
  readonly options: BuildOptions;
}

export interface Edit {
  readonly title: string;
  change(scene: Scene): Scene;
}

export interface Case {
  readonly name: string;
  readonly scene: Scene;
  readonly edits: readonly Edit[];
}

/** Brings a directory from what it has to what it shall have, touching no file that stays. */
export function writeFiles(directory: string, files: SceneFiles, before: SceneFiles = {}): void {
  mkdirSync(directory, { recursive: true });
  for (const path of Object.keys(before)) {
    if (path in files) continue;
    unlinkSync(join(directory, path));
    removeEmpty(directory, dirname(path));
  }
  for (const [path, file] of Object.entries(files)) {
    if (JSON.stringify(before[path]) === JSON.stringify(file)) continue;
    const full = join(directory, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFile(full, typeof file === 'string' ? { text: file } : file);
  }
}

/** A scene has no directories but those of its files. */
function removeEmpty(directory: string, path: string): void {
  if (path === '.' || readdirSync(join(directory, path)).length > 0) return;
  rmdirSync(join(directory, path));
  removeEmpty(directory, dirname(path));
}

function writeFile(path: string, file: Exclude<SceneFile, string>): void {
  const { text = '', mode = 0o644, mtime, link, bytes } = file;
  rmSync(path, { force: true });
  if (link !== undefined) symlinkSync(link, path);
  else {
    writeFileSync(path, bytes ?? text);
    chmodSync(path, mode);
  }
  if (mtime !== undefined) lutimesSync(path, mtime, mtime);
}

const nothing: Scene = {
  ...{ dockerfile: '', files: {}, bases: {}, contexts: {}, http: {}, git: {}, options: {} },
};

/** A case: the Dockerfile's lines, what else there is, and what is done to it. */
export function define(
  name: string,
  lines: readonly string[],
  scene: Partial<Omit<Scene, 'dockerfile'>>,
  edits: readonly Edit[],
): Case {
  return { name, scene: { ...nothing, ...scene, dockerfile: `${lines.join('\n')}\n` }, edits };
}

type Place = 'files' | 'git' | { readonly base: string } | { readonly context: string };

function inPlace(scene: Scene, place: Place, change: (files: SceneFiles) => SceneFiles): Scene {
  if (typeof place === 'string') return { ...scene, [place]: change(scene[place]) };
  if ('base' in place)
    return { ...scene, bases: { ...scene.bases, [place.base]: change(scene.bases[place.base] ?? {}) } };
  const { context } = place;
  return { ...scene, contexts: { ...scene.contexts, [context]: change(scene.contexts[context] ?? {}) } };
}

function where(place: Place): string {
  if (place === 'files') return '';
  if (place === 'git') return ' of the repository';
  return 'base' in place ? ` of the image ${place.base}` : ` of the context ${place.context}`;
}

/** Another content, or a new file. */
export function put(path: string, file: SceneFile, place: Place = 'files'): Edit {
  return {
    title: `write ${path}${where(place)}${typeof file === 'string' ? `: ${JSON.stringify(file)}` : ''}`,
    change: (scene) => inPlace(scene, place, (files) => ({ ...files, [path]: file })),
  };
}

export function remove(path: string, place: Place = 'files'): Edit {
  return {
    title: `remove ${path}${where(place)}`,
    change: (scene) => inPlace(scene, place, (files) => without(files, path)),
  };
}

function without(files: SceneFiles, path: string): SceneFiles {
  return Object.fromEntries(Object.entries(files).filter(([name]) => name !== path));
}

export function rename(from: string, to: string, place: Place = 'files'): Edit {
  return {
    title: `rename ${from} to ${to}${where(place)}`,
    change: (scene) =>
      inPlace(scene, place, (files) => ({ ...without(files, from), [to]: files[from] ?? '' })),
  };
}

function about(path: string, more: Partial<Exclude<SceneFile, string>>, place: Place) {
  return (scene: Scene): Scene =>
    inPlace(scene, place, (files) => {
      const file = files[path] ?? '';
      return { ...files, [path]: { ...(typeof file === 'string' ? { text: file } : file), ...more } };
    });
}

export function chmod(path: string, mode: number, place: Place = 'files'): Edit {
  return { title: `chmod ${mode.toString(8)} ${path}${where(place)}`, change: about(path, { mode }, place) };
}

export function touch(path: string, place: Place = 'files'): Edit {
  return {
    title: `touch ${path}${where(place)}`,
    change: about(path, { mtime: 1_000_000_000 }, place),
  };
}

/** Another text in the Dockerfile. */
export function edit(from: string, to: string): Edit {
  return {
    title: `Dockerfile: ${from} -> ${to === '' ? '(nothing)' : to}`.replaceAll('\n', '\\n'),
    change: (scene) => {
      if (!scene.dockerfile.includes(from)) throw new Error(`the Dockerfile has no ${from}`);
      return { ...scene, dockerfile: scene.dockerfile.replace(from, to) };
    },
  };
}

/** Other options of the build. */
export function option(title: string, options: BuildOptions): Edit {
  return { title, change: (scene) => ({ ...scene, options: { ...scene.options, ...options } }) };
}

export function http(path: string, text: string): Edit {
  return {
    title: `${path} on the server`,
    change: (scene) => ({ ...scene, http: { ...scene.http, [path]: text } }),
  };
}

/** Several edits as one. */
export function all(title: string, ...edits: readonly Edit[]): Edit {
  return { title, change: (scene) => edits.reduce((now, one) => one.change(now), scene) };
}

/** Nothing at all: every step is cached. */
export const again: Edit = { title: 'nothing', change: (scene) => scene };
