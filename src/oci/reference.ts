import { BuildError } from '../util/build-error.ts';
import type { Digest } from './digest.ts';
import { isDigest } from './digest.ts';

/** An image's name, in normal form: `alpine` is registry `docker.io`, repository `library/alpine`. */
export interface Reference {
  /** Host with an optional port; `docker.io` for Docker Hub. */
  readonly registry: string;
  /** Path components joined by `/`, lower case. */
  readonly repository: string;
  readonly tag?: string | undefined;
  readonly digest?: Digest | undefined;
}

const component = /^[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const host =
  /^(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\[[a-fA-F0-9:]+\])(?::[0-9]{1,5})?$/;

/**
 * Reads `[registry/]repository[:tag][@digest]` by the grammar of the distribution project (reference.go): the first component is a
 * registry when it has a dot, a colon or an upper-case letter, or is `localhost`. Neither tag nor digest means tag `latest`
 * (L-FROM-1); with a digest the tag is kept but does not decide. Throws REFERENCE_INVALID. Never reads more than 1000 characters.
 */
export function parseReference(text: string): Reference {
  if (text === '') throw invalid(text, 'it is empty');
  if (text.length > 1000) throw invalid(text, 'it is too long');
  if (/^[a-f0-9]{64}$/.test(text)) throw invalid(text, 'it is an image id, not a name');
  const at = text.indexOf('@');
  const named = at < 0 ? text : text.slice(0, at);
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest)) {
    const other = /^(?!sha256:)[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]{32,}$/.exec(digest) !== null;
    throw invalid(
      text,
      other
        ? `digests of ${digest.split(':')[0] ?? ''} are not supported: the digest after \`@\` must be of sha256`
        : 'the digest after `@` must be `sha256:` and 64 lower-case hex digits',
    );
  }
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0];
  if (scheme !== undefined) throw invalid(text, `a name has no \`${scheme}\` before it`);
  const { registry, rest } = splitRegistry(named);
  if (registry !== undefined && !validHost(registry))
    throw invalid(text, `\`${registry}\` is no registry host`);
  const colon = rest.indexOf(':');
  const path = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  if (tag !== undefined && !tagPattern.test(tag)) {
    throw invalid(
      text,
      tag === ''
        ? 'the tag after `:` is empty'
        : `\`${tag}\` is no tag: letters, digits, _, . and -, at most 128`,
    );
  }
  const canonical = canonicalRegistry(registry);
  const repository =
    canonical === 'docker.io' && !path.includes('/') && path !== '' ? `library/${path}` : path;
  for (const part of path.split('/')) {
    if (!component.test(part)) throw invalid(text, reason(part));
  }
  if (`${canonical}/${repository}`.length > 255)
    throw invalid(text, 'a repository has at most 255 characters');
  return {
    registry: canonical,
    repository,
    ...(tag !== undefined ? { tag } : digest === undefined ? { tag: 'latest' } : {}),
    ...(digest === undefined ? {} : { digest }),
  };
}

/**
 * Refuses a registry without a repository, `localhost:5000` or `registry.example`, where only a repository can be meant: as a reference such a text
 * is an image of Docker Hub. Throws REFERENCE_INVALID.
 */
export function refuseRegistryAlone(text: string): void {
  const registry = text.slice(0, 300).replace(/\/$/, '');
  const isHost = /^(?:localhost|[^/:@]+\.[^/:@]+)(?::\d{1,5})?$|^\[[^/]*\](?::\d{1,5})?$/i.test(registry);
  if (!isHost || !validHost(registry)) return;
  throw new BuildError(
    'REFERENCE_INVALID',
    `\`${text.slice(0, 100)}\` names a registry and no repository in it`,
    {
      hint: `write ${registry.slice(0, 100)}/NAME`,
    },
  );
}

/** The full form: `docker.io/library/busybox:latest`, with the digest where there is one. `parseReference` reads it back unchanged. */
export function formatReference(reference: Reference): string {
  return `${reference.registry}/${reference.repository}${suffix(reference)}`;
}

/** The form people write: `busybox:latest`, `user/app:1`, `ghcr.io/a/b:1`. `parseReference` reads it back unchanged. */
export function familiarReference(reference: Reference): string {
  const { registry, repository } = reference;
  if (registry !== 'docker.io') return formatReference(reference);
  const official = /^library\/[^/]+$/.test(repository);
  return `${official ? repository.slice('library/'.length) : repository}${suffix(reference)}`;
}

function suffix({ tag, digest }: Reference): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

function splitRegistry(named: string): { registry: string | undefined; rest: string } {
  const slash = named.indexOf('/');
  if (slash < 0) return { registry: undefined, rest: named };
  const first = named.slice(0, slash);
  const isRegistry = /[.:[]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  return isRegistry
    ? { registry: first, rest: named.slice(slash + 1) }
    : { registry: undefined, rest: named };
}

function canonicalRegistry(registry: string | undefined): string {
  const known = registry ?? 'docker.io';
  return known === 'index.docker.io' ? 'docker.io' : known;
}

function validHost(registry: string): boolean {
  if (!host.test(registry)) return false;
  const port = /:(\d+)$/.exec(registry.replace(/^\[.*\]/, ''))?.[1];
  return port === undefined || Number(port) <= 65_535;
}

function reason(part: string): string {
  if (part === '') return 'a part between slashes is empty';
  if (part !== part.toLowerCase()) return 'a repository name must be lower case';
  return `\`${part.slice(0, 60)}\` is no repository name: lower-case letters and digits, with . _ __ or - between them`;
}

function invalid(text: string, why: string): BuildError {
  return new BuildError('REFERENCE_INVALID', `\`${text.slice(0, 100)}\` is no image reference: ${why}`, {
    hint: 'write it like alpine:3.20, ghcr.io/owner/app:1.0 or name@sha256:…',
  });
}
