import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { expect, test } from 'vitest';
import { readAuthorities } from '../../src/net/certificates.ts';
import { tempFolder } from '../support/temp.ts';

test('a key in the place of an authority, which RUN steps would see, is refused', async () => {
  await using folder = await tempFolder('certificates');
  const [ca, key] = [join(folder.path, 'ca.pem'), join(folder.path, 'key.pem')];
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  writeFileSync(ca, `# one of them\n${rootCertificates[0] ?? ''}`);
  expect(await readAuthorities({ TSBUILD_CA: ca })).toBe(`${rootCertificates[0]}\n`);
  const both = join(folder.path, 'both.pem');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  writeFileSync(both, `${rootCertificates[0] ?? ''}\n${pem}${rootCertificates[1] ?? ''}`);
  expect(await readAuthorities({ TSBUILD_CA: both })).toBe(rootCertificates.slice(0, 2).join('\n') + '\n');
  await expect(readAuthorities({ TSBUILD_CA: `${ca}:${key}` })).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
    message: `${key} has no certificate`,
    hint: '--ca or TSBUILD_CA names it',
  });
});
