import { BuildError } from '../util/build-error.ts';

/** OCI image-spec, image-index.md "platform"; keys as there. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly 'os.version'?: string;
  readonly 'os.features'?: readonly string[];
}

const architectures: Readonly<Record<string, { architecture: string; variant?: string }>> = {
  x86_64: { architecture: 'amd64' },
  'x86-64': { architecture: 'amd64' },
  x64: { architecture: 'amd64' },
  aarch64: { architecture: 'arm64' },
  armhf: { architecture: 'arm', variant: 'v7' },
  armel: { architecture: 'arm', variant: 'v6' },
  i386: { architecture: '386' },
  ia32: { architecture: '386' },
};

/** Docker's normal form: aarch64 is arm64, arm64/v8 and amd64/v1 lose the variant, arm is arm/v7. */
export function normalizePlatform(platform: Platform): Platform {
  const known = architectures[platform.architecture.toLowerCase()];
  const architecture = known?.architecture ?? platform.architecture.toLowerCase();
  let variant = platform.variant?.toLowerCase() ?? known?.variant;
  if (variant !== undefined && /^\d+$/.test(variant)) variant = `v${variant}`;
  if (architecture === 'arm64' && variant === 'v8') variant = undefined;
  if (architecture === 'amd64' && variant === 'v1') variant = undefined;
  if (architecture === 'arm' && variant === undefined) variant = 'v7';
  const { variant: _, ...rest } = platform;
  return {
    ...rest,
    os: platform.os.toLowerCase(),
    architecture,
    ...(variant === undefined ? {} : { variant }),
  };
}

/** Reads `os`, `arch`, `os/arch` or `os/arch/variant`. Throws USAGE for anything else. */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/');
  if (parts.length > 3 || parts.some((part) => !/^[\w.-]+$/.test(part))) {
    throw new BuildError('USAGE', `\`${text}\` is no platform`, {
      hint: 'write it like linux/amd64 or linux/arm64',
    });
  }
  if (text === 'local') return hostPlatform();
  const [first = '', architecture, variant] = parts;
  if (architecture === undefined) {
    const systems = ['linux', 'windows', 'darwin', 'freebsd'];
    return systems.includes(first.toLowerCase())
      ? { ...hostPlatform(), os: first.toLowerCase() }
      : normalizePlatform({ os: 'linux', architecture: first });
  }
  return normalizePlatform({ os: first, architecture, ...(variant === undefined ? {} : { variant }) });
}

export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** The platform that images run on natively here; always linux, also where tsbuild itself runs on another system. */
export function hostPlatform(): Platform {
  return normalizePlatform({ os: 'linux', architecture: process.arch });
}
