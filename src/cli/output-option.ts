import { BuildError } from '../util/build-error.ts';
import type { OutputOption } from '../index.ts';
import type { Output } from './context.ts';
import { parseBoolean, parseCsv, splitPair } from './csv.ts';
import { suggestion } from './nearest.ts';
import { parseChoice, parseWhole } from './values.ts';

const types = ['oci', 'docker', 'tar', 'local', 'image', 'registry', 'cacheonly'] as const;
const keys = [
  'type',
  'dest',
  'name',
  'push',
  'tar',
  'compression',
  'compression-level',
  'force-compression',
  'oci-mediatypes',
  'registry.insecure',
  'prefer-nondist-layers',
  'annotation.NAME',
];
/** Keys of BuildKit that say what tsbuild does anyway. */
const needless = ['unpack', 'store', 'rewrite-timestamp', 'name-canonical'];

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** One `-o`; `loadIntoDocker` is docker's `type=docker` without `dest`: into the engine, not a file. */
export type ParsedOutput = { readonly output: OutputOption } | { readonly loadIntoDocker: true };

/**
 * `-o type=…,dest=…`, `-o directory` or `-o -` (C-OU-1, X-8). An archive without `dest` goes to stdout, which must not
 * be a terminal. Throws USAGE.
 */
export function parseOutput(text: string, stdout: Output): ParsedOutput {
  const fields = parseCsv(text);
  if (fields.length === 1 && fields[0] === text && !text.includes('=')) {
    return {
      output: text === '-' ? { type: 'tar', ...toStdout('tar', stdout) } : { type: 'local', dest: text },
    };
  }
  const output: Writable<OutputOption> = { type: 'image' };
  const annotations: Record<string, string> = {};
  let typed = false;
  for (const field of fields) {
    const [name, value] = splitPair(field);
    const key = name.trim().toLowerCase();
    if (value === undefined) {
      throw new BuildError('USAGE', `\`${field}\` in \`-o ${text}\` is not understood`, {
        hint: 'write -o type=…,dest=…',
      });
    }
    typed ||= key === 'type';
    if (/^annotation(-manifest)?\./.test(key)) annotations[name.trim().slice(key.indexOf('.') + 1)] = value;
    else setKey(output, { key, value, text });
  }
  if (!typed)
    throw new BuildError('USAGE', `\`-o ${text}\` has no type`, {
      hint: `add type=; known are ${types.join(', ')}`,
    });
  if (Object.keys(annotations).length > 0) output.annotations = annotations;
  return complete(output, text, stdout);
}

function setKey(
  output: Writable<OutputOption>,
  { key, value, text }: { key: string; value: string; text: string },
): void {
  switch (key) {
    case 'type':
      output.type = parseChoice(value, 'type', types);
      break;
    case 'dest':
      output.dest = value;
      break;
    case 'name':
      output.names = value.split(',').filter((name) => name !== '');
      break;
    case 'push':
      output.push = parseBoolean(value, key);
      break;
    case 'tar':
      output.tar = parseBoolean(value, key);
      break;
    case 'compression':
      output.compression = parseChoice(value, key, ['gzip', 'zstd', 'uncompressed'] as const);
      break;
    case 'compression-level':
      output.compressionLevel = parseWhole(value, key, 0);
      break;
    case 'force-compression':
      output.forceCompression = parseBoolean(value, key);
      break;
    case 'oci-mediatypes':
      output.ociMediaTypes = parseBoolean(value, key);
      break;
    case 'registry.insecure':
      output.insecure = parseBoolean(value, key);
      break;
    case 'prefer-nondist-layers':
      if (parseBoolean(value, key)) break;
      throw new BuildError('USAGE', 'layers that must not be distributed stay so', {
        hint: 'leave prefer-nondist-layers out; --allow-nondistributable-artifacts REGISTRY has them pushed',
      });
    default:
      if (needless.includes(key)) break;
      throw new BuildError('USAGE', `\`${key}\` in \`-o ${text}\` is no key of an output`, {
        hint: suggestion(key, keys),
      });
  }
}

function complete(output: Writable<OutputOption>, text: string, stdout: Output): ParsedOutput {
  const { type, dest } = output;
  const isFolder = type === 'local' || ((type === 'oci' || type === 'docker') && output.tar === false);
  if (isFolder && (dest === undefined || dest === '' || dest === '-')) {
    throw new BuildError('USAGE', `\`-o ${text}\` writes a directory and needs its name`, {
      hint: 'add dest=DIRECTORY',
    });
  }
  if (type === 'docker' && dest === undefined) return { loadIntoDocker: true };
  const isFile = !isFolder && (type === 'oci' || type === 'docker' || type === 'tar');
  if (isFile && (dest === undefined || dest === '' || dest === '-')) {
    return { output: { ...output, ...toStdout(type, stdout) } };
  }
  if (!isFile && !isFolder && dest !== undefined) {
    throw new BuildError('USAGE', `\`-o ${text}\`: type=${type} writes no file`, {
      hint: 'leave dest out, or use type=oci',
    });
  }
  return { output };
}

function toStdout(
  type: string,
  stdout: Output,
): { readonly dest: '-'; readonly stream: NodeJS.WritableStream } {
  if (stdout.isTTY === true) {
    throw new BuildError('USAGE', `an archive is not written to a terminal`, {
      hint: `redirect stdout, or name a file: -o type=${type},dest=FILE`,
    });
  }
  return { dest: '-', stream: stdout };
}
