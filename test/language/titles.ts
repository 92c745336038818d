import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../support/paths.ts';

const id = String.raw`(?:L-[A-Z]+|CK|I|Z)-\d+`;
/** A title that begins with IDs: the first argument of `test`, `describe`, `suite`, or of what their `each` returns. */
const title = new RegExp(String.raw`\(\s*['"\x60]((?:${id}[ ,]+)*${id}):`, 'g');

/** The test files of each row, sorted, from the titles of their tests. */
export function testsByRow(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>();
  for (const file of globSync('test/**/*.test.ts', { cwd: projectRoot }).toSorted()) {
    const text = readFileSync(join(projectRoot, file), 'utf8');
    for (const [, ids = ''] of text.matchAll(title)) {
      for (const row of ids.split(/[ ,]+/)) found.set(row, (found.get(row) ?? new Set()).add(file));
    }
  }
  return new Map([...found].map(([row, files]) => [row, [...files]]));
}
