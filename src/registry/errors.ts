import { isLoopbackHost } from '../net/address.ts';
import type { HttpResponse } from '../net/http.ts';
import type { NetworkFailure } from '../net/network-error.ts';
import { networkFailure } from '../net/network-error.ts';
import { isRetryableStatus, retryAfter } from '../net/retry.ts';
import { BuildError } from '../util/build-error.ts';
import { redactText, redactUrl } from '../util/redact.ts';
import type { CredentialLookup } from './credentials.ts';

/** What was being done, for messages. */
export interface RegistryTask {
  /** What the user calls the registry. */
  readonly registry: string;
  /** What it is about: `docker.io/library/busybox:1`. */
  readonly subject: string;
  readonly kind: 'manifest' | 'blob' | 'tags' | 'push' | 'login' | 'other';
}

/** How it was tried, for messages. */
export interface AccessUsed {
  readonly lookup?: CredentialLookup | undefined;
  /** The token server that was not given the credentials, because it is another's. */
  readonly withheldFrom?: string | undefined;
}

/** The source of credentials that the caller gave with one call: no login replaces them. */
export const givenSource = 'the options of this call (--creds)';

const bodyLimit = 64 * 1024;

/** What a registry says in an error's body (distribution-spec, "Error Codes"). */
export interface RegistryMessage {
  readonly code: string;
  readonly message: string;
}

/** Reads the body of an error answer; whatever it holds, the result is fit for a terminal, without `secrets`. Never throws. */
export async function readMessages(
  response: HttpResponse,
  secrets: readonly string[] = [],
): Promise<readonly RegistryMessage[]> {
  let text: string;
  try {
    text = (await response.bytes(bodyLimit)).toString('utf8');
  } catch {
    return [];
  }
  try {
    const value = JSON.parse(text) as Record<string, unknown> | null;
    const list = Array.isArray(value?.['errors']) ? (value['errors'] as unknown[]).slice(0, 5) : [];
    const messages = list.flatMap((item) => {
      const { code, message } = (item ?? {}) as { code?: unknown; message?: unknown };
      return [{ code: word(code), message: redactText(typeof message === 'string' ? message : '', secrets) }];
    });
    if (messages.length > 0) return messages;
    // Token servers: RFC 6749 `error_description`, or `details`, `message`.
    const single =
      value?.['error_description'] ?? value?.['details'] ?? value?.['message'] ?? value?.['error'];
    return typeof single === 'string'
      ? [{ code: word(value?.['error']), message: redactText(single, secrets) }]
      : [];
  } catch {
    const plain = /^\s*</.test(text) ? '' : redactText(text, secrets, 200);
    return plain === '' ? [] : [{ code: '', message: plain }];
  }
}

/** What a server that says all that it was sent would tell: as it is, and as it goes in a header. */
function secretsOf({ lookup }: AccessUsed): readonly string[] {
  const credential = lookup?.credential;
  if (credential === undefined) return [];
  if (credential.kind === 'registry-token') return [credential.token];
  const { username } = credential;
  const secret = credential.kind === 'password' ? credential.password : credential.token;
  const names = credential.kind === 'password' ? [username] : [username, '<token>'];
  return [secret, ...names.map((name) => Buffer.from(`${name}:${secret}`).toString('base64'))];
}

/** The error for an answer of a status that was not hoped for. Consumes the body. */
export async function responseError(
  response: HttpResponse,
  task: RegistryTask,
  used: AccessUsed,
): Promise<BuildError> {
  const messages = await readMessages(response, secretsOf(used));
  const codes = messages.map(({ code }) => code);
  const { status } = response;
  const said = messages.length === 0 ? '' : `: ${messages.map(sentence).join('; ')}`;
  const pause = retryAfter(response.header('retry-after'), Date.now());
  const details = {
    ...{ registry: task.registry, status, codes, url: redactUrl(response.url) },
    ...(pause === undefined ? {} : { retryAfter: pause }),
  };
  if (status === 401 || status === 403) return refused(task, used, { said, details });
  if (status === 429 || codes.includes('TOOMANYREQUESTS')) {
    const remaining = redactText(response.header('ratelimit-remaining') ?? '', [], 60);
    const known = used.lookup?.credential !== undefined;
    return new BuildError(
      'REGISTRY_ERROR',
      `${task.registry} allows no more requests for now, while working on ${task.subject}${said}`,
      {
        hint: `${known ? 'wait, or use a mirror' : `run \`tsbuild login ${task.registry}\` for a higher limit, or use a mirror`}${
          remaining === '' ? '' : ` (remaining: ${remaining})`
        }`,
        details: { ...details, limit: response.header('ratelimit-limit'), remaining },
      },
    );
  }
  if (status === 404 && (task.kind === 'manifest' || task.kind === 'tags')) {
    const repository = codes.includes('NAME_UNKNOWN');
    return new BuildError(
      'IMAGE_NOT_FOUND',
      `${task.subject} is not in its registry${repository ? ': there is no such repository' : ''}`,
      { hint: repository || task.kind === 'tags' ? 'check the name' : absentHint(task.subject), details },
    );
  }
  const hint =
    status === 404 && task.kind === 'push'
      ? 'some registries want the repository to be made first'
      : undefined;
  return new BuildError(
    'REGISTRY_ERROR',
    `${task.registry} answered ${status} about ${task.subject}${said}`,
    { hint, details },
  );
}

/** `NAME:TAG` or `NAME@DIGEST` is not there; lists name what is. */
function absentHint(subject: string): string {
  const repository = /^(.*):[\w.-]+$/.exec(subject)?.[1];
  return repository === undefined || subject.includes('@')
    ? 'check name and tag'
    : `check name and tag; \`tsbuild ls ${repository}\` lists its tags`;
}

/** E-7: says whose credentials were tried, or where none were found. */
function refused(
  task: RegistryTask,
  used: AccessUsed,
  found: { readonly said: string; readonly details: Readonly<Record<string, unknown>> },
): BuildError {
  const { lookup, withheldFrom } = used;
  const verb = task.kind === 'push' ? 'written' : 'read';
  const details = { ...found.details, source: lookup?.credential?.source, searched: lookup?.searched };
  if (withheldFrom !== undefined) return withheld(task, withheldFrom, details);
  if (task.kind === 'login') {
    return new BuildError('REGISTRY_UNAUTHORIZED', `${task.registry} refuses this login${found.said}`, {
      hint: 'check user name and password; nothing was kept',
      details,
    });
  }
  if (lookup?.credential !== undefined) {
    return new BuildError(
      'REGISTRY_UNAUTHORIZED',
      `${task.subject} cannot be ${verb} with the credentials from ${lookup.credential.source}${found.said}`,
      {
        hint:
          lookup.credential.source === givenSource
            ? 'check the name, and user and password of --creds'
            : `check the name; \`tsbuild login ${task.registry}\` replaces the credentials`,
        details,
      },
    );
  }
  const searched =
    lookup === undefined || lookup.searched.length === 0
      ? 'no credential file was found'
      : `none are in ${lookup.searched.join(', ')}`;
  const maybe = task.kind === 'push' ? 'cannot be written' : 'does not exist, or cannot be read';
  return new BuildError(
    'REGISTRY_UNAUTHORIZED',
    `${task.subject} ${maybe} without credentials for ${task.registry}, and ${searched}${found.said}`,
    { hint: `check the name; if it is private, run \`tsbuild login ${task.registry}\``, details },
  );
}

/** The error where credentials would have helped, but were not shown to another's token server. */
export function withheld(
  task: RegistryTask,
  realm: string,
  details: Readonly<Record<string, unknown>> = {},
): BuildError {
  return new BuildError(
    'REGISTRY_UNSAFE',
    `${task.registry} wants its credentials sent to ${realm}, which is another's host; they were not, and ${task.subject} cannot be ${task.kind === 'push' ? 'written' : 'read'} without`,
    {
      hint: 'if that token server is right, allow it with --trusted-realm HOST',
      details: { registry: task.registry, ...details },
    },
  );
}

/** The error for a request that got no answer; what is no network failure (an abort, a bug) is returned unchanged. */
export function transportError(error: unknown, url: URL, task: RegistryTask): unknown {
  const failure = networkFailure(error);
  if (failure === undefined) return error;
  const host = url.host;
  const via = host === task.registry ? '' : ` (for ${task.registry})`;
  return new BuildError('REGISTRY_UNREACHABLE', `cannot reach ${host}${via}: ${failure.reason}`, {
    hint: wayToReach(failure, host, task),
    details: { registry: task.registry, url: redactUrl(url), passing: failure.retryable },
    cause: error,
  });
}

function wayToReach(failure: NetworkFailure, host: string, task: RegistryTask): string {
  if (failure.certificate)
    return `put the CA of its certificate into /etc/docker/certs.d/${host}/ca.crt, or give it with --ca FILE`;
  if (failure.protocol)
    return `if it is meant to speak plain HTTP, allow that with --insecure-registry ${host}`;
  if (task.registry !== 'docker.io')
    return isLoopbackHost(host.replace(/:\d+$/, ''))
      ? 'check the name and the port, and whether a registry is running there'
      : 'check the name and the network; a proxy is taken from HTTPS_PROXY';
  const own = 'a name without a registry is one of Docker Hub: write REGISTRY/NAME:TAG for another';
  if (task.kind === 'tags') return `${own}; mirrors are not asked for lists`;
  return task.kind === 'push' || task.kind === 'login'
    ? own
    : `${own}, or name a mirror with --registry-mirror HOST`;
}

/** The error of a registry, with those of the mirrors that were asked before it: who set them up looks for the reason there. */
export function withMirrors(error: BuildError, before: readonly string[]): BuildError {
  if (before.length === 0) return error;
  const { code, message, details } = error;
  // That a mirror may be named helps nobody who has one.
  const hint =
    code === 'REGISTRY_UNREACHABLE'
      ? 'the registry itself is asked when no mirror has it: check the name, and the mirrors'
      : error.hint;
  return new BuildError(code, `${message}; of its mirrors before: ${before.join('; ')}`, {
    hint,
    details,
    cause: error,
  });
}

/** Whether what failed may work a little later, or when it is begun anew: of an upload that the network or the registry broke. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof BuildError)) return false;
  const { status, codes, passing } = error.details;
  // The registry lost the upload, or got other bytes or pieces than it was sent.
  const lost = /^(?:BLOB_UPLOAD_\w+|DIGEST_INVALID|SIZE_INVALID|RANGE_INVALID)$/;
  if (passing === true) return true;
  if (Array.isArray(codes) && codes.some((code) => lost.test(String(code)))) return true;
  return typeof status === 'number' && (isRetryableStatus(status) || status === 416);
}

function sentence({ code, message }: RegistryMessage): string {
  return message === '' ? code : message;
}

function word(value: unknown): string {
  return typeof value === 'string' && /^[\w.-]{1,60}$/.test(value) ? value : '';
}
