import { withSession } from './session.ts';
import type { CommonOptions } from './types.ts';

/** Checks credentials with the registry and keeps them where docker keeps its own. Errors: REGISTRY_UNAUTHORIZED, CREDENTIALS_INVALID. */
export function login(
  options: CommonOptions & {
    readonly registry?: string | undefined;
    readonly username: string;
    readonly password: string;
  },
): Promise<{ readonly registry: string; readonly savedTo: string }> {
  return withSession(options, async (session) => {
    const registry = options.registry ?? 'docker.io';
    const credentials = await import('../registry/login.ts');
    const client = await session.registry();
    await client.checkCredentials(registry, { username: options.username, password: options.password });
    const { username, password } = options;
    const savedTo = await credentials.login(registry, { username, password }, session.env);
    return { registry, savedTo };
  });
}

/** Forgets the credentials of a registry. */
export function logout(
  options: CommonOptions & { readonly registry?: string | undefined } = {},
): Promise<{ readonly registry: string; readonly removed: boolean }> {
  return withSession(options, async (session) => {
    const registry = options.registry ?? 'docker.io';
    const credentials = await import('../registry/login.ts');
    return { registry, removed: await credentials.logout(registry, session.env) };
  });
}
