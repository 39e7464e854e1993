import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PasswordCheck } from '../../src/auth/users.ts';
import { parseJid } from '../../src/core/jid/jid.ts';
import { openClientStream } from '../../src/xmpp/sasl/client-stream.ts';
import {
  createPasswordCheck,
  type PasswordCheckOptions,
} from '../../src/xmpp/sasl/password-check.ts';
import { findChild } from '../../src/xmpp/sasl/stream-reader.ts';
import { openSessionOn } from '../support/clients/session.ts';
import { callApi } from '../support/servers/ejabberd.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { createCertificates } from '../support/system/certificates.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { hangMs } from '../support/system/wait.ts';

function createCheck(server: XmppServer, options: Partial<PasswordCheckOptions> = {}) {
  return createPasswordCheck({
    host: server.host,
    port: server.c2sPort,
    security: 'starttls',
    ca: readFileSync(server.caFile, 'utf8'),
    timeoutMs: hangMs,
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
async function expectNoAnswer(check: PasswordCheck, reason: string, user = alice): Promise<void> {
  for (const password of ['wonderland', 'wrong']) {
    await expect(check(user, password)).rejects.toMatchObject({
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

/** Lines of configuration for what a server shall offer, all else as it is by default. */
const offers = {
  prosody: {
    scram: 'disable_sasl_mechanisms = { "DIGEST-MD5", "PLAIN" }',
    plain:
      'disable_sasl_mechanisms = { "DIGEST-MD5", "OAUTHBEARER", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" }',
    anonymous: 'authentication = "anonymous"',
    bound: 'disable_sasl_mechanisms = { "DIGEST-MD5", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256" }',
    tls12: 'c2s_ssl = { protocol = "tlsv1_2" }',
  },
  ejabberd: {
    scram: 'disable_sasl_mechanisms: [PLAIN, DIGEST-MD5, X-OAUTH2]',
    plain:
      'disable_sasl_mechanisms: [SCRAM-SHA-1, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, SCRAM-SHA-512, SCRAM-SHA-512-PLUS, DIGEST-MD5, X-OAUTH2]',
    // Without the last line it also offers all others.
    anonymous:
      'auth_method: [anonymous]\nanonymous_protocol: sasl_anon\ndisable_sasl_mechanisms: [PLAIN, SCRAM-SHA-1, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, SCRAM-SHA-512, SCRAM-SHA-512-PLUS, DIGEST-MD5, X-OAUTH2]',
    bound:
      'disable_sasl_mechanisms: [PLAIN, DIGEST-MD5, X-OAUTH2, SCRAM-SHA-1, SCRAM-SHA-256, SCRAM-SHA-512]',
    tls12: 'c2s_protocol_options: [no_tlsv1_3]',
  },
} as const;

/** The complaint about a server whose -PLUS variants have no channel binding under TLS 1.3. */
const withoutBinding = {
  // 0.12 has no feature to offer then.
  prosody: 'ended the stream (undefined-condition)',
  // 23.01 offers them and has tls-unique only.
  ejabberd: 'under TLSv1.3 expected tls-exporter or tls-server-end-point',
};

/** Does the server say under TLS which channel bindings it has (XEP-0440)? */
async function announcesBindings({ host, c2sPort: port, caFile, domain }: XmppServer) {
  const secureContext = createSecureContext({ ca: readFileSync(caFile) });
  const options = { host, port, security: 'starttls', secureContext } as const;
  const { signal } = new AbortController();
  const stream = await openClientStream(options, domain, signal).catch(() => undefined);
  const feature =
    stream && findChild(stream.features, 'sasl-channel-binding', 'urn:xmpp:sasl-cb:0');
  stream?.close();
  return feature !== undefined;
}

describe.each(servers)('what $kind offers', ({ kind, start }) => {
  const { scram, plain, anonymous, bound, tls12 } = offers[kind];
  let directory: string;
  let server: XmppServer;
  beforeAll(async () => {
    directory = createDirectory('offers');
    const file = join(directory, kind === 'prosody' ? 'offers.cfg.lua' : 'offers.yml');
    writeFileSync(file, '');
    const include =
      kind === 'prosody' ? `Include "${file}"` : `include_config_file: [${JSON.stringify(file)}]`;
    server = await start({
      domains: ['example.org', 'example.net'],
      certificateDomains: ['example.org'],
      directTls: true,
      extra: { global: include },
    });
    await server.register('alice', 'wonderland');
  });
  afterAll(async () => {
    await server?.stop();
    removeDirectory(directory);
  });

  /** Has the server run with these lines. */
  async function offer(...lines: readonly string[]): Promise<void> {
    const file = join(directory, kind === 'prosody' ? 'offers.cfg.lua' : 'offers.yml');
    writeFileSync(file, lines.join('\n'));
    // ejabberd needs ten times as long to start.
    if (kind === 'prosody') await server.restart();
    else await callApi(server, 'reload_config', {});
  }

  test('SCRAM only, with TLS and without', async () => {
    await offer(scram);
    await expectAnswers(createCheck(server));
    await expectAnswers(createCheck(server, { security: 'plaintext' }));
  });

  test('PLAIN only: with TLS, and no answer without', async () => {
    await offer(plain);
    await expectAnswers(createCheck(server));
    await expectNoAnswer(createCheck(server, { security: 'plaintext' }), 'got PLAIN');
  });

  test('anonymous only: no answer', async () => {
    await offer(anonymous);
    await expectNoAnswer(createCheck(server, { security: 'plaintext' }), 'got ANONYMOUS');
  });

  test('the certificate of another domain: no answer', async () => {
    await offer();
    await expectNoAnswer(
      createCheck(server),
      'The certificate of the XMPP server is not valid for example.net.',
      parseJid('alice@example.net'),
    );
  });

  test('-PLUS only under TLS 1.2, and not without TLS', async () => {
    await offer(bound, tls12);
    await expectAnswers(createCheck(server));
    await expectNoAnswer(createCheck(server, { security: 'plaintext' }), 'no usable SASL');
  });

  test('-PLUS only under TLS 1.3: where the server has a binding for it', async () => {
    await offer(bound);
    const direct = { security: 'tls', port: server.c2sTlsPort ?? 0 } as const;
    for (const options of [{}, direct]) {
      const check = createCheck(server, options);
      if (await announcesBindings(server)) await expectAnswers(check);
      else await expectNoAnswer(check, withoutBinding[kind]);
    }
  });

  if (kind === 'prosody') return;

  const hash = (name: string): string => `auth_password_format: scram\nauth_scram_hash: ${name}`;

  test.each(['sha512', 'sha256', 'sha'])('%s only', async (name) => {
    await offer(hash(name), scram);
    await server.unregister('alice');
    await server.register('alice', 'wonderland');
    await expectAnswers(createCheck(server));
    await expectAnswers(createCheck(server, { security: 'plaintext' }));
  });

  test('a hash that is older than the setting, and one that is younger', async () => {
    await offer(hash('sha'));
    await server.unregister('alice');
    await server.register('alice', 'wonderland');
    for (const name of ['sha256', 'sha512']) {
      await offer(hash(name));
      await server.register(`${name}-user`, 'wonderland');
      const check = createCheck(server);
      await expectAnswers(check);
      expect(await check(parseJid(`${name}-user@example.org`), 'wonderland')).toBe(true);
    }
    // Here every hash is offered, and some have none that fits.
    await offer('auth_password_format: plain');
    const inTheClear = createCheck(server, { security: 'plaintext' });
    for (const check of [createCheck(server), inTheClear]) {
      await expectAnswers(check);
      for (const name of ['sha256-user', 'sha512-user']) {
        const user = parseJid(`${name}@example.org`);
        expect(await check(user, 'wonderland')).toBe(true);
        expect(await check(user, 'wrong')).toBe(false);
      }
    }
  });
});
