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

/** What one word alone may be (containerd's lists): with two words nothing has to be guessed, and anything goes. */
const systems = new Set(
  'aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris windows zos'.split(
    ' ',
  ),
);
const processors = new Set(
  '386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x sparc64 wasm'.split(
    ' ',
  ),
);

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

/** Reads `os`, `arch`, `os/arch` or `os/arch/variant`. Throws USAGE for anything else, and for one word that is neither. */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/');
  const unknown = (why: string): BuildError =>
    new BuildError('USAGE', `\`${text.slice(0, 100)}\` is no platform${why}`, {
      hint: 'write it like linux/amd64 or linux/arm64',
    });
  if (parts.length > 3 || parts.some((part) => !/^[\w.-]+$/.test(part))) throw unknown('');
  if (text === 'local') return hostPlatform();
  const [first = '', architecture, variant] = parts;
  if (architecture === undefined) {
    if (systems.has(first.toLowerCase())) return { ...hostPlatform(), os: first.toLowerCase() };
    const platform = normalizePlatform({ os: 'linux', architecture: first });
    if (!processors.has(platform.architecture)) throw unknown(': it is no operating system and no processor');
    return platform;
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
