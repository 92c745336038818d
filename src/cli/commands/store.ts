import type { StoreCheck } from '../../index.ts';
import { BuildError } from '../../util/build-error.ts';
import { commonOptions } from '../context.ts';
import type { CommonFlags } from '../context.ts';
import { formatBytes } from '../format.ts';
import { suggestion } from '../nearest.ts';
import { newCommand } from '../options.ts';
import { sanitizeLine } from '../sanitize.ts';
import type { Verb } from '../verbs.ts';

interface StoreFlags extends CommonFlags {
  readonly repair?: boolean;
  readonly json?: boolean;
}

/** `tsbuild store check`: one line a problem; status 1 when some remain that do harm. */
export const store: Verb = {
  define: () =>
    newCommand('store', 'Reads all of the store and tells what in it is damaged.')
      .usage('check [options]')
      .argument('<what>')
      .option('--repair', 'drop what is damaged; images that are whole stay')
      .option('--json', 'the result as JSON'),
  run: async (command, context) => {
    const flags = command.opts<StoreFlags>();
    const [what = ''] = command.args;
    if (what !== 'check') {
      throw new BuildError('USAGE', `\`${what}\` is nothing to do with the store`, {
        hint: suggestion(what, ['check']) ?? 'write tsbuild store check',
      });
    }
    const library = await context.library();
    const result = await library.checkStore({ ...commonOptions(flags, context), repair: flags.repair });
    context.stdout.write(flags.json === true ? `${JSON.stringify(result, undefined, 2)}\n` : render(result));
    return result.problems.some(({ harmless, repaired }) => !harmless && !repaired) ? 1 : 0;
  },
};

function render({ problems, blobs, bytes, layers, records, images }: StoreCheck): string {
  const lines = problems.map(({ code, path, message, repaired }) =>
    sanitizeLine(`${code} ${path}: ${message}${repaired ? ' (repaired)' : ''}`),
  );
  const left = problems.filter(({ repaired }) => !repaired).length;
  const verdict = left === 0 ? 'sound' : `${left} ${left === 1 ? 'problem' : 'problems'}`;
  const read = `${blobs} blobs (${formatBytes(bytes)}), ${layers} layers, ${records} records, ${images} images`;
  return `${[...lines, `${verdict}: ${read}`].join('\n')}\n`;
}
