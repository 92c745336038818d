/** A plain tar of small files, all root's, of the same time. */
export function tarOf(files: Readonly<Record<string, string>>): Uint8Array {
  const blocks: Buffer[] = [];
  for (const [name, text] of Object.entries(files)) {
    const content = Buffer.from(text);
    const header = Buffer.alloc(512);
    const field = (value: string, offset: number): void => void header.write(value, offset, 'latin1');
    const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;
    field(name, 0);
    field(octal(0o644, 8), 100);
    field(octal(0, 8), 108);
    field(octal(0, 8), 116);
    field(octal(content.length, 12), 124);
    field(octal(1_000_000_000, 12), 136);
    field('        ', 148);
    field('0', 156);
    field('ustar\u000000', 257);
    const sum = header.reduce((all, byte) => all + byte, 0);
    field(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
    blocks.push(header, content, padding);
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}
