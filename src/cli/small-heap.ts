/**
 * For commands that pass much data on and keep none of it: they take a third less memory from here on, which also costs time to get.
 * The engine would let its space for new objects grow with what passes through, up to a hundred megabytes, and never give it back; and it would compile
 * the parser of HTTP, a few hundred bytes a request, once more to make it quicker.
 */
export function keepHeapSmall(): void {
  // Loaded here: at every start it would cost 3 ms.
  const { setFlagsFromString } = process.getBuiltinModule('node:v8');
  const flags = ['--semi-space-growth-factor=1', '--no-wasm-tier-up', '--no-wasm-dynamic-tiering'];
  for (const flag of flags) setFlagsFromString(flag);
}
