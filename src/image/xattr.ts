/**
 * Attributes that go from images to disk and from RUN steps into layers (S-P-3): file capabilities and those of users. Others belong to
 * the host (labels, ACLs of its filesystems), and `overlay` ones would let a layer speak to the kernel's overlayfs.
 */
export function isPortableXattr(name: string): boolean {
  return name === 'security.capability' || (name.startsWith('user.') && !name.startsWith('user.overlay.'));
}

/** Marks a directory of an overlayfs layer that hides what lower layers have in it. */
export function opaqueXattr(kind: 'trusted' | 'user'): string {
  return `${kind}.overlay.opaque`;
}
