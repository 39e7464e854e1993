import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findPairFault, parseCertificates } from '../../../src/config/tls-pair.ts';
import { createDirectory, removeDirectory, runToSuccess } from '../../support/system/processes.ts';

interface Pair {
  readonly cert: string;
  readonly key: string;
}

const folder = createDirectory('tls-pair');
const kinds = { rsa: 'rsa:2048', ec: 'ec -pkeyopt ec_paramgen_curve:P-256', ed25519: 'ed25519' };
const pairs = new Map<string, Pair>();
const encrypted: string[] = [];

const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
async function openssl(line: string): Promise<void> {
  await runToSuccess({ file: 'openssl', args: line.split(' '), cwd: folder });
}
function pairOf(kind: string): Pair {
  const pair = pairs.get(kind);
  if (pair === undefined) throw new Error(`expected a pair for ${kind}, got none`);
  return pair;
}
const half = (text: string): string => text.slice(0, text.length / 2);

beforeAll(async () => {
  for (const [kind, algorithm] of Object.entries(kinds)) {
    const files = `-keyout ${kind}.key -out ${kind}.crt`;
    await openssl(`req -x509 -newkey ${algorithm} -nodes ${files} -subj /CN=${kind} -days 1`);
    pairs.set(kind, { cert: read(`${kind}.crt`), key: read(`${kind}.key`) });
  }
  await openssl('pkcs8 -topk8 -in rsa.key -passout pass:secret -out pkcs8.key');
  await openssl('rsa -in rsa.key -aes256 -passout pass:secret -traditional -out traditional.key');
  encrypted.push(read('pkcs8.key'), read('traditional.key'));
});
afterAll(() => removeDirectory(folder));

test.each(Object.keys(kinds))('a pair of %s is good, however its lines end', async (kind) => {
  const { cert, key } = pairOf(kind);
  const crlf = (text: string): string => text.replaceAll('\n', '\r\n');
  const other = pairOf(kind === 'rsa' ? 'ec' : 'rsa').cert;
  const chain = `# the leaf\n${cert}\n# its issuer\n${other}`;
  const texts: Pair[] = [
    { cert, key },
    { cert: crlf(cert), key: crlf(key) },
    { cert: `\uFEFF${cert}`, key: `\uFEFF${key}` },
    { cert: chain, key },
    { cert: key + cert, key: key + cert },
  ];
  for (const text of texts) expect(await findPairFault(text.cert, text.key)).toBeUndefined();
});

test.each<[string, (good: Pair) => Partial<Pair>, object]>([
  ['an empty certificate', () => ({ cert: '' }), { of: 'cert', reason: 'an empty file' }],
  ['a blank certificate', () => ({ cert: '\n' }), { of: 'cert', reason: 'an empty file' }],
  [
    'half of it',
    ({ cert }) => ({ cert: half(cert) }),
    { of: 'cert', reason: 'a file that is cut off' },
  ],
  [
    'half of its chain',
    ({ cert }) => ({ cert: cert + half(pairOf('ec').cert) }),
    { of: 'cert', reason: 'a file that is cut off' },
  ],
  [
    'the first line of its chain',
    ({ cert }) => ({ cert: `${cert}-----BEGIN CERTIFI` }),
    { of: 'cert', reason: 'a file that is cut off' },
  ],
  [
    'a damaged chain',
    ({ cert }) => ({
      cert: `${cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    }),
    { of: 'cert', reason: 'certificate 2 in it is damaged' },
  ],
  ['garbage', () => ({ cert: 'garbage' }), { of: 'cert', reason: 'no certificate in PEM' }],
  [
    'a key in its place',
    ({ key }) => ({ cert: key }),
    { of: 'cert', reason: 'no certificate in PEM' },
  ],
  ['an empty key', () => ({ key: '' }), { of: 'key', reason: 'an empty file' }],
  [
    'half a key',
    ({ key }) => ({ key: half(key) }),
    { of: 'key', reason: 'a damaged or cut off private key' },
  ],
  [
    'a certificate as key',
    ({ cert }) => ({ key: cert }),
    { of: 'key', reason: 'no private key in PEM' },
  ],
  [
    'a key of another kind',
    () => ({ key: pairOf('ec').key }),
    { of: 'pair', reason: 'the key is that of another certificate' },
  ],
  [
    'a chain that begins with the issuer',
    ({ cert }) => ({ cert: pairOf('ec').cert + cert }),
    {
      of: 'pair',
      reason: 'the key is that of another certificate in the chain: its own has to come first',
    },
  ],
])('%s is a fault', async (_, spoil, fault) => {
  const good = pairOf('rsa');
  const { cert, key } = { ...good, ...spoil(good) };
  expect(await findPairFault(cert, key)).toEqual(fault);
});

test('an encrypted key is refused with what to do', async () => {
  for (const key of encrypted) {
    expect(await findPairFault(pairOf('rsa').cert, key)).toMatchObject({
      of: 'key',
      reason: expect.stringMatching(/^an encrypted key: write it without a passphrase/),
    });
  }
});

test('all certificates of a file are read', () => {
  const text = [...pairs.values()].map(({ cert }) => cert).join('# next\n');
  expect(parseCertificates(text).map(({ subject }) => subject)).toEqual(
    Object.keys(kinds).map((kind) => `CN=${kind}`),
  );
});
