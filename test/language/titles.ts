import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../support/paths.ts';

/**
 * The test files of each row, sorted, from the titles of their tests: those that begin with IDs of these families (a pattern), of `test`, `describe`,
 * `suite`, or of what their `each` returns.
 */
export function testsByRow(families = 'L-[A-Z]+|CK|I|Z'): ReadonlyMap<string, readonly string[]> {
  const id = String.raw`(?:${families})-\d+`;
  // Other rows may be named beside them.
  const other = String.raw`[A-Z]+(?:-[A-Z]+)?-\d+`;
  const title = new RegExp(String.raw`\(\s*['"\x60]((?:${other}[ ,]+)*${other}):`, 'g');
  const found = new Map<string, Set<string>>();
  for (const file of globSync('test/**/*.test.ts', { cwd: projectRoot }).toSorted()) {
    const text = readFileSync(join(projectRoot, file), 'utf8');
    for (const [, ids = ''] of text.matchAll(title)) {
      for (const row of ids.split(/[ ,]+/))
        if (new RegExp(`^${id}$`).test(row)) found.set(row, (found.get(row) ?? new Set()).add(file));
    }
  }
  return new Map([...found].map(([row, files]) => [row, [...files]]));
}
