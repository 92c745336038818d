import type { FileComponents, Named, OwnComponents } from '../../graph/key-components.ts';
import type { CopyOp, ExecMount, ExecOp, ImageOp, MkdirOp } from '../../graph/op.ts';
import { fileComponent } from '../../image/content-hash.ts';
import { copySelection } from '../../image/copy.ts';
import type { Tree } from '../../image/tree.ts';
import { formatPlatform } from '../../oci/platform.ts';
import type { ExecSettings } from './exec.ts';
import type { LayerTimes } from './layer-times.ts';

// What the keys of ops are made of, in the words of the Dockerfile and the command line. All that a `cacheKey` has must be here.

/** Of this many files of one input each is kept by name. */
const mostFiles = 50_000;

export function describeImage(op: ImageOp): OwnComponents {
  return { values: [], mounts: [], options: [['base', op.digest]] };
}

export function describeExec(
  op: ExecOp,
  settings: Pick<ExecSettings, 'extraHosts' | 'ulimits' | 'shmSize'>,
  times: LayerTimes,
): OwnComponents {
  return {
    values: op.env.map((text) => {
      const equals = text.indexOf('=');
      return [text.slice(0, equals), text.slice(equals + 1)] as const;
    }),
    mounts: op.mounts.map((mount) => [nameOfMount(mount), textOfMount(mount)] as const),
    options: present([
      ['command', JSON.stringify(op.args)],
      ['user', op.user],
      ['workdir', op.cwd],
      ['--network', op.network === 'default' ? '' : op.network],
      ['--security', op.security === 'sandbox' ? '' : op.security],
      ['hostname', op.hostname],
      ['platform', formatPlatform(op.platform)],
      ...op.files.map(
        ({ path, content, mode }) => [`heredoc ${path}`, `${mode.toString(8)} ${content}`] as const,
      ),
      ['--add-host', settings.extraHosts.map((host) => host.split(/[:=]/, 1)[0] ?? '').join(' ')],
      ['--ulimit', settings.ulimits.length === 0 ? '' : JSON.stringify(settings.ulimits)],
      ['--shm-size', settings.shmSize === undefined ? '' : String(settings.shmSize)],
      ...timesOf(times),
    ]),
  };
}

export function describeCopy(op: CopyOp, times: LayerTimes): OwnComponents {
  const heredocs = op.sources.flatMap((source) =>
    source.kind === 'inline' ? [[`heredoc ${source.name}`, source.content] as const] : [],
  );
  return {
    values: [],
    mounts: [],
    options: present([
      ['destination', op.dest],
      ['--chown', op.chown ?? ''],
      ['--chmod', op.chmod ?? ''],
      ['--exclude', op.exclude.join(' ')],
      ['--parents', op.parents ? 'true' : ''],
      ['--link', op.link ? 'true' : ''],
      ...heredocs,
      ...timesOf(times),
    ]),
  };
}

export function describeMkdir(op: MkdirOp, times: LayerTimes): OwnComponents {
  return {
    values: [],
    mounts: [],
    options: present([['workdir', op.path], ['user', op.user], ...timesOf(times)]),
  };
}

/** The files that a COPY or ADD selects of an input, as its key has them. */
export async function copyFiles(op: CopyOp, index: number, tree: Tree): Promise<FileComponents> {
  const files: FileComponents['list'][number][] = [];
  let count = 0;
  for (const source of op.sources) {
    if (source.kind !== 'input' || source.input !== index) continue;
    for (const { path, digest } of await copySelection(op, source, tree)) {
      count += 1;
      if (files.length < mostFiles) files.push(fileComponent(path === '' ? '.' : path, digest));
    }
  }
  return { list: files, ...(count === files.length ? {} : { omitted: count - files.length }) };
}

/** The files below some paths of a tree: what bind mounts show. */
export async function mountedFiles(tree: Tree, sources: readonly string[]): Promise<FileComponents> {
  const files: FileComponents['list'][number][] = [];
  let count = 0;
  for (const source of [...new Set(sources)].toSorted()) {
    for await (const { path } of tree.walk(await tree.resolve(source.replace(/^\/+/, '')))) {
      count += 1;
      if (files.length < mostFiles)
        files.push(fileComponent(path === '' ? '.' : path, await tree.contentDigest(path)));
    }
  }
  return { list: files, ...(count === files.length ? {} : { omitted: count - files.length }) };
}

function present(options: Named): Named {
  return options.filter(([, value]) => value !== '');
}

function timesOf(times: LayerTimes): Named {
  const epoch = times.identity();
  return epoch === null ? [] : [['SOURCE_DATE_EPOCH', JSON.stringify(epoch)]];
}

function nameOfMount(mount: ExecMount): string {
  return `${mount.type} ${'target' in mount && mount.target !== undefined ? mount.target : 'id' in mount ? mount.id : ''}`;
}

/** As --mount has it; never what is in it. */
function textOfMount(mount: ExecMount): string {
  const { type: _, input: __, ...rest } = { input: undefined, ...mount };
  return Object.entries(rest)
    .filter(([key, value]) => key !== 'target' && value !== undefined && value !== false)
    .map(([key, value]) => `${key}=${key === 'mode' ? `0${Number(value).toString(8)}` : String(value)}`)
    .join(',');
}
