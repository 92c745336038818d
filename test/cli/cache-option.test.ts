import { describe, expect, test } from 'vitest';
import { parseCacheFrom, parseCacheTo } from '../../src/cli/cache-option.ts';

describe('--cache-from and --cache-to (KB-1 to KB-6)', () => {
  test.each([
    ['ghcr.io/me/app:cache', { type: 'registry', ref: 'ghcr.io/me/app:cache' }],
    ['type=registry,ref=a/b,registry.insecure=true', { type: 'registry', ref: 'a/b', insecure: true }],
    ['type=local,src=dir,tag=x', { type: 'local', src: 'dir', tag: 'x' }],
    ['type=gha,scope=main,timeout=2m,version=2', { type: 'gha', scope: 'main', timeout: 120_000 }],
    [
      'type=s3,bucket=b,region=r,"prefix=a,b/",use_path_style=1,endpoint_url=http://x,retry_mode=standard',
      { type: 's3', bucket: 'b', region: 'r', prefix: 'a,b/', usePathStyle: true, endpointUrl: 'http://x' },
    ],
  ])('--cache-from %s', (text, option) => {
    expect(parseCacheFrom(text)).toEqual(option);
  });

  test.each([
    ['type=inline', { type: 'inline' }],
    [
      'type=registry,ref=a,mode=max,image-manifest=false,oci-mediatypes=true,ignore-error=false',
      {
        type: 'registry',
        ref: 'a',
        mode: 'max',
        imageManifest: false,
        ociMediaTypes: true,
        ignoreError: false,
      },
    ],
    [
      'type=local,dest=d,reset=true,compression=zstd,compression-level=3,force-compression=true',
      {
        type: 'local',
        dest: 'd',
        reset: true,
        compression: 'zstd',
        compressionLevel: 3,
        forceCompression: true,
      },
    ],
  ])('--cache-to %s', (text, option) => {
    expect(parseCacheTo(text)).toEqual(option);
  });

  test.each([
    ['type=azblob,name=x', 'UNSUPPORTED_HERE', 'type=azblob are not in this version'],
    ['type=regsitry,ref=a', 'USAGE', '`regsitry` in'],
    ['type=constructor', 'USAGE', 'is no type of a cache'],
    ['ref=a,mode=max', 'USAGE', 'has no type'],
    ['type=registry', 'USAGE', 'needs ref=…'],
    ['type=registry,ref=a,mode=all', 'USAGE', '`all` is no value of `mode`'],
    ['type=inline,mode=max', 'USAGE', '`mode` in'],
    ['type=local,dest=d,toString=1', 'USAGE', '`tostring` in'],
  ])('--cache-to %s is refused', (text, code, message) => {
    expect(() => parseCacheTo(text)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });
});
