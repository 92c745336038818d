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

/** Marks a directory of an overlayfs layer that hides what lower layers have in it. */
export function opaqueXattr(kind: 'trusted' | 'user'): string {
  return `${kind}.overlay.opaque`;
}

/** Extended attributes as plain data, in the order of their names. */
export function xattrList(xattrs: Entry['xattrs']): readonly (readonly [string, string])[] {
  return Object.entries(xattrs ?? {})
    .toSorted(([a], [b]) => compareBytes(a, b))
    .map(([name, value]) => [name, Buffer.from(value).toString('base64')]);
}
