/** A plausible slip that breaks what a row promises: some test named by the row must then fail. */
export interface Mutation {
  readonly row: string;
  /** Path below the project. */
  readonly file: string;
  /** Text that occurs once in the file. */
  readonly from: string;
  readonly to: string;
}
