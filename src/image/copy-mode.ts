import { BuildError } from '../util/build-error.ts';

/** Makes the new permission bits from the old ones. */
export type ModeChange = (mode: number, isDirectory: boolean) => number;

/** What each class may change; of the sticky bit a clause has to speak. */
const classes = { u: 0o4700, g: 0o2070, o: 0o007, a: 0o6777 } as const;
const sticky = 0o1000;
const everything = 0o7777;
const clause = /^([ugoa]*)((?:[-+=][rwxXstugo]*)+)$/;

/**
 * Reads --chmod (L-COPY-13): octal 0 to 07777, or a list as chmod(1) has it (`u=rwX,go=rX`, `+x`, `g=u`); the umask does not
 * count. Where systems differ it is the chmod(1) of BSD, whose rules Docker follows: `=` leaves the sticky bit alone and a copy (`g=u`)
 * the set-id bits, `X` asks for the mode before all changes. Throws COPY_INVALID.
 */
export function parseModeChange(text: string): ModeChange {
  if (/^[0-7]+$/.test(text)) {
    const fixed = Number.parseInt(text, 8);
    if (fixed > everything) throw invalid(text);
    return () => fixed;
  }
  const changes = text.split(',').flatMap((part) => {
    const found = clause.exec(part);
    if (found === null) throw invalid(text);
    const [, who = '', actions = ''] = found;
    return Array.from(actions.matchAll(/([-+=])([rwxXstugo]*)/g)).flatMap(([, operator = '', letters = '']) =>
      // A copy is a change of its own.
      (letters.match(/[ugo]|[rwxXst]+/g) ?? ['']).map((group) => changeOf(who, operator, group)),
    );
  });
  return (mode, isDirectory) => {
    const before = mode & everything;
    const searchable = isDirectory || (before & 0o111) !== 0;
    return changes.reduce((now, change) => change(now, searchable), before);
  };
}

/** One operator with its letters, or with one class to copy; `searchable`: whether `X` is `x`. */
function changeOf(who: string, operator: string, letters: string): ModeChange {
  let mask = 0;
  for (const letter of who === '' ? 'a' : who) mask |= classes[letter as keyof typeof classes];
  // The sticky bit belongs to no class; others alone cannot have it, nor the set-id bits.
  if (letters.includes('t') && mask !== classes.o) mask |= sticky;
  const cleared = 'ugo'.includes(letters) && letters !== '' ? mask & 0o777 : mask;
  return (mode, searchable) => {
    let bits = 0;
    for (const letter of letters) bits |= bitsOf(letter, mode, searchable);
    bits &= mask;
    if (operator === '+') return mode | bits;
    if (operator === '-') return mode & ~bits;
    return (mode & ~cleared) | bits;
  };
}

/** What a letter stands for, in every class. */
function bitsOf(letter: string, mode: number, searchable: boolean): number {
  switch (letter) {
    case 'r':
      return 0o444;
    case 'w':
      return 0o222;
    case 'x':
      return 0o111;
    case 'X':
      return searchable ? 0o111 : 0;
    case 's':
      return 0o6000;
    case 't':
      return sticky;
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
