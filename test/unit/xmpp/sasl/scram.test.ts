import { describe, expect, test } from 'vitest';
import type { ChannelBinding } from '../../../../src/xmpp/sasl/channel-binding.ts';
import { createScramClient, ScramError, type ScramHash } from '../../../../src/xmpp/sasl/scram.ts';

interface Vector {
  readonly name: string;
  readonly hash: ScramHash;
  readonly binding?: ChannelBinding;
  readonly nonce: string;
  readonly first: string;
  readonly challenge: string;
  readonly answer: string;
  readonly final: string;
}

const rfc7677Challenge =
  'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096';

/**
 * RFC 5802 §5 and RFC 7677 §3. No RFC has examples of SHA-512 and of channel binding: those two
 * were computed from the messages of RFC 7677 by Python's hashlib and hmac.
 */
const vectors: readonly Vector[] = [
  {
    name: 'RFC 5802, SHA-1',
    hash: 'sha1',
    nonce: 'fyko+d2lbbFgONRv9qkxdawL',
    first: 'n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL',
    challenge: 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096',
    answer: 'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    final: 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=',
  },
  {
    name: 'RFC 7677, SHA-256',
    hash: 'sha256',
    nonce: 'rOprNGfwEbeRWgbNEkqO',
    first: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
    challenge: rfc7677Challenge,
    answer:
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    final: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  },
  {
    name: 'SHA-512',
    hash: 'sha512',
    nonce: 'rOprNGfwEbeRWgbNEkqO',
    first: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
    challenge: rfc7677Challenge,
    answer:
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==',
    final:
      'v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==',
  },
  {
    name: 'SHA-256 with channel binding',
    hash: 'sha256',
    binding: { type: 'tls-exporter', data: Buffer.from(Array.from({ length: 32 }, (_, i) => i)) },
    nonce: 'rOprNGfwEbeRWgbNEkqO',
    first: 'p=tls-exporter,,n=user,r=rOprNGfwEbeRWgbNEkqO',
    challenge: rfc7677Challenge,
    answer:
      'c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=QC6CS20quADQRb3mT99YUH+n3VJxUvzuK0K0E1Vrs2M=',
    final: 'v=2GiAgapEppLVlUXbxUDksL3VgYHzuqiK5tR4mhJGgvs=',
  },
];

describe.each(vectors)('the example: $name', (vector) => {
  const { hash, binding, nonce } = vector;
  const create = () =>
    createScramClient({ hash, username: 'user', password: 'pencil', binding, nonce });

  test('gives its messages', async () => {
    const client = create();
    expect(client.firstMessage).toBe(vector.first);
    expect(await client.answer(vector.challenge)).toBe(vector.answer);
    expect(client.isVerified(vector.final)).toBe(true);
  });

  test.each([
    ['another signature', vector.final.replace(/^v=./, 'v=x')],
    ['a truncated signature', vector.final.slice(0, -8)],
    ['no signature', ''],
    ['an empty signature', 'v='],
    ['invalid Base64', `${vector.final}*`],
    ['an error', 'e=other-error'],
  ])('is not verified by %s', async (_name, final) => {
    const client = create();
    await client.answer(vector.challenge);
    expect(client.isVerified(final)).toBe(false);
  });

  test('is not verified before a challenge', () => {
    expect(create().isVerified(vector.final)).toBe(false);
  });
});

const options = { hash: 'sha1', username: 'user', password: 'pw', nonce: 'nonce' } as const;

test('escapes the user name', () => {
  const client = createScramClient({ ...options, username: 'a=b,c=2C' });
  expect(client.firstMessage).toBe('n,,n=a=3Db=2Cc=3D2C,r=nonce');
});

test('makes another nonce for each exchange', () => {
  const { nonce: _none, ...random } = options;
  const nonces = [1, 2].map(() => createScramClient(random).firstMessage);
  expect(nonces[0]).toMatch(/^n,,n=user,r=[A-Za-z0-9+/]{32}$/);
  expect(nonces[0]).not.toBe(nonces[1]);
});

test.each([
  ['another nonce', 'r=othernonce,s=QSXCR+Q6sek8bf92,i=4096'],
  ['a nonce that was not extended', 'r=nonce,s=QSXCR+Q6sek8bf92,i=4096'],
  ['a nonce with the client part at the end', 'r=xnonce,s=QSXCR+Q6sek8bf92,i=4096'],
  ['no nonce', 's=QSXCR+Q6sek8bf92,i=4096'],
  ['no salt', 'r=nonceX,i=4096'],
  ['an empty salt', 'r=nonceX,s=,i=4096'],
  ['a salt without padding', 'r=nonceX,s=QSXCR+Q6sek8bf9,i=4096'],
  ['a salt with stray bits', 'r=nonceX,s=QSXCR+Q6sek8bf9=,i=4096'],
  ['a salt that is not Base64', 'r=nonceX,s=QSXC*+Q6sek8bf92,i=4096'],
  ['no iterations', 'r=nonceX,s=QSXCR+Q6sek8bf92'],
  ['0 iterations', 'r=nonceX,s=QSXCR+Q6sek8bf92,i=0'],
  ['negative iterations', 'r=nonceX,s=QSXCR+Q6sek8bf92,i=-1'],
  ['10^9 iterations', 'r=nonceX,s=QSXCR+Q6sek8bf92,i=1000000000'],
  ['10^400 iterations', `r=nonceX,s=QSXCR+Q6sek8bf92,i=1${'0'.repeat(400)}`],
  ['a mandatory extension', 'm=ext,r=nonceX,s=QSXCR+Q6sek8bf92,i=4096'],
  ['an error', 'e=unknown-user'],
  ['nothing', ''],
])('refuses a challenge with %s', async (_name, challenge) => {
  const client = createScramClient(options);
  await expect(client.answer(challenge)).rejects.toThrow(ScramError);
});

test('ignores optional extensions', async () => {
  const client = createScramClient(options);
  const answer = await client.answer('r=nonceX,s=QSXCR+Q6sek8bf92,i=1,x=y');
  expect(answer).toMatch(/^c=biws,r=nonceX,p=/);
});
