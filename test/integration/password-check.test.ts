import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseJid } from '../../src/core/jid.ts';
import type { PasswordCheck } from '../../src/core/password-check.ts';
import { createPasswordCheck, type PasswordCheckOptions } from '../../src/xmpp/sasl.ts';
import { createCertificates } from '../support/certificates.ts';
import { servers } from '../support/servers.ts';
import { openSessionOn } from '../support/session.ts';
import type { XmppServer } from '../support/xmpp-server.ts';

function createCheck(server: XmppServer, options: Partial<PasswordCheckOptions> = {}) {
  return createPasswordCheck({
    host: server.host,
    port: server.c2sPort,
    security: 'starttls',
    ca: readFileSync(server.caFile, 'utf8'),
    timeoutMs: 10_000,
    maxConcurrent: 16,
    ...options,
  });
}

const alice = parseJid('alice@example.org');

async function expectAnswers(check: PasswordCheck): Promise<void> {
  expect(await check(alice, 'wonderland')).toBe(true);
  expect(await check(alice, 'wrong')).toBe(false);
  expect(await check(parseJid('nobody@example.org'), 'wonderland')).toBe(false);
}

/** Neither a right password nor a wrong one is known to be so. */
async function expectNoAnswer(check: PasswordCheck, reason: string): Promise<void> {
  for (const password of ['wonderland', 'wrong']) {
    await expect(check(alice, password)).rejects.toMatchObject({
      code: 'authentication-unavailable',
      message: expect.stringContaining(reason),
    });
  }
}

/** Who must be let in with what: registered password, typed password, result. */
const passwords = [
  ['ascii', 'wonder: land', 'wonder: land', true],
  ['wrong-case', 'wonderland', 'Wonderland', false],
  ['prefix', 'wonderland', 'wonder', false],
  ['utf8', 'Zauberflöte €', 'Zauberflöte €', true],
  ['decomposed', 'flöte', 'flo\u0308te', true],
  ['ordinal', '4\u00aa', '4\u00aa', true],
  ['ordinal-plain', '4\u00aa', '4a', true],
  ['full-width', 'full', 'ｆｕｌｌ', true],
  ['no-break-space', 'a\u00a0b', 'a b', true],
  ['soft-hyphen', 'soft', 'so\u00adft', true],
  ['nul', 'wonderland', 'wonderland\0', false],
  ['signs', `<&'">,=`, `<&'">,=`, true],
] as const;

describe.each(servers)('passwords on $kind', ({ start }) => {
  let server: XmppServer;
  beforeAll(async () => {
    server = await start({ directTls: true, requireTls: true });
    await server.register('alice', 'wonderland');
  });
  afterAll(() => server.stop());

  test.each(passwords)('%s: %j against %j: %s', async (local, registered, typed, expected) => {
    await server.register(local, registered);
    expect(await createCheck(server)(parseJid(`${local}@example.org`), typed)).toBe(expected);
  });

  test('an unknown user is a no', async () => {
    const check = createCheck(server);
    expect(await check(parseJid('nobody@example.org'), 'wonderland')).toBe(false);
  });

  test('an address in upper case is the same user', async () => {
    const check = createCheck(server);
    expect(await check(parseJid('ALICE@Example.ORG'), 'wonderland')).toBe(true);
  });

  test('TLS from the first byte', async () => {
    const port = server.c2sTlsPort ?? 0;
    const check = createCheck(server, { security: 'tls', port });
    expect(await check(alice, 'wonderland')).toBe(true);
    expect(await check(alice, 'wrong')).toBe(false);
  });

  test('16 at once, each with its own answer', async () => {
    const check = createCheck(server);
    const tries = Array.from({ length: 16 }, (_, index) => index % 3 === 0);
    const results = await Promise.all(
      tries.map((isRight) => check(alice, isRight ? 'wonderland' : 'wrong')),
    );
    expect(results).toEqual(tries);
  });

  test('a changed password holds at once', async () => {
    await server.register('carol', 'old');
    const check = createCheck(server);
    const carol = parseJid('carol@example.org');
    expect(await check(carol, 'old')).toBe(true);
    await server.changePassword('carol', 'new');
    expect(await check(carol, 'old')).toBe(false);
    expect(await check(carol, 'new')).toBe(true);
  });

  test('plaintext finds no mechanism where the server requires TLS', async () => {
    const check = createCheck(server, { security: 'plaintext' });
    await expect(check(alice, 'wonderland')).rejects.toMatchObject({
      code: 'authentication-unavailable',
      message: expect.stringContaining('no usable SASL mechanism'),
    });
  });

  test('a domain that the server does not serve is no answer', async () => {
    const check = createCheck(server, { security: 'plaintext' });
    await expect(check(parseJid('alice@example.net'), 'wonderland')).rejects.toMatchObject({
      code: 'authentication-unavailable',
      message: expect.stringContaining('example.net'),
    });
  });

  test('another private CA is not trusted', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'other-ca-'));
    const { caFile } = await createCertificates(directory, ['example.org']);
    const check = createCheck(server, { ca: readFileSync(caFile, 'utf8') });
    rmSync(directory, { recursive: true });
    await expect(check(alice, 'wonderland')).rejects.toMatchObject({
      code: 'authentication-unavailable',
      message: expect.stringContaining('TLS'),
    });
  });

  test('shows to nobody', async () => {
    const open = (resource: string) =>
      openSessionOn(server, 'alice', 'wonderland', { resource, tls: true });
    const phone = await open('phone');
    const check = createCheck(server);
    expect(await check(alice, 'wonderland')).toBe(true);
    expect(await check(alice, 'wrong')).toBe(false);

    // What the checks had shown would come before the presence of a session opened after them.
    const desk = await open('desk');
    await phone.waitFor(({ root }) => root.attributes['from'] === desk.jid, 'presence of desk');
    await phone.settle();
    const seen = phone.received.filter(({ root }) => root.name !== 'iq');
    const strangers = seen.filter(
      ({ root }) => ![phone.jid, desk.jid].includes(root.attributes['from'] ?? ''),
    );
    expect(strangers).toEqual([]);
    await Promise.all([phone.close(), desk.close()]);
  });
});

describe.each(servers)('mechanisms of $kind', ({ start }) => {
  test('SCRAM only, with TLS and without', async () => {
    const server = await start({ mechanisms: 'scram' });
    try {
      await server.register('alice', 'wonderland');
      await expectAnswers(createCheck(server));
      await expectAnswers(createCheck(server, { security: 'plaintext' }));
    } finally {
      await server.stop();
    }
  });

  test('PLAIN only: with TLS, and no answer without', async () => {
    const server = await start({ mechanisms: 'plain' });
    try {
      await server.register('alice', 'wonderland');
      await expectAnswers(createCheck(server));
      await expectNoAnswer(createCheck(server, { security: 'plaintext' }), 'got PLAIN');
    } finally {
      await server.stop();
    }
  });

  test('anonymous only, or the certificate of another domain: no answer', async () => {
    const server = await start({ mechanisms: 'anonymous', certificateDomains: ['example.com'] });
    try {
      await expectNoAnswer(createCheck(server, { security: 'plaintext' }), 'got ANONYMOUS');
      await expectNoAnswer(
        createCheck(server),
        'The certificate of the XMPP server is not one for example.org.',
      );
    } finally {
      await server.stop();
    }
  });
});
