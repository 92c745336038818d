/** Places in a user's text file. */

/** A position; both numbers are 1-based, columns count UTF-16 code units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A stretch of text; `end` is exclusive. */
export interface Range {
  readonly start: Position;
  readonly end: Position;
}

/** A text the user wrote, with the name under which it is shown. */
export interface SourceText {
  readonly name: string;
  readonly text: string;
  /** Where it is on this machine; undefined: it came from elsewhere. */
  readonly file?: string;
}

/** A place in a user's file, as errors carry it. */
export interface SourceLocation {
  readonly source: SourceText;
  readonly range: Range;
}
