import type { RootTree } from './root-tree.ts';

/** Where distributions keep the bundle of certificate authorities that their programs read: Debian, Alpine, Fedora, SUSE, BSD-like. */
const bundles: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/ca-bundle.pem',
  '/var/lib/ca-certificates/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
const whole = '/run/tsbuild/ca-bundle.pem';
const added = '/run/tsbuild/ca-extra.pem';
/** S-P-5. */
const largest = 10 * 1024 * 1024;

/** Programs that read one file instead of their usual one, and those that read one more. */
const variables: Readonly<Record<string, string>> = {
  SSL_CERT_FILE: whole,
  CURL_CA_BUNDLE: whole,
  REQUESTS_CA_BUNDLE: whole,
  PIP_CERT: whole,
  GIT_SSL_CAINFO: whole,
  AWS_CA_BUNDLE: whole,
  CARGO_HTTP_CAINFO: whole,
  NIX_SSL_CERT_FILE: whole,
  NODE_EXTRA_CA_CERTS: added,
  DENO_CERT: added,
};

export interface StepCertificates {
  /** To be mounted read-only; targets are resolved. */
  readonly files: readonly { readonly target: string; readonly content: string }[];
  readonly env: readonly string[];
}

/**
 * Certificate authorities for a step (W-18): `extra` (PEM) is added to each bundle that the root filesystem has, and the usual variables
 * name a bundle that is always there: the image's own authorities and `extra`, for an image without any those of this Node. All of it is
 * mounted over the filesystem, so nothing of it reaches a layer. A variable that the image or the Dockerfile sets stays as it is.
 */
export async function stepCertificates(
  tree: RootTree,
  extra: string,
  env: readonly string[],
): Promise<StepCertificates> {
  const own = new Map<string, string>();
  for (const path of bundles) {
    const content = tree.readFile(path, largest);
    if (content !== undefined) own.set(tree.resolve(path).path, content.toString('latin1'));
  }
  const [base = await usualAuthorities()] = own.values();
  const files = [...own].map(([target, content]) => ({ target, content: joined(content, extra) }));
  const set = new Set(env.map((item) => item.split('=', 1)[0]));
  return {
    files: [...files, { target: whole, content: joined(base, extra) }, { target: added, content: extra }],
    env: Object.entries(variables).flatMap(([name, path]) => (set.has(name) ? [] : [`${name}=${path}`])),
  };
}

function joined(bundle: string, extra: string): string {
  return `${bundle}${bundle.endsWith('\n') || bundle === '' ? '' : '\n'}${extra}`;
}

async function usualAuthorities(): Promise<string> {
  const { rootCertificates } = await import('node:tls');
  return `${rootCertificates.join('\n')}\n`;
}
