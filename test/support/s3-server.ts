import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request as send } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { startHttpServer } from './http-server.ts';
import { tempFolder } from './temp.ts';

export interface S3Server extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly bucket: string;
}

interface S3rver {
  run(): Promise<{ readonly port: number }>;
  close(): Promise<void>;
}

const key = 'S3RVER';

/** s3rver with one empty bucket. The key and its secret are `S3RVER`; it checks no signature of version 4, so that is done before it. */
export async function startS3(bucket = 'builds'): Promise<S3Server> {
  const Server = createRequire(import.meta.url)('s3rver') as new (options: object) => S3rver;
  const folder = await tempFolder('s3');
  const server = new Server({
    ...{ address: '127.0.0.1', port: 0, silent: true },
    directory: join(folder.path, 'data'),
    configureBuckets: [{ name: bucket }],
  });
  const { port } = await server.run();
  const front = await startHttpServer((request, response) => {
    if (!isSigned(request)) {
      response.writeHead(403).end('<Error><Code>SignatureDoesNotMatch</Code></Error>');
      request.resume();
      return;
    }
    const { method, url, headers } = request;
    const behind = send({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    behind.on('error', () => response.destroy());
    request.pipe(behind);
  });
  return {
    url: `http://${front.host}`,
    bucket,
    [Symbol.asyncDispose]: async () => {
      await front[Symbol.asyncDispose]();
      await server.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** As "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference says, for requests without a query. */
function isSigned({ method, url, headers }: IncomingMessage): boolean {
  const [, day = '', region = '', names = '', signature = ''] =
    /^AWS4-HMAC-SHA256 Credential=S3RVER\/(\d{8})\/([\w-]+)\/s3\/aws4_request, ?SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    ) ?? [];
  const signed = names.split(';');
  if (!['host', 'x-amz-content-sha256', 'x-amz-date'].every((name) => signed.includes(name))) return false;
  const canonical = [
    ...[method, url, ''],
    ...signed.map((name) => `${name}:${String(headers[name]).trim()}`),
    ...['', names, headers['x-amz-content-sha256']],
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const digest = createHash('sha256').update(canonical).digest('hex');
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, digest].join('\n');
  let secret: string | Buffer = `AWS4${key}`;
  for (const part of [day, region, 's3', 'aws4_request', text])
    secret = createHmac('sha256', secret).update(part).digest();
  return secret.toString('hex') === signature;
}
