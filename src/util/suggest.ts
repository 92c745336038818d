/** The candidate that the user most likely meant, or undefined. Case does not count; a third of the letters may differ. */
export function suggest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length < 3 || word.length > 64) return undefined;
  const limit = Math.round(word.length / 3);
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > limit) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    const isNearer =
      distance < bestDistance ||
      (distance === bestDistance && best !== undefined && isBegun(candidate, best, word));
    if (isNearer && distance < Math.max(word.length, candidate.length)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Of two words that are as near: `candidate` goes on where this one ends, and `other` does not. */
export function isBegun(candidate: string, other: string, word: string): boolean {
  return candidate.startsWith(word) && !other.startsWith(word);
}

/** `did you mean \`RUN\`?`, or undefined: what errors carry as their hint. */
export function didYouMean(word: string, candidates: Iterable<string>): string | undefined {
  const found = suggest(word, candidates);
  return found === undefined ? undefined : `did you mean \`${found}\`?`;
}

/** Edits between two words, a swap of neighbours counting as one (optimal string alignment). */
export function editDistance(left: string, right: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1];
      let cost = Math.min(
        (previous[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[right.length] ?? 0;
}
