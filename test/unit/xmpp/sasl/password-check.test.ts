import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import {
  createDialSlots,
  createPasswordCheck,
  type PasswordCheckOptions,
} from '../../../../src/xmpp/sasl/password-check.ts';
import {
  type C2sServer,
  type C2sServerOptions,
  type Step,
  startC2sServer,
} from '../../../support/doubles/c2s-server.ts';
import { type Certificates, createCertificates } from '../../../support/system/certificates.ts';
import { runToSuccess } from '../../../support/system/processes.ts';
import { waitUntil } from '../../../support/system/wait.ts';

const directory = mkdtempSync(join(tmpdir(), 'sasl-test-'));
const servers: C2sServer[] = [];
let certificates: Certificates;
let ca: string;

beforeAll(async () => {
  certificates = await createCertificates(directory, ['example.org', 'xn--bcher-kva.example']);
  ca = readFileSync(certificates.caFile, 'utf8');
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

afterAll(() => rmSync(directory, { recursive: true }));

const alice = parseJid('alice@example.org');
/** Passwords after SASLprep, as servers store them. */
const users = { alice: 'pencil', 'a=b,c': 'pencil', bücher: 'fin', emoji: '\u{1F9D1}' };

async function start(options: Partial<C2sServerOptions> = {}): Promise<C2sServer> {
  const server = await startC2sServer({
    mechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'],
    certificates,
    users,
    ...options,
  });
  servers.push(server);
  return server;
}

function createCheck({ port }: { port: number }, options: Partial<PasswordCheckOptions> = {}) {
  return createPasswordCheck({
    host: '127.0.0.1',
    port,
    security: 'starttls',
    ca,
    timeoutMs: 15_000,
    maxConcurrent: 4,
    ...options,
  });
}

/** The mechanisms of all attempts so far. */
function tried(server: C2sServer): string[] {
  return [...server.text.matchAll(/mechanism='([^']*)'/g)].map(([, name = '']) => name);
}

/** Plaintext, so that no certificate is needed. */
const inTheClear = { security: 'plaintext' } as const;
async function startInTheClear(options: Partial<C2sServerOptions> = {}): Promise<C2sServer> {
  const { certificates: _none, ...rest } = {
    mechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'],
    users,
    certificates,
    ...options,
  };
  const server = await startC2sServer(rest);
  servers.push(server);
  return server;
}

async function refusal(promise: Promise<boolean>): Promise<string> {
  const error = await promise.then(
    (result) => new Error(`expected a refusal, got ${result}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof GatewayError)) throw error;
  expect(error.code).toBe('authentication-unavailable');
  return error.message;
}

const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl';
const failure = (condition: string): string =>
  `<failure xmlns='${sasl}'><text>no</text><${condition}/></failure>`;
const element = (name: string, text: string): string =>
  `<${name} xmlns='${sasl}'>${Buffer.from(text).toString('base64')}</${name}>`;

type Answer = (honest: string) => string | undefined;

/** Gives another answer at one step. */
function at(wanted: Step, answer: Answer): (step: Step, honest: string) => string | undefined {
  return (step, honest) => (step === wanted ? answer(honest) : honest);
}

async function createNamed(name: string, domains: string[]) {
  const path = mkdtempSync(join(directory, name));
  return { path, ...(await createCertificates(path, domains)) };
}

function caOf({ caFile }: Certificates): string {
  return readFileSync(caFile, 'utf8');
}

describe('mechanisms', () => {
  const cases = [
    ['all', ['PLAIN', 'ANONYMOUS', 'SCRAM-SHA-1', 'SCRAM-SHA-512', 'SCRAM-SHA-256'], 4],
    ['SCRAM-SHA-512 only', ['SCRAM-SHA-512'], 1],
    ['SCRAM-SHA-256 only', ['SCRAM-SHA-256'], 1],
    ['SCRAM-SHA-1 only', ['SCRAM-SHA-1'], 1],
    [
      'SCRAM-SHA-1 and stronger strangers',
      ['SCRAM-SHA3-512', 'SCRAM-SHA-512-EXTRA', 'SCRAM-SHA-1'],
      1,
    ],
    ['PLAIN only', ['PLAIN'], 1],
    ['PLAIN and ANONYMOUS', ['ANONYMOUS', 'PLAIN'], 1],
  ] as const;
  const strength = ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'];

  test.each(cases)(
    '%s: right and wrong password, unknown user',
    async (_name, mechanisms, usable) => {
      const server = await start({ mechanisms });
      const check = createCheck(server);
      const expected = strength.filter((name) => mechanisms.some((offered) => offered === name));
      expect(expected).toHaveLength(usable);
      expect(await check(alice, 'pencil')).toBe(true);
      expect(tried(server)).toEqual(expected.slice(0, 1));
      expect(await check(parseJid('nobody@example.org'), 'pencil')).toBe(false);
      expect(tried(server).slice(1)).toEqual(expected);
      expect(await check(alice, 'Pencil')).toBe(false);
      const [first] = expected;
      const afterProof = expected.filter((name) => name === first || name === 'PLAIN');
      expect(tried(server).slice(1 + usable)).toEqual(afterProof);
      expect(server.accepted).toBe(3);
      expect(server.clearText).not.toContain('<auth');
    },
  );

  test.each([
    ['ANONYMOUS only', ['ANONYMOUS'], 'got ANONYMOUS'],
    ['none', [], 'got none'],
    [
      'only with a binding that TLS 1.3 does not have',
      ['SCRAM-SHA-256-PLUS'],
      'under TLSv1.3 expected tls-exporter or tls-server-end-point, got not announced',
    ],
    ['other cases', ['plain', 'scram-sha-1'], 'got plain, scram-sha-1'],
  ])('%s: no login', async (_name, mechanisms, detail) => {
    const server = await start({ mechanisms });
    expect(await refusal(createCheck(server)(alice, 'pencil'))).toContain(detail);
    expect(server.text).not.toContain('<auth');
  });

  test('without TLS there is SCRAM, and no PLAIN after it', async () => {
    const server = await startInTheClear({ stored: { bücher: 'sha512' } });
    const check = createCheck(server, inTheClear);
    expect(await check(alice, 'pencil')).toBe(true);
    expect(await check(alice, 'wrong')).toBe(false);
    expect(await check(parseJid('bücher@example.org'), 'fin')).toBe(false);
    expect(server.text).not.toContain("mechanism='PLAIN'");
  });

  test('without TLS there is no PLAIN', async () => {
    const server = await startInTheClear({ mechanisms: ['PLAIN'] });
    const detail = await refusal(createCheck(server, inTheClear)(alice, 'pencil'));
    expect(detail).toContain('expected SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, got PLAIN');
    expect(server.text).not.toContain('<auth');
  });

  test('SCRAM may end with a challenge', async () => {
    const server = await startInTheClear({ finalInChallenge: true });
    expect(await createCheck(server, inTheClear)(alice, 'pencil')).toBe(true);
    expect(server.text).toContain('></response>');
  });
});

describe('a stored hash that is not of the strongest mechanism', () => {
  const all = ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'];

  test.each([
    ['sha512', 1],
    ['sha256', 2],
    ['sha1', 3],
  ] as const)('%s: let in by that one, on one connection', async (hash, tries) => {
    const server = await start({ mechanisms: all, stored: { alice: hash } });
    expect(await createCheck(server)(alice, 'pencil')).toBe(true);
    expect(tried(server)).toEqual(all.slice(0, tries));
    expect(server.accepted).toBe(1);
  });

  test('after a challenge that only hides who has an account: let in by PLAIN', async () => {
    const server = await start({ mechanisms: all, stored: { alice: 'sha1' }, hidesUsers: true });
    expect(await createCheck(server)(alice, 'pencil')).toBe(true);
    expect(tried(server)).toEqual(['SCRAM-SHA-512', 'PLAIN']);
  });

  test('a hash that is not offered: let in by PLAIN', async () => {
    const mechanisms = ['SCRAM-SHA-256', 'PLAIN'];
    const server = await start({ mechanisms, stored: { alice: 'sha1' } });
    const check = createCheck(server);
    expect(await check(alice, 'pencil')).toBe(true);
    expect(await check(alice, 'wrong')).toBe(false);
    expect(tried(server)).toEqual([...mechanisms, ...mechanisms]);
  });

  test.each([1, 2, 3])('a server that ends the stream after %i refusals', async (maxRefusals) => {
    const server = await start({ mechanisms: all, stored: { alice: 'sha1' }, maxRefusals });
    const check = createCheck(server);
    expect(await check(alice, 'pencil')).toBe(true);
    expect(server.accepted).toBe(maxRefusals === 3 ? 1 : Math.ceil(3 / maxRefusals));
    expect(await check(alice, 'wrong')).toBe(false);
    await waitUntil(() => server.open === 0, { label: 'the connections are closed' });
  });

  test('a server that does not answer a second attempt: both share one deadline', async () => {
    let answers = 0;
    const server = await start({
      mechanisms: all,
      tamper: at('auth', () => (answers++ === 0 ? failure('not-authorized') : '')),
    });
    const check = createCheck(server, { timeoutMs: 1000 });
    expect(await refusal(check(alice, 'pencil'))).toContain('within 1000 ms');
    await waitUntil(() => server.open === 0, { label: 'the connection is closed' });
  });

  test.each(['account-disabled', 'credentials-expired'])('%s is final', async (condition) => {
    const server = await start({ mechanisms: all, tamper: at('auth', () => failure(condition)) });
    expect(await createCheck(server)(alice, 'pencil')).toBe(false);
    expect(tried(server)).toEqual(all.slice(0, 1));
  });

  test.each<[string, Step, Answer]>([
    ['a wrong signature', 'response', () => element('success', `v=${'A'.repeat(43)}=`)],
    ['temporary-auth-failure', 'auth', () => failure('temporary-auth-failure')],
    ['malformed-request', 'auth', () => failure('malformed-request')],
    ['a closed connection', 'auth', () => undefined],
  ])('%s: nothing weaker is tried', async (_name, step, answer) => {
    const server = await start({ mechanisms: all, tamper: at(step, answer) });
    await refusal(createCheck(server)(alice, 'pencil'));
    expect(tried(server)).toEqual(all.slice(0, 1));
    expect(server.accepted).toBe(1);
  });

  test('a shorter offer on the second connection: nothing weaker is tried', async () => {
    let headers = 0;
    const server = await start({
      mechanisms: all,
      maxRefusals: 1,
      stored: { alice: 'sha1' },
      tamper: at('secure-header', (honest) =>
        headers++ === 0 ? honest : honest.replaceAll(/<mechanism>SCRAM-SHA-\d+<\/mechanism>/g, ''),
      ),
    });
    expect(await refusal(createCheck(server)(alice, 'pencil'))).toContain(
      'changed its SASL mechanisms during a login: it offered SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, then PLAIN.',
    );
    expect(tried(server)).not.toContain('PLAIN');
  });
});

describe('channel binding', () => {
  const bound = ['SCRAM-SHA-1-PLUS', 'SCRAM-SHA-256-PLUS'];

  test.each([
    ['TLSv1.3', 'tls-exporter', ['tls-server-end-point', 'tls-exporter']],
    ['TLSv1.3', 'tls-server-end-point', ['tls-server-end-point', 'tls-unique']],
    ['TLSv1.2', 'tls-unique', undefined],
    ['TLSv1.2', 'tls-unique', ['tls-server-end-point', 'tls-unique']],
    ['TLSv1.2', 'tls-server-end-point', ['tls-exporter', 'tls-server-end-point']],
  ] as const)('%s: %s of %j', async (version, type, bindings) => {
    const server = await start({
      mechanisms: bound,
      ...(bindings === undefined ? {} : { bindings }),
      ...(version === 'TLSv1.2' ? { maxTlsVersion: version } : {}),
    });
    const check = createCheck(server);
    expect(await check(alice, 'pencil')).toBe(true);
    expect(tried(server)).toEqual(['SCRAM-SHA-256-PLUS']);
    const [, first = ''] = /<auth[^>]*>([^<]*)</.exec(server.text) ?? [];
    expect(Buffer.from(first, 'base64').toString()).toMatch(new RegExp(`^p=${type},,n=alice,`));
    expect(await check(parseJid('nobody@example.org'), 'wrong')).toBe(false);
    expect(tried(server).slice(1)).toEqual(bound.toReversed());
    expect(await check(alice, 'wrong')).toBe(false);
    expect(tried(server).slice(3)).toEqual(['SCRAM-SHA-256-PLUS']);
  });

  test('TLS from the first byte', async () => {
    const options = { mechanisms: bound, bindings: ['tls-exporter'], directTls: true };
    const check = createCheck(await start(options), { security: 'tls' });
    expect(await check(alice, 'pencil')).toBe(true);
    expect(await check(alice, 'wrong')).toBe(false);
  });

  test('is left out when the server does not insist on it', async () => {
    const mechanisms = ['SCRAM-SHA-256', ...bound, 'SCRAM-SHA-512-PLUS'];
    const server = await start({ mechanisms, bindings: ['tls-exporter'] });
    const check = createCheck(server);
    expect(await check(parseJid('nobody@example.org'), 'wrong')).toBe(false);
    expect(tried(server)).toEqual(['SCRAM-SHA-512-PLUS', 'SCRAM-SHA-256', 'SCRAM-SHA-1-PLUS']);
  });

  test('that does not match, as behind a proxy that terminates TLS: unbound mechanisms are tried', async () => {
    const mechanisms = ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1', 'PLAIN'];
    const other = await createNamed('proxy', ['example.org']);
    const bindings = ['tls-server-end-point'];
    const server = await start({ mechanisms, bindings, boundTo: other.certFile });
    expect(await createCheck(server)(alice, 'pencil')).toBe(true);
    expect(tried(server)).toEqual(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1']);
  });

  test.each([
    ['without TLS', 'SCRAM-SHA-1-PLUS', {}, 'set c2s.security to starttls or tls'],
    [
      'of an unknown type',
      'SCRAM-SHA-1-PLUS',
      { bindings: ['tls-future'] },
      'under TLSv1.3 expected tls-exporter or tls-server-end-point, got tls-future',
    ],
  ])('%s: no login', async (name, mechanism, options, detail) => {
    const clear = name === 'without TLS';
    const server = await (clear ? startInTheClear : start)({ mechanisms: [mechanism], ...options });
    const check = createCheck(server, clear ? inTheClear : {});
    const said = await refusal(check(alice, 'pencil'));
    expect(said).toContain(`got ${mechanism}. Mechanisms with -PLUS`);
    expect(said).toContain(detail);
    expect(server.text).not.toContain('<auth');
  });

  test('of a certificate whose signature has no hash: no login', async () => {
    const { path, ...ed25519 } = await createNamed('ed25519', ['example.org']);
    for (const command of [
      'genpkey -algorithm ed25519 -out ca.key',
      'req -x509 -key ca.key -out ca.crt -days 30 -subj /CN=Test-CA -addext keyUsage=critical,keyCertSign',
      'x509 -req -in server.csr -CA ca.crt -CAkey ca.key -set_serial 1 -days 30 -copy_extensions copy -out server.crt',
    ]) {
      await runToSuccess({ file: 'openssl', args: command.split(' '), cwd: path });
    }
    const bindings = ['tls-server-end-point'];
    const server = await start({ certificates: ed25519, mechanisms: bound, bindings });
    const check = createCheck(server, { ca: caOf(ed25519) });
    expect(await refusal(check(alice, 'pencil'))).toContain('got tls-server-end-point');
  });
});

describe('credentials', () => {
  test.each([
    ['=, in a name', 'a=b,c', 'pencil', true],
    ['non-ASCII, compatible characters', 'bücher', 'fin', true],
    ['the same as typed', 'bücher', 'ﬁn', true],
    ['soft hyphens, which SASLprep drops', 'alice', 'pen\u00adcil', true],
    ['characters younger than SASLprep', 'emoji', '\u{1F9D1}', true],
    ['another case', 'alice', 'PENCIL', false],
  ])('%s', async (_name, local, password, expected) => {
    const server = await startInTheClear();
    const check = createCheck(server, inTheClear);
    expect(await check(parseJid(`${local}@example.org`), password)).toBe(expected);
  });

  test.each([
    ['empty', ''],
    ['nothing left', '\u00ad'],
    ['a NUL at the end', 'pencil\0'],
    ['a NUL in front', '\0pencil'],
    ['a line feed', 'pen\ncil'],
    ['DEL', 'pencil\u007f'],
    ['a C1 control', 'pencil\u0085'],
    ['a lone surrogate', 'pencil\ud800'],
    ['mixed directions', 'a\u05d0b'],
    ['huge', 'x'.repeat(300_000)],
  ])('a password that cannot be: %s', async (_name, password) => {
    const server = await startInTheClear();
    expect(await createCheck(server, inTheClear)(alice, password)).toBe(false);
    expect(server.accepted).toBe(0);
  });

  test('an address without a localpart is not a user', async () => {
    const server = await startInTheClear();
    const check = createCheck(server, inTheClear);
    expect(await check(parseJid('example.org'), 'pencil')).toBe(false);
    expect(server.accepted).toBe(0);
  });
});

describe('answers', () => {
  const definite = ['not-authorized', 'account-disabled', 'credentials-expired'];
  const steps = ['auth', 'response'] as const;
  test.each(steps.flatMap((step) => definite.map((condition) => [condition, step] as const)))(
    '%s after %s is a no',
    async (condition, step) => {
      const server = await startInTheClear({ tamper: at(step, () => failure(condition)) });
      expect(await createCheck(server, inTheClear)(alice, 'pencil')).toBe(false);
    },
  );

  const vague = [
    'aborted',
    'encryption-required',
    'incorrect-encoding',
    'invalid-authzid',
    'invalid-mechanism',
    'malformed-request',
    'mechanism-too-weak',
    'temporary-auth-failure',
    'something-new',
  ];
  test.each(steps.flatMap((step) => vague.map((condition) => [condition, step] as const)))(
    '%s after %s is no answer',
    async (condition, step) => {
      const server = await startInTheClear({ tamper: at(step, () => failure(condition)) });
      expect(await refusal(createCheck(server, inTheClear)(alice, 'pencil'))).toContain(condition);
    },
  );

  test.each(['invalid-proof', 'unknown-user'])(
    'the SCRAM error %s refuses the password',
    async (error) => {
      const tamper = at('response', () => element('challenge', `e=${error}`));
      const server = await startInTheClear({ tamper });
      expect(await createCheck(server, inTheClear)(alice, 'pencil')).toBe(false);
    },
  );

  test.each(['other-error', 'channel-bindings-dont-match'])(
    'the SCRAM error %s does not decide',
    async (error) => {
      const tamper = at('response', () => element('challenge', `e=${error}`));
      const server = await startInTheClear({ tamper });
      expect(await refusal(createCheck(server, inTheClear)(alice, 'pencil'))).toContain('SCRAM');
    },
  );

  test.each<[string, Step, Answer, string]>([
    [
      'no features',
      'header',
      (text) => text.replaceAll('features', 'future'),
      'in place of its features',
    ],
    ['a wrong signature', 'response', () => element('success', `v=${'A'.repeat(43)}=`), 'prove'],
    ['no signature', 'response', () => `<success xmlns='${sasl}'/>`, 'prove'],
    ['= for a signature', 'response', () => `<success xmlns='${sasl}'>=</success>`, 'prove'],
    ['success at once', 'auth', () => `<success xmlns='${sasl}'/>`, '(success)'],
    ['success of another namespace', 'response', (text) => text.replace(sasl, 'urn:x'), 'SASL'],
    ['another element', 'auth', () => '<message/>', 'SASL'],
    ['invalid Base64', 'auth', () => `<challenge xmlns='${sasl}'>*</challenge>`, 'Base64'],
    ['a foreign nonce', 'auth', () => element('challenge', 'r=x,s=AAAA,i=1'), 'nonce'],
    [
      '10^9 iterations',
      'auth',
      (text) => {
        const honest = Buffer.from(/>(.*)</.exec(text)?.[1] ?? '', 'base64').toString();
        return element('challenge', honest.replace(/i=.*/, 'i=1000000000'));
      },
      'iterations',
    ],
    [
      'host-unknown',
      'header',
      (text) =>
        text.replace(
          /<stream:features.*/,
          "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
        ),
      'does not serve example.org',
    ],
    [
      'a stream error',
      'auth',
      () =>
        "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
      'policy-violation',
    ],
    ['the end of the stream', 'auth', () => '</stream:stream>', 'closed the stream'],
    [
      'huge features',
      'header',
      (text) => text.replace('<mechanism>', `<mechanism>${'x'.repeat(1_000_000)}`),
      '65536 bytes',
    ],
    [
      'many features',
      'header',
      (text) => text.replace('<mechanism>', '<mechanism/>'.repeat(10_000)),
      '65536 bytes',
    ],
  ])('%s is no answer', async (_name, step, xml, detail) => {
    const server = await startInTheClear({ tamper: at(step, xml) });
    expect(await refusal(createCheck(server, inTheClear)(alice, 'pencil'))).toContain(detail);
    await waitUntil(() => server.open === 0, { label: 'the connection is closed' });
  });

  const everyStep: Step[] = ['header', 'starttls', 'secure-header', 'auth', 'response'];
  describe.each(everyStep)('at %s', (step) => {
    test.each([
      ['a closed connection', () => undefined, 15_000],
      ['silence', () => '', 250],
      ['garbage', () => '\0\u{1F4A9}<<', 15_000],
      ['half an element', () => '<success xm', 250],
    ])('%s is no answer', async (_name, xml, timeoutMs) => {
      const server = await start({ tamper: at(step, xml) });
      expect(await refusal(createCheck(server, { timeoutMs })(alice, 'pencil'))).toMatch(
        /XMPP|TLS/,
      );
      await waitUntil(() => server.open === 0, { label: 'the connection is closed' });
    });
  });
});

describe('TLS', () => {
  test('direct, with its ALPN name', async () => {
    const server = await start({ directTls: true });
    expect(await createCheck(server, { security: 'tls' })(alice, 'pencil')).toBe(true);
    expect(server.tlsRequests).toEqual([{ servername: 'example.org', protocol: 'xmpp-client' }]);
  });

  test('an internationalised domain', async () => {
    const server = await start();
    expect(await createCheck(server)(parseJid('alice@bücher.example'), 'pencil')).toBe(true);
    expect(server.clearText).toContain("to='bücher.example'");
    expect(server.tlsRequests).toEqual([{ servername: 'xn--bcher-kva.example', protocol: false }]);
  });

  test('a server without STARTTLS', async () => {
    const server = await startInTheClear();
    expect(await refusal(createCheck(server)(alice, 'pencil'))).toContain('STARTTLS');
    expect(server.text).not.toContain('<auth');
  });

  test('a server that refuses STARTTLS', async () => {
    const tamper = at('starttls', () => "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    const server = await start({ tamper });
    expect(await refusal(createCheck(server)(alice, 'pencil'))).toContain('refused STARTTLS');
  });

  test.each([
    ['an element', `<success xmlns='${sasl}'/>`],
    ['half an element', '<succ'],
    ['white space', ' '],
    ['the end of the stream', '</stream:stream>'],
  ])('%s injected behind <proceed/>', async (_name, injected) => {
    const tamper = at('starttls', (honest) => honest + injected);
    const server = await start({ tamper });
    expect(await refusal(createCheck(server)(alice, 'pencil'))).toContain('between STARTTLS and');
  });

  test.each(['starttls', 'tls'] as const)(
    'the certificate of another domain, %s',
    async (security) => {
      const other = await createNamed('other', ['example.com', 'sub.example.org']);
      const server = await start({ certificates: other, directTls: security === 'tls' });
      const check = createCheck(server, { security, ca: caOf(other) });
      expect(await refusal(check(alice, 'pencil'))).toContain('not valid for example.org');
      expect(server.text).not.toContain('<auth');
    },
  );

  test('a certificate for nothing but the host that is dialled', async () => {
    const server = await start();
    const check = createCheck(server);
    expect(await refusal(check(parseJid('alice@example.net'), 'pencil'))).toContain(
      'not valid for',
    );
  });

  test.each([
    ['the CAs of Node.js', undefined],
    ['another private CA', 'other'],
  ])('trusting %s', async (_name, name) => {
    const server = await start();
    const trusted = name === undefined ? undefined : caOf(await createNamed(name, ['example.org']));
    const detail = await refusal(createCheck(server, { ca: trusted })(alice, 'pencil'));
    expect(detail).toMatch(/TLS with the XMPP server of example.org failed \([A-Z_]+\)/);
    expect(server.text).not.toContain('<auth');
  });

  test.each(['starttls', 'tls'] as const)('no answer to the handshake, %s', async (security) => {
    const tamper = at('starttls', (honest) => honest.replace('/>', ' />'));
    const server = await start({ tamper });
    const check = createCheck(server, { security, timeoutMs: 250 });
    expect(await refusal(check(alice, 'pencil'))).toContain('within 250 ms');
    await waitUntil(() => server.open === 0, { label: 'the connection is closed' });
  });

  test('an expired certificate', async () => {
    const { path, ...expired } = await createNamed('expired', ['example.org']);
    const command =
      'x509 -req -in server.csr -CA ca.crt -CAkey ca.key -set_serial 1 -days -1 -copy_extensions copy -out server.crt';
    await runToSuccess({ file: 'openssl', args: command.split(' '), cwd: path });
    const server = await start({ certificates: expired });
    const check = createCheck(server, { ca: caOf(expired) });
    expect(await refusal(check(alice, 'pencil'))).toContain('CERT_HAS_EXPIRED');
  });
});

function countResources(): number {
  const kinds = process.getActiveResourcesInfo();
  return kinds.filter((kind) => kind === 'TCPSocketWrap' || kind === 'Timeout').length;
}

describe('the connection', () => {
  test('nobody listens', async () => {
    const server = await startInTheClear();
    await server.stop();
    expect(await refusal(createCheck(server, inTheClear)(alice, 'pencil'))).toBe(
      'The XMPP server cannot be reached.',
    );
  });

  test('is closed politely, and no second one is needed', async () => {
    const server = await start();
    const check = createCheck(server);
    for (const password of ['pencil', 'wrong']) {
      await check(alice, password);
      await waitUntil(() => server.open === 0, { label: 'the connection is closed' });
    }
    expect(server.text.match(/<\/stream:stream>/g)).toHaveLength(2);
    expect(server.text).not.toContain('<bind');
    expect(server.accepted).toBe(2);
  });

  test('with more checks than connections, each gets its own answer', async () => {
    const server = await start();
    const check = createCheck(server, { maxConcurrent: 3 });
    const passwords = Array.from({ length: 12 }, (_, index) => (index % 2 ? 'pencil' : 'wrong'));
    const results = await Promise.all(passwords.map((password) => check(alice, password)));
    expect(results).toEqual(passwords.map((password) => password === 'pencil'));
  });

  test('the deadline also holds in the queue, and leaves nothing behind', async () => {
    const server = await startInTheClear({ tamper: () => '' });
    const check = createCheck(server, { ...inTheClear, timeoutMs: 200, maxConcurrent: 1 });
    const checks = [1, 2, 3, 4].map(() => refusal(check(alice, 'pencil')));
    await checks[0];
    expect(server.accepted).toBe(1);
    expect(new Set(await Promise.all(checks))).toEqual(
      new Set(['The XMPP server of example.org did not decide on the login within 200 ms.']),
    );
    await waitUntil(() => server.open === 0, { label: 'the connection is closed' });
  });

  test('does not wait for a server that never closes', async () => {
    const server = await startInTheClear({ keepsOpen: true });
    const before = countResources();
    expect(await createCheck(server, inTheClear)(alice, 'pencil')).toBe(true);
    await waitUntil(() => countResources() <= before, { label: 'the client is gone' });
  });

  test('leaves no timers and no sockets', async () => {
    const server = await start();
    const check = createCheck(server);
    const before = countResources();
    await check(alice, 'pencil');
    await check(alice, 'wrong');
    await waitUntil(() => server.open === 0, { label: 'the connections are closed' });
    expect(countResources()).toBeLessThanOrEqual(before);
  });
});

function createTask() {
  const controller = new AbortController();
  const task = {
    started: false,
    finish: () => controller.abort(),
    run: () => {
      task.started = true;
      return new Promise<void>((resolve) => {
        if (controller.signal.aborted) resolve();
        controller.signal.addEventListener('abort', () => resolve());
      });
    },
  };
  return task;
}

const { signal } = new AbortController();
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('runs a limited number at once, and the others in order', async () => {
  const slots = createDialSlots(2, 10);
  const tasks = [1, 2, 3, 4].map(createTask);
  const runs = tasks.map(({ run }) => slots.run(run, signal));
  await turn();
  expect(tasks.map(({ started }) => started)).toEqual([true, true, false, false]);
  tasks[1]?.finish();
  await turn();
  expect(tasks.map(({ started }) => started)).toEqual([true, true, true, false]);
  for (const { finish } of tasks) finish();
  await Promise.all(runs);
  expect(tasks.every(({ started }) => started)).toBe(true);
});

test('a task that fails frees its slot and passes on its failure', async () => {
  const slots = createDialSlots(1, 10);
  const failed = slots.run(() => Promise.reject(new Error('no')), signal);
  const next = slots.run(async () => 'yes', signal);
  await expect(failed).rejects.toThrow('no');
  expect(await next).toBe('yes');
});

test('refuses when too many wait', async () => {
  const slots = createDialSlots(1, 1);
  const [running, waiting, refused] = [createTask(), createTask(), createTask()];
  const runs = [slots.run(running.run, signal), slots.run(waiting.run, signal)];
  await expect(slots.run(refused.run, signal)).rejects.toMatchObject({
    code: 'authentication-unavailable',
  });
  running.finish();
  waiting.finish();
  await Promise.all(runs);
  expect(refused.started).toBe(false);
  expect(await slots.run(async () => 1, signal)).toBe(1);
});

test('a task that is aborted leaves the queue, and takes no slot with it', async () => {
  const slots = createDialSlots(1, 1);
  const [running, leaving] = [createTask(), createTask()];
  const controller = new AbortController();
  const first = slots.run(running.run, signal);
  const second = slots.run(leaving.run, controller.signal);
  await turn();
  controller.abort(new Error('deadline'));
  await expect(second).rejects.toThrow('deadline');
  const third = slots.run(async () => 3, signal);
  running.finish();
  await first;
  expect(await third).toBe(3);
  expect(leaving.started).toBe(false);
});
