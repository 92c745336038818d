import { describe, expect, test } from 'vitest';
import { formatPlatform, parsePlatform } from '../../src/oci/platform.ts';
import { BuildError } from '../../src/util/build-error.ts';

function outcome(text: string): string {
  try {
    return formatPlatform(parsePlatform(text));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    return `${error.code} ${error.message} | ${error.hint}`;
  }
}

describe('platforms (C-PL-1)', () => {
  test.each([
    ['linux/amd64', 'linux/amd64'],
    ['Linux/X86_64', 'linux/amd64'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/6', 'linux/arm/v6'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/v9.2', 'linux/arm64/v9.2'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/ppc64le/power9', 'linux/ppc64le/power9'],
    ['linux/loong64', 'linux/loong64'],
    ['linux/riscv64', 'linux/riscv64'],
    ['wasi/wasm', 'wasi/wasm'],
    ['windows/amd64', 'windows/amd64'],
    ['s390x', 'linux/s390x'],
  ])('%s is %s, whether this host can run it or not', (text, platform) => {
    expect(outcome(text)).toBe(platform);
  });

  test.each([
    ['linux/amd6', '`linux/amd6` is no platform: `amd6` is no processor | did you mean `amd64`?'],
    ['linux/arm46', '`linux/arm46` is no platform: `arm46` is no processor | did you mean `arm64`?'],
    ['linux/armv7', '`linux/armv7` is no platform: `armv7` is no processor | did you mean `arm/v7`?'],
    ['linux/armv7l', '`linux/armv7l` is no platform: `armv7l` is no processor | did you mean `arm/v7`?'],
    ['linux/arm/v77', '`linux/arm/v77` is no platform: `v77` is no variant of arm | arm has v5 to v8'],
    [
      'linux/arm64/v7',
      '`linux/arm64/v7` is no platform: `v7` is no variant of arm64 | arm64 has v8 and v9, such as v8.2',
    ],
    ['linx/amd64', '`linx/amd64` is no platform: `linx` is no operating system | did you mean `linux`?'],
    ['amd46', '`amd46` is no platform: it is no operating system and no processor | did you mean `amd64`?'],
    [
      'linux/toaster',
      '`linux/toaster` is no platform: `toaster` is no processor | write it like linux/amd64 or linux/arm64',
    ],
    ['a/b/c/d', '`a/b/c/d` is no platform | write it like linux/amd64 or linux/arm64'],
  ])('%s is refused', (text, message) => {
    expect(outcome(text)).toBe(`USAGE ${message}`);
  });
});
