import { BuildError } from '../util/build-error.ts';
import { didYouMean } from '../util/suggest.ts';

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

/** Those of Go (`go tool dist list` with the ones that it only reserves), as containerd has them, and docker's `wasi`. */
const systems = new Set(
  'aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasi wasip1 windows zos'.split(
    ' ',
  ),
);
const processors = new Set(
  '386 amd64 amd64p32 arm arm64 arm64be armbe loong64 mips mips64 mips64le mips64p32 mips64p32le mipsle ppc ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm'.split(
    ' ',
  ),
);
/** Of the processors that have such; those of others are not looked at. */
const variants: Readonly<Record<string, { readonly form: RegExp; readonly hint: string }>> = {
  amd64: { form: /^v[1-4]$/, hint: 'amd64 has v1 to v4' },
  arm: { form: /^v[5-8]$/, hint: 'arm has v5 to v8' },
  arm64: { form: /^v[89](\.\d)?$/, hint: 'arm64 has v8 and v9, such as v8.2' },
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

/**
 * Reads `os`, `arch`, `os/arch` or `os/arch/variant`. Throws USAGE for anything else, and for systems, processors and variants that there are not:
 * a misspelt one would be found late, or never where no step is run.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/');
  const unknown = (why: string, hint = 'write it like linux/amd64 or linux/arm64'): BuildError =>
    new BuildError('USAGE', `\`${text.slice(0, 100)}\` is no platform${why}`, { hint });
  if (parts.length > 3 || parts.some((part) => !/^[\w.-]+$/.test(part))) throw unknown('');
  if (text === 'local') return hostPlatform();
  const [first = '', second, variant] = parts;
  const isSystem = systems.has(first.toLowerCase());
  if (second === undefined && isSystem) return { ...hostPlatform(), os: first.toLowerCase() };
  const given = second ?? first;
  const platform = normalizePlatform({
    os: second === undefined ? 'linux' : first,
    architecture: given,
    ...(variant === undefined ? {} : { variant }),
  });
  const { architecture } = platform;
  if (!processors.has(architecture)) {
    const versioned = /^armv([5-8])/.exec(architecture)?.[1];
    const hint =
      versioned === undefined
        ? didYouMean(given, second === undefined ? [...processors, ...systems] : processors)
        : `did you mean \`arm/v${versioned}\`?`;
    throw unknown(
      second === undefined
        ? ': it is no operating system and no processor'
        : `: \`${given}\` is no processor`,
      hint,
    );
  }
  if (second !== undefined && !isSystem)
    throw unknown(`: \`${first}\` is no operating system`, didYouMean(first, systems));
  const known = variants[architecture];
  if (known !== undefined && platform.variant !== undefined && !known.form.test(platform.variant))
    throw unknown(`: \`${variant}\` is no variant of ${architecture}`, known.hint);
  return platform;
}

export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** The platform that images run on natively here; always linux, also where tsbuild itself runs on another system. */
export function hostPlatform(): Platform {
  return normalizePlatform({ os: 'linux', architecture: process.arch });
}
