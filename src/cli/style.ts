/** Colours for what tsbuild itself writes; the names say what is meant, not how it looks. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly blue: (text: string) => string;
  readonly cyan: (text: string) => string;
}

/** SGR colours, or none. */
export function styleFor(color: boolean): Style {
  const wrap =
    (start: number, end: number) =>
    (text: string): string =>
      color ? `\x1b[${start}m${text}\x1b[${end}m` : text;
  return {
    bold: wrap(1, 22),
    dim: wrap(2, 22),
    red: wrap(31, 39),
    green: wrap(32, 39),
    yellow: wrap(33, 39),
    blue: wrap(34, 39),
    cyan: wrap(36, 39),
  };
}
