import { scryptSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  createUnmatchableHash,
  hashPassword,
  isPasswordHash,
  verifyPassword,
} from '../../../src/auth/password-hash.ts';
import { GatewayError } from '../../../src/core/errors.ts';

const salt = 'c2FsdHNhbHQ';
const hash = 'A'.repeat(43);

/** A cheap hash, made without the code under test. */
function cheapHash(password: string): string {
  const bytes = scryptSync(password, 'saltsalt', 32, { N: 1024, r: 1, p: 1 });
  return `$scrypt$ln=10,r=1,p=1$${salt}$${bytes.toString('base64').replace('=', '')}`;
}

describe('hashPassword', () => {
  test('makes a PHC string that verifies the password and no other', async () => {
    const phc = await hashPassword('pässword:🐈');
    expect(phc).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(isPasswordHash(phc)).toBe(true);
    expect(await verifyPassword('pässword:🐈', phc)).toBe(true);
    expect(await verifyPassword('password:🐈', phc)).toBe(false);
  });

  test('salts', async () => {
    expect(await hashPassword('a')).not.toBe(await hashPassword('a'));
  });
});

describe('verifyPassword', () => {
  test('agrees with the scrypt of Node', async () => {
    expect(await verifyPassword('secret', cheapHash('secret'))).toBe(true);
    expect(await verifyPassword('Secret', cheapHash('secret'))).toBe(false);
  });

  test('composed and decomposed characters are the same password', async () => {
    expect(await verifyPassword('e\u0301', cheapHash('\u00e9'))).toBe(true);
  });

  test('answers many concurrent calls correctly', async () => {
    const phc = cheapHash('7');
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => await verifyPassword(String(index), phc)),
    );
    expect(answers.filter(Boolean)).toEqual([true]);
    expect(answers[7]).toBe(true);
  });

  test('refuses when too many wait, and recovers', async () => {
    const phc = cheapHash('right');
    const results = await Promise.allSettled(
      Array.from({ length: 300 }, async () => await verifyPassword('right', phc)),
    );
    const refusals = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason] : [],
    );
    // 256 wait; one or two are being checked, depending on the number of processors.
    expect([300 - 257, 300 - 258]).toContain(refusals.length);
    for (const refusal of refusals) expect(refusal).toBeInstanceOf(GatewayError);
    expect(refusals[0]).toMatchObject({ code: 'overloaded', options: { retryAfterSeconds: 1 } });
    expect(await verifyPassword('right', phc)).toBe(true);
  });

  test('rejects what is not a hash without showing it', async () => {
    const failure = verifyPassword('x', '$2b$10$abcdefghijklmnopqrstuv');
    await expect(failure).rejects.toThrow(TypeError);
    await expect(failure).rejects.not.toThrow('abcdef');
  });
});

describe('isPasswordHash', () => {
  test.each([
    `$scrypt$ln=10,r=1,p=1$${salt}$${hash}`,
    `$scrypt$ln=18,r=8,p=16$${salt}$${hash}`,
    `$scrypt$ln=16,r=32,p=1$${salt}$${hash}`,
  ])('accepts %s', (phc) => {
    expect(isPasswordHash(phc)).toBe(true);
  });

  test.each([
    '',
    'password',
    `$scrypt$ln=9,r=8,p=1$${salt}$${hash}`,
    `$scrypt$ln=21,r=1,p=1$${salt}$${hash}`,
    `$scrypt$ln=14,r=0,p=1$${salt}$${hash}`,
    `$scrypt$ln=14,r=33,p=1$${salt}$${hash}`,
    `$scrypt$ln=14,r=8,p=0$${salt}$${hash}`,
    `$scrypt$ln=14,r=8,p=17$${salt}$${hash}`,
    // 512 MiB
    `$scrypt$ln=19,r=8,p=1$${salt}$${hash}`,
    `$scrypt$ln=14,r=8,p=1$c2FsdA$${hash}`,
    `$scrypt$ln=14,r=8,p=1$${salt}$AAAA`,
    `$scrypt$ln=14,r=8,p=1$${salt}==$${hash}`,
    `$scrypt$ln=14,r=8,p=1$${salt}$${hash}=`,
    `$scrypt$ln=14,r=8,p=1$${salt}$${hash}\n`,
    `$scrypt$r=8,ln=14,p=1$${salt}$${hash}`,
    `$argon2id$v=19$m=65536,t=3,p=4$${salt}$${hash}`,
  ])('refuses %j', (phc) => {
    expect(isPasswordHash(phc)).toBe(false);
  });
});

describe('createUnmatchableHash', () => {
  test('has the costs of the given hash', () => {
    expect(createUnmatchableHash(cheapHash('x'))).toMatch(/^\$scrypt\$ln=10,r=1,p=1\$/);
    expect(createUnmatchableHash(undefined)).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$/);
  });

  test('does not match the password of that hash', async () => {
    expect(await verifyPassword('x', createUnmatchableHash(cheapHash('x')))).toBe(false);
  });
});
