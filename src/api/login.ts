import { withSession } from './session.ts';
import type { CommonOptions } from './types.ts';

/** Credentials of one registry. */
export interface LoginOptions extends CommonOptions {
  /** Default: docker.io. */
  readonly registry?: string | undefined;
  readonly username: string;
  readonly password: string;
  /** Where they are kept, instead of docker's config.json; the same form as podman's auth.json (REGISTRY_AUTH_FILE). */
  readonly authFile?: string | undefined;
}

/** Tries credentials at the registry, then keeps them where docker keeps its own. Errors: REGISTRY_*, CREDENTIALS_INVALID. */
export function login(
  options: LoginOptions,
): Promise<{ readonly registry: string; readonly savedTo: string }> {
  return withSession(options, async (session) => {
    const { registry = 'docker.io', username, password } = options;
    const credential = { kind: 'password', username, password, source: 'this login' } as const;
    const client = await session.registry({
      credentials: () => Promise.resolve({ credential, searched: [] }),
    });
    await client.checkLogin(registry, { signal: session.signal });
    const { login: keep } = await import('../registry/login.ts');
    const { source } = await keep(
      registry,
      { username, password },
      { env: session.env, signal: session.signal, file: options.authFile },
    );
    return { registry, savedTo: source };
  });
}

/** Forgets the credentials of a registry. Error: CREDENTIALS_INVALID. */
export function logout(
  options: CommonOptions & Pick<LoginOptions, 'authFile'> & { readonly registry?: string | undefined } = {},
): Promise<{ readonly registry: string; readonly removed: boolean }> {
  return withSession(options, async (session) => {
    const { registry = 'docker.io' } = options;
    const { logout: forget } = await import('../registry/login.ts');
    const { env, signal } = session;
    return { registry, removed: await forget(registry, { env, signal, file: options.authFile }) };
  });
}
