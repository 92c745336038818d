import { BuildError } from '../util/build-error.ts';
import type { UsageRecord } from './usage.ts';

/** One `--filter` (KM-3): whether a record is meant. */
export type PruneFilter = (record: UsageRecord, now: number) => boolean;

const texts: Readonly<Record<string, (record: UsageRecord) => readonly string[]>> = {
  id: ({ id }) => [id],
  parents: ({ parents }) => parents,
  description: ({ description }) => [description],
  type: ({ type }) => [type],
};
const flags: Readonly<Record<string, (record: UsageRecord) => boolean>> = {
  inuse: ({ inUse }) => inUse,
  mutable: ({ mutable }) => mutable,
  immutable: ({ mutable }) => !mutable,
  shared: ({ shared }) => shared,
  private: ({ shared }) => !shared,
};
const names = ['until', ...Object.keys(texts), ...Object.keys(flags)];

/**
 * `until=24h` (unused for so long), `FIELD=VALUE`, `FIELD!=VALUE`, `FIELD~=REGEXP`, or a property alone (`mutable`); several joined by commas must
 * all hold. An id may be cut short. Throws USAGE.
 */
export function parsePruneFilter(text: string): PruneFilter {
  const parts = text.split(',').map((part) => parseOne(part.trim(), text));
  return (record, now) => parts.every((matches) => matches(record, now));
}

function parseOne(part: string, whole: string): PruneFilter {
  const [, name = '', operator, value = ''] = /^([a-z]+)(?:(=|!=|~=)(.*))?$/s.exec(part) ?? [];
  const fail = (why: string, hint: string): BuildError =>
    new BuildError('USAGE', `\`--filter ${whole}\`: ${why}`, { hint });
  const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
  if (flag !== undefined) {
    if (operator === '~=' || (operator !== undefined && !/^(?:true|false|1|0)$/.test(value)))
      throw fail(`\`${name}\` is true or false`, `write ${name}, ${name}=false or ${name}!=true`);
    const wanted = (operator === undefined || /^(?:true|1)$/.test(value)) !== (operator === '!=');
    return (record) => flag(record) === wanted;
  }
  if (name === 'until') {
    if (operator !== '=') throw fail('`until` takes a duration', 'write it like until=24h');
    const least = parseAge(value);
    if (least === undefined) throw fail(`\`${value}\` is no duration`, 'write it like 90m, 24h or 7d');
    return (record, now) => now - record.lastUsedAt >= least;
  }
  const field = Object.hasOwn(texts, name) ? texts[name] : undefined;
  if (field === undefined || operator === undefined)
    throw fail(`\`${part}\` is not understood`, `fields are ${names.join(', ')}; operators are =, != and ~=`);
  if (operator === '~=') {
    const pattern = regularExpression(value);
    if (pattern === undefined)
      throw fail(`\`${value}\` is no regular expression`, 'escape what is special in it');
    return (record) => field(record).some((found) => pattern.test(found));
  }
  const isValue = (found: string): boolean =>
    found === value || (name === 'id' && value.length >= 4 && found.startsWith(value));
  return (record) => field(record).some(isValue) === (operator === '=');
}

function regularExpression(text: string): RegExp | undefined {
  try {
    return new RegExp(text);
  } catch {
    return undefined;
  }
}

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** A duration in milliseconds, of whole and decimal numbers with units; undefined for what is none. */
export function parseAge(text: string): number | undefined {
  if (text.length > 100 || !/^(?:\d{1,9}(?:\.\d{1,3})?(?:ms|[smhdw]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g))
    total += Number(count) * (units[unit ?? ''] ?? 0);
  return total;
}
