import { isDigest } from '../../oci/digest.ts';
import type { StoredBuild } from './build-files.ts';

type Fields = Readonly<Record<string, unknown>>;

const statuses = ['running', 'done', 'failed', 'interrupted'];
const states = ['waiting', 'running', 'done', 'cached', 'failed', 'cancelled'];
/** Of a Date, in milliseconds. */
const latestTime = 8.64e15;

/** Whether a file of the history has what whoever shows it relies on. It may have been damaged, or written by another version. */
export function isStoredBuild(value: unknown): value is StoredBuild {
  const { version, owner, id, status, error, names, steps, ...fields } = fieldsOf(value);
  const { code, message, hint } = fieldsOf(error);
  return (
    version === 1 &&
    typeof fieldsOf(owner)['pid'] === 'number' &&
    typeof id === 'string' &&
    statuses.includes(String(status)) &&
    (error === undefined || (isText(code) && isText(message) && isAbsentOr(isText, hint))) &&
    isTime(fields['started']) &&
    isAbsentOr(isTime, fields['ended']) &&
    isText(fields['context']) &&
    isText(fields['dockerfile']) &&
    ['target', 'platform'].every((name) => isAbsentOr(isText, fields[name])) &&
    ['digest', 'imageId'].every((name) => isAbsentOr(isDigestText, fields[name])) &&
    Array.isArray(names) &&
    names.every(isText) &&
    Array.isArray(steps) &&
    steps.every(isStep)
  );
}

function isStep(value: unknown): boolean {
  const { number, name, state, ...fields } = fieldsOf(value);
  return (
    typeof number === 'number' &&
    isText(name) &&
    states.includes(String(state)) &&
    ['started', 'ended'].every((key) => isAbsentOr(isTime, fields[key])) &&
    ['file', 'reason', 'from', 'place', 'error'].every((key) => isAbsentOr(isText, fields[key]))
  );
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function isAbsentOr(isRight: (value: unknown) => boolean, value: unknown): boolean {
  return value === undefined || isRight(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function isDigestText(value: unknown): boolean {
  return typeof value === 'string' && isDigest(value);
}

function isTime(value: unknown): boolean {
  return typeof value === 'number' && Math.abs(value) <= latestTime;
}
