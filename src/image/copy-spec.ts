/** Where files of one COPY or ADD come from: the shape of the graph's CopySource, which this module does not import. */
export type CopySourceSpec =
  | {
      readonly kind: 'input';
      readonly input: number;
      readonly paths: readonly string[];
      readonly extract: boolean;
    }
  | { readonly kind: 'inline'; readonly name: string; readonly content: string; readonly mode: number };

export type CopyInputSource = Extract<CopySourceSpec, { readonly kind: 'input' }>;

/** What a COPY or ADD says, as far as files go: the shape of the graph's CopyOp. */
export interface CopySpec {
  readonly sources: readonly CopySourceSpec[];
  readonly dest: string;
  readonly chown?: string;
  readonly chmod?: string;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  readonly link: boolean;
}

/** A path or pattern cleaned as Go's filepath.Clean does, against the root: `..` stops there, slashes at both ends go (L-COPY-4). */
export function cleanPath(text: string): string {
  const parts: string[] = [];
  for (const part of text.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}
