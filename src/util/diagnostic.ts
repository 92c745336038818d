import type { Edit } from './edit.ts';
import type { SourceLocation } from './source.ts';

/** Something to tell the user that is no failure: a build check (CK-*), or a warning of the builder. */
export interface Diagnostic {
  readonly severity: 'warning' | 'note';
  /** Rule name for build checks, else a short CamelCase word. */
  readonly rule: string;
  readonly message: string;
  readonly hint?: string;
  readonly url?: string;
  readonly source?: SourceLocation;
  /** Changes of the text of `source` that would satisfy the rule; image and graph stay the same. */
  readonly fix?: readonly Edit[];
}
