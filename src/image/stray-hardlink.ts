import type { Entry } from './entry.ts';

/** What is wrong with a hard link to what its own layer does not have. */
export function strayHardlink({ path, linkTarget = '' }: Entry): string {
  return `/${path} is a hard link to ${linkTarget}, which is no file of this layer`;
}

export const strayHardlinkHint =
  'a layer can link its own files only: make the image anew with the file itself, or a symbolic link, in its place';
