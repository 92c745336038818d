/** For the default branch of a switch that has a case for everything: the compiler complains when one is added. */
export function unreachable(value: never): never {
  throw new TypeError(`unexpected ${JSON.stringify(value)}`);
}
