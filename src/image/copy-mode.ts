import { BuildError } from '../util/build-error.ts';

/** Makes the new permission bits from the old ones. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

// Bits of each class as BSD's setmode(3) has them: setuid goes with u, setgid with g, sticky with all.
const classes = { u: 0o4700, g: 0o2070, o: 0o007 } as const;
const everyone = 0o7777;
const clause = /^([ugoa]*)((?:[-+=][rwxXstugo]*)+)$/;

/**
 * Reads --chmod (L-COPY-13): octal 0 to 07777, or a list as chmod(1) has it (`u=rwX,go=rX`, `+x`, `g=u`); the umask does not
 * count. Throws COPY_INVALID.
 */
export function parseModeChange(text: string): ModeChange {
  if (/^[0-7]+$/.test(text)) {
    const fixed = Number.parseInt(text, 8);
    if (fixed > everyone) throw invalid(text);
    return () => fixed;
  }
  const changes = text.split(',').flatMap((part) => {
    const found = clause.exec(part);
    if (found === null) throw invalid(text);
    const [, who = '', actions = ''] = found;
    return Array.from(actions.matchAll(/([-+=])([rwxXstugo]*)/g), ([, operator = '', letters = '']) =>
      changeOf(who, operator, letters),
    );
  });
  return (mode, isDirectory) => changes.reduce((now, change) => change(now, isDirectory), mode & everyone);
}

function changeOf(who: string, operator: string, letters: string): ModeChange {
  const all = who === '' || who.includes('a');
  let mask = all ? everyone : 0;
  if (!all) for (const letter of who) mask |= classes[letter as keyof typeof classes];
  return (mode, isDirectory) => {
    let bits = 0;
    for (const letter of letters) bits |= bitsOf(letter, mode, isDirectory);
    bits &= mask;
    if (operator === '+') return mode | bits;
    if (operator === '-') return mode & ~bits;
    return (mode & ~mask) | bits;
  };
}

/** What a letter stands for, in every class. */
function bitsOf(letter: string, mode: number, isDirectory: boolean): number {
  switch (letter) {
    case 'r':
      return 0o444;
    case 'w':
      return 0o222;
    case 'x':
      return 0o111;
    case 'X':
      return isDirectory || (mode & 0o111) !== 0 ? 0o111 : 0;
    case 's':
      return 0o6000;
    case 't':
      return 0o1000;
    case 'u':
      return ((mode >> 6) & 7) * 0o111;
    case 'g':
      return ((mode >> 3) & 7) * 0o111;
    default:
      return (mode & 7) * 0o111;
  }
}

function invalid(text: string): BuildError {
  return new BuildError('COPY_INVALID', `\`--chmod=${text}\` is no mode`, {
    hint: 'write octal digits such as 0755, or a list such as u=rwX,go=rX',
  });
}
