import type { Entry } from './entry.ts';
import { compareBytes } from './entry-path.ts';

/**
 * Attributes that go from images to disk and from RUN steps into layers (S-P-3): file capabilities and those of users. Others belong to
 * the host (labels, ACLs of its filesystems), `overlay` ones would let a layer
 * speak to the kernel's overlayfs, and `tsbuild` ones to us (`owners.ts`).
 */
export function isPortableXattr(name: string): boolean {
  if (/^user\.(overlay|tsbuild)\./.test(name)) return false;
  return name === 'security.capability' || name.startsWith('user.');
}

/**
 * What overlayfs is told of a directory of a layer: `opaque`, that it hides what lower layers have in it; `origin`, that there are whiteouts in it:
 * without, those of a directory that no lower layer has would be listed as files.
 */
export type OverlayMark = 'opaque' | 'origin';

export function overlayXattr(kind: 'trusted' | 'user', mark: OverlayMark): string {
  return `${kind}.overlay.${mark}`;
}

/** Extended attributes as plain data, in the order of their names. */
export function xattrList(xattrs: Entry['xattrs']): readonly (readonly [string, string])[] {
  return Object.entries(xattrs ?? {})
    .toSorted(([a], [b]) => compareBytes(a, b))
    .map(([name, value]) => [name, Buffer.from(value).toString('base64')]);
}
