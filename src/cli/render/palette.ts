import type { Style } from '../style.ts';

/** SGR of the colours that have names. */
const names = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];

/** Which of tsbuild's colours each key is. Warnings are told below the picture, where colours are tsbuild's own. */
const keys: Readonly<Record<string, 'blue' | 'red' | 'yellow'>> = {
  run: 'blue',
  error: 'red',
  cancel: 'yellow',
};

/**
 * The style of the picture with the colours of `BUILDKIT_COLORS=run=r,g,b:error=name:cancel=light-name` (U-3). What is not understood stays as
 * it was: the variable is docker's too.
 */
export function withPalette(style: Style, text: string): Style {
  const changed: Partial<Record<'blue' | 'red' | 'yellow', Style['blue']>> = {};
  for (const pair of text.split(':')) {
    const [, key = '', value = ''] = /^\s*(\w+)\s*=\s*([\w,-]{1,40})\s*$/.exec(pair) ?? [];
    const color = keys[key.toLowerCase()];
    const start = startOf(value.toLowerCase());
    if (color !== undefined && start !== undefined)
      changed[color] = (words) => `\x1b[${start}m${words}\x1b[39m`;
  }
  return { ...style, ...changed };
}

function startOf(color: string): string | undefined {
  const parts = color.split(',');
  if (parts.length === 3 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return `38;2;${parts.map(Number).join(';')}`;
  const [, light, name = ''] = /^(light-)?([a-z]+)$/.exec(color) ?? [];
  const at = names.indexOf(name);
  return at === -1 ? undefined : String((light === undefined ? 30 : 90) + at);
}
