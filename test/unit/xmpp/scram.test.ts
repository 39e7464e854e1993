import { describe, expect, test } from 'vitest';
import { createScramClient, ScramError, type ScramHash } from '../../../src/xmpp/scram.ts';

/** RFC 5802 §5 and RFC 7677 §3. */
const vectors = [
  {
    hash: 'sha1',
    nonce: 'fyko+d2lbbFgONRv9qkxdawL',
    first: 'n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL',
    challenge: 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096',
    answer: 'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    final: 'v=rmF9pqV8S7suAoZWja4dJRkFsKQ=',
  },
  {
    hash: 'sha256',
    nonce: 'rOprNGfwEbeRWgbNEkqO',
    first: 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
    challenge:
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    answer:
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    final: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  },
] as const satisfies readonly { hash: ScramHash; [key: string]: string }[];

describe.each(vectors)('the example of the RFC for $hash', (vector) => {
  const create = () => createScramClient(vector.hash, 'user', 'pencil', vector.nonce);

  test('gives its messages', async () => {
    const client = create();
    expect(client.firstMessage).toBe(vector.first);
    expect(await client.answer(vector.challenge)).toBe(vector.answer);
    expect(client.isVerified(vector.final)).toBe(true);
  });

  test.each([
    ['another signature', vector.final.replace('v=r', 'v=q').replace('v=6', 'v=7')],
    ['a truncated signature', vector.final.slice(0, -8)],
    ['no signature', ''],
    ['an empty signature', 'v='],
    ['no Base64', `${vector.final}*`],
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

test('escapes the user name', () => {
  const client = createScramClient('sha1', 'a=b,c=2C', 'pw', 'nonce');
  expect(client.firstMessage).toBe('n,,n=a=3Db=2Cc=3D2C,r=nonce');
});

test('makes another nonce for each exchange', () => {
  const nonces = [1, 2].map(() => createScramClient('sha1', 'user', 'pw').firstMessage);
  expect(nonces[0]).toMatch(/^n,,n=user,r=[A-Za-z0-9+/]{32}$/);
  expect(nonces[0]).not.toBe(nonces[1]);
});

test.each([
  ['another nonce', 'r=othernonce,s=QSXCR+Q6sek8bf92,i=4096'],
  ['a nonce that was not extended', 'r=nonce,s=QSXCR+Q6sek8bf92,i=4096'],
  ['a nonce with the client part behind', 'r=xnonce,s=QSXCR+Q6sek8bf92,i=4096'],
  ['no nonce', 's=QSXCR+Q6sek8bf92,i=4096'],
  ['no salt', 'r=nonceX,i=4096'],
  ['an empty salt', 'r=nonceX,s=,i=4096'],
  ['a salt without padding', 'r=nonceX,s=QSXCR+Q6sek8bf9,i=4096'],
  ['a salt with stray bits', 'r=nonceX,s=QSXCR+Q6sek8bf9=,i=4096'],
  ['a salt that is no Base64', 'r=nonceX,s=QSXC*+Q6sek8bf92,i=4096'],
  ['no iterations', 'r=nonceX,s=QSXCR+Q6sek8bf92'],
  ['0 iterations', 'r=nonceX,s=QSXCR+Q6sek8bf92,i=0'],
  ['negative iterations', 'r=nonceX,s=QSXCR+Q6sek8bf92,i=-1'],
  ['10^9 iterations', 'r=nonceX,s=QSXCR+Q6sek8bf92,i=1000000000'],
  ['10^400 iterations', `r=nonceX,s=QSXCR+Q6sek8bf92,i=1${'0'.repeat(400)}`],
  ['a mandatory extension', 'm=ext,r=nonceX,s=QSXCR+Q6sek8bf92,i=4096'],
  ['an error', 'e=unknown-user'],
  ['nothing', ''],
])('refuses a challenge with %s', async (_name, challenge) => {
  const client = createScramClient('sha1', 'user', 'pw', 'nonce');
  await expect(client.answer(challenge)).rejects.toThrow(ScramError);
});

test('ignores optional extensions', async () => {
  const client = createScramClient('sha1', 'user', 'pw', 'nonce');
  const answer = await client.answer('r=nonceX,s=QSXCR+Q6sek8bf92,i=1,x=y');
  expect(answer).toMatch(/^c=biws,r=nonceX,p=/);
});
