/** Bytes of a text like `64m` or `1.5GiB`: units are powers of 1024. undefined for what is no size. */
export function readByteSize(text: string): number | undefined {
  const match = /^(\d{1,15}(?:\.\d{1,9})?) ?([kmgtp]?)i?b?$/i.exec(text);
  if (match === null) return undefined;
  const power = ' kmgtp'.indexOf((match[2] ?? '').toLowerCase() || ' ');
  return Math.floor(Number(match[1]) * 1024 ** power);
}
