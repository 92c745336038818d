import { AwsV4Signer } from 'aws4fetch';
import { manifestLimit } from '../oci/decode.ts';
import type { Digest } from '../oci/digest.ts';
import type { HttpClient, HttpRequest } from '../net/http.ts';
import type { RetryPolicy } from '../net/retry.ts';
import { BuildError } from '../util/build-error.ts';
import type { ByteStream } from '../util/streams.ts';
import { streamOf } from '../util/streams.ts';
import type { CachePlace } from './place.ts';
import { callService } from './service.ts';

export interface S3Place {
  readonly bucket?: string | undefined;
  readonly region?: string | undefined;
  readonly prefix?: string | undefined;
  readonly blobsPrefix?: string | undefined;
  readonly manifestsPrefix?: string | undefined;
  readonly name?: string | undefined;
  readonly endpointUrl?: string | undefined;
  readonly usePathStyle?: boolean | undefined;
  readonly accessKeyId?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly sessionToken?: string | undefined;
}

interface Call {
  readonly method: 'GET' | 'HEAD' | 'PUT';
  readonly key: string;
  readonly signal?: AbortSignal | undefined;
  readonly body?: { readonly size: number; open(): ByteStream } | undefined;
}

/**
 * A cache in an S3 bucket (KB-5), blobs and documents as objects. Without keys calls are not signed, for buckets that anybody may read.
 * Objects above 5 GiB are not taken by S3 in one piece, and not by this. Throws USAGE where bucket or region are not known.
 */
export function s3Place(
  options: S3Place,
  {
    http,
    env,
    retry,
  }: { readonly http: HttpClient; readonly env: NodeJS.ProcessEnv; readonly retry?: RetryPolicy },
): CachePlace {
  const bucket = options.bucket ?? env['AWS_BUCKET'];
  const region = options.region ?? env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'];
  if (bucket === undefined || region === undefined) {
    const missing = bucket === undefined ? 'bucket' : 'region';
    throw new BuildError('USAGE', `a cache of type=s3 needs ${missing}=NAME`, {
      hint: `or set ${bucket === undefined ? 'AWS_BUCKET' : 'AWS_REGION'}`,
    });
  }
  const { prefix = '', blobsPrefix = 'blobs/', manifestsPrefix = 'manifests/', name = 'tsbuild' } = options;
  const root = bucketUrl(options, bucket, region);
  const service = { name: `the s3 bucket ${bucket}`, http, retry };
  const accessKeyId = options.accessKeyId ?? env['AWS_ACCESS_KEY_ID'];
  const secretAccessKey = options.secretAccessKey ?? env['AWS_SECRET_ACCESS_KEY'];
  const sessionToken = options.sessionToken ?? env['AWS_SESSION_TOKEN'];

  const requestOf = async ({ method, key, signal, body }: Call): Promise<HttpRequest> => {
    const url = new URL(root);
    url.pathname += key.split('/').map(encodeURIComponent).join('/');
    const plain = {
      method,
      url,
      signal,
      body: body === undefined ? undefined : () => body.open(),
      headers: body === undefined ? {} : { 'content-length': String(body.size) },
      timeouts: { headers: 600_000 },
    };
    if (accessKeyId === undefined || secretAccessKey === undefined) return plain;
    const signer = new AwsV4Signer({
      ...{ method, region, accessKeyId, secretAccessKey, service: 's3' },
      url: url.href,
      // The body is verified by its digest when it is read.
      headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
      ...(sessionToken === undefined ? {} : { sessionToken }),
    });
    const signed = await signer.sign();
    const headers = Object.fromEntries([...signed.headers].filter(([header]) => header !== 'host'));
    return { ...plain, url: signed.url, headers: { ...plain.headers, ...headers } };
  };
  const blobKey = (digest: Digest): string => `${prefix}${blobsPrefix}${digest}`;
  const manifestKey = `${prefix}${manifestsPrefix}${name}`;

  return {
    name: `s3 cache ${bucket}/${prefix}${name}`,
    readManifest: async ({ signal }) => {
      const call = { method: 'GET', key: manifestKey, signal } as const;
      const response = await callService(service, () => requestOf(call), [200, 404]);
      if (response.status === 200) return { bytes: await limited(response.bytes(manifestLimit)) };
      await response.discard();
      return undefined;
    },
    openBlob: async function* ({ digest }, { signal, onProgress } = {}) {
      const call = { method: 'GET', key: blobKey(digest), signal } as const;
      const { body } = await callService(service, () => requestOf(call), [200]);
      let total = 0;
      for await (const chunk of body) {
        yield chunk;
        onProgress?.((total += chunk.length));
      }
    },
    keepBlob: async (blob, { signal, onProgress }) => {
      const key = blobKey(blob.digest);
      const head = await callService(service, () => requestOf({ method: 'HEAD', key, signal }), [200, 404]);
      await head.discard();
      if (head.status === 200) return;
      const call = { method: 'PUT', key, signal, body: blob } as const;
      await (await callService(service, () => requestOf(call), [200])).discard();
      onProgress?.(blob.size);
    },
    putManifest: async ({ bytes }, { signal }) => {
      const body = { size: bytes.length, open: () => streamOf(bytes) };
      const call = { method: 'PUT', key: manifestKey, signal, body } as const;
      await (await callService(service, () => requestOf(call), [200])).discard();
    },
  };
}

function bucketUrl({ endpointUrl, usePathStyle }: S3Place, bucket: string, region: string): URL {
  const url = URL.parse(endpointUrl ?? `https://s3.${region}.amazonaws.com`);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new BuildError('USAGE', `\`${endpointUrl ?? ''}\` is no URL for endpoint_url`);
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  if (usePathStyle === true) url.pathname += `${encodeURIComponent(bucket)}/`;
  else url.hostname = `${bucket}.${url.hostname}`;
  return url;
}

async function limited(bytes: Promise<Buffer>): Promise<Buffer> {
  return bytes.catch((error: unknown) => {
    if (error instanceof RangeError)
      throw new BuildError('IMAGE_INVALID', 'the manifest of the cache is too large');
    throw error;
  });
}
