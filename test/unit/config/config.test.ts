import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Config, ConfigError, configKeys, loadConfig } from '../../../src/config/config.ts';
import { isRedisUrl } from '../../../src/config/schema.ts';
import { createCertificates } from '../../support/system/certificates.ts';

const hash = `$scrypt$ln=14,r=8,p=1$c2FsdHNhbHQ$${'A'.repeat(43)}`;
const minimal = `
component: {domain: gateway.example.org, secret: s3cret}
domains: [example.org]
`;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'config-'));
  await createCertificates(folder, ['example.org']);
  const ca = await readFile(join(folder, 'ca.crt'), 'utf8');
  await writeFile(join(folder, 'half.crt'), ca + ca.slice(0, ca.length / 2));
  await writeFile(join(folder, 'secret.txt'), 's3cret\n');
  await writeFile(join(folder, 'marked.txt'), '\ufeffs3cret\r\n');
  await writeFile(join(folder, 'empty.txt'), '\n');
  await writeFile(join(folder, 'good.liquid'), 'Hello {{ name }}\n');
  await writeFile(join(folder, 'tag.liquid'), 'Hello\n{% foo %}');
  await writeFile(join(folder, 'filter.liquid'), '{{ name | upcased }}');
  await writeFile(join(folder, 'long.liquid'), 'x'.repeat(65_537));
  await writeFile(join(folder, 'latin1.txt'), Buffer.from([0xe4]));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function load(text: string | Buffer): Promise<Config> {
  const path = join(folder, 'gateway.yaml');
  await writeFile(path, text);
  return await loadConfig(path);
}

async function loadFaulty(text: string | Buffer): Promise<ConfigError> {
  const error = await load(text).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConfigError)) throw new Error(`no ConfigError: ${String(error)}`);
  return error;
}

/** The lines of the message, without the folder. */
async function faultsOf(text: string | Buffer): Promise<string[]> {
  const { message } = await loadFaulty(text);
  return message.replaceAll(`${folder}/`, '').split('\n');
}

describe('a minimal configuration', () => {
  test('has the documented defaults', async () => {
    expect(await load(minimal)).toMatchObject({
      component: { domain: 'gateway.example.org', host: '127.0.0.1', port: 5347 },
      domains: ['example.org'],
      c2s: { host: '127.0.0.1', port: 5222, security: 'starttls', ca: undefined },
      http: {
        host: '127.0.0.1',
        port: 8080,
        tls: undefined,
        insecure: false,
        trustedProxies: [],
        docs: true,
      },
      apiAccounts: [],
      permissions: { xmppgateway: [] },
      delivery: {
        confirmTimeoutMs: 30_000,
        silenceTimeoutMs: 10_000,
        maxInFlight: 4000,
        maxInFlightBytes: 67_108_864,
      },
      rooms: { idleMs: 600_000, passwords: {} },
      auth: {
        cacheMs: 60_000,
        timeoutMs: 10_000,
        throttle: { perAddress: 30, perUser: 10, windowMs: 60_000 },
      },
      limits: {
        bodyBytes: 262_144,
        stanzaBytes: 262_144,
        depth: 32,
        attributes: 256,
        elements: 512,
        totalAttributes: 1024,
        namespaceBytes: 512,
        expandedBytes: 524_288,
      },
      templates: {},
      log: { level: 'info' },
    });
  });

  test('is frozen to its depths, and shows no secret', async () => {
    const config = await load(minimal);
    expect(config.store).toBeUndefined();
    expect(config.component.secret.reveal()).toBe('s3cret');
    expect(JSON.stringify(config)).not.toContain('s3cret');
    const parts = [config, config.domains, config.auth, config.auth.throttle, config.http];
    expect(parts.map(Object.isFrozen)).toEqual(parts.map(() => true));
  });
});

describe('values', () => {
  test('are normalised', async () => {
    const config = await load(`
component: {domain: GATEWAY.example.org, host: xmpp.internal, secret: x}
domains: [Example.ORG, xn--bcher-kva.example]
api_accounts:
  - {username: "cafe\\u0301", password_hash: "${hash}", domains: [EXAMPLE.org], senders: [Alerts, "Bot-*"]}
permissions: {xmppgateway: [Bot@Example.org, "*@XN--BCHER-KVA.example"]}
rooms: {passwords: {Lobby_One@Rooms.example.org: open sesame}}
templates: {my-tool: good.liquid, constructor: good.liquid}
`);
    expect(Object.entries(config.templates)).toEqual([
      ['my-tool', 'Hello {{ name }}\n'],
      ['constructor', 'Hello {{ name }}\n'],
    ]);
    expect(config.component.domain).toBe('gateway.example.org');
    expect(config.domains).toEqual(['example.org', 'bücher.example']);
    expect(config.c2s.host).toBe('xmpp.internal');
    expect(config.apiAccounts).toMatchObject([
      { username: 'caf\u00e9', domains: ['example.org'], senders: ['alerts', 'bot-*'] },
    ]);
    expect(config.apiAccounts[0]?.passwordHash.reveal()).toBe(hash);
    expect(config.permissions.xmppgateway).toEqual(['bot@example.org', '*@bücher.example']);
    expect(Object.keys(config.rooms.passwords)).toEqual(['lobby_one@rooms.example.org']);
    expect(config.rooms.passwords['lobby_one@rooms.example.org']?.reveal()).toBe('open sesame');
    expect(JSON.stringify(config)).not.toContain('sesame');
  });

  test('are all taken over', async () => {
    const config = await load(`${minimal}
c2s: {host: localhost, port: 5223, security: plaintext}
http: {host: 0.0.0.0, port: 80, insecure: true, trusted_proxies: [192.0.2.1, 10.0.0.0/8, "::1", "2001:db8::/32"], docs: false}
delivery: {confirm_timeout_ms: 1, silence_timeout_ms: 2, max_in_flight: 3, max_in_flight_bytes: 300000, mode: plain, remote_confirm_ms: 4}
rooms: {idle_ms: 5}
auth: {cache_ms: 0, timeout_ms: 5, throttle: {per_address: 6, per_user: 7, window_ms: 8}}
limits: {body_bytes: 9, stanza_bytes: 10, depth: 11, attributes: 12, elements: 13, total_attributes: 14, namespace_bytes: 150, expanded_bytes: 1600}
store: redis://:hunter2@redis.internal:6379/1
log: {level: debug}
`);
    expect(config.store?.reveal()).toBe('redis://:hunter2@redis.internal:6379/1');
    expect(JSON.stringify(config)).not.toContain('hunter2');
    expect(config).toMatchObject({
      c2s: { host: 'localhost', port: 5223, security: 'plaintext' },
      http: {
        host: '0.0.0.0',
        port: 80,
        insecure: true,
        trustedProxies: ['192.0.2.1', '10.0.0.0/8', '::1', '2001:db8::/32'],
        docs: false,
      },
      delivery: {
        confirmTimeoutMs: 1,
        silenceTimeoutMs: 2,
        maxInFlight: 3,
        maxInFlightBytes: 300_000,
        mode: 'plain',
        remoteConfirmMs: 4,
      },
      rooms: { idleMs: 5, passwords: {} },
      auth: { cacheMs: 0, timeoutMs: 5, throttle: { perAddress: 6, perUser: 7, windowMs: 8 } },
      limits: {
        bodyBytes: 9,
        stanzaBytes: 10,
        depth: 11,
        attributes: 12,
        elements: 13,
        totalAttributes: 14,
        namespaceBytes: 150,
        expandedBytes: 1600,
      },
      log: { level: 'debug' },
    });
  });

  test('come from files beside the configuration', async () => {
    const config = await load(`
component: {domain: gateway.example.org, secret_file: secret.txt}
domains: [example.org]
c2s: {ca_file: ca.crt}
http: {host: "::", tls: {cert_file: server.crt, key_file: ${folder}/server.key}}
store: rediss://127.0.0.1
store_tls: {ca_file: ca.crt, cert_file: server.crt, key_file: server.key}
`);
    expect(config.storeTls.ca).toContain('BEGIN CERTIFICATE');
    expect(config.storeTls.cert).toBe(config.http.tls?.cert);
    expect(config.storeTls.key?.reveal()).toContain('PRIVATE KEY');
    expect(JSON.stringify(config)).not.toContain('PRIVATE KEY');
    expect(config.component.secret.reveal()).toBe('s3cret');
    expect(config.c2s.ca).toContain('BEGIN CERTIFICATE');
    expect(config.http.tls?.cert).toContain('BEGIN CERTIFICATE');
    expect(config.http.tls?.key.reveal()).toContain('PRIVATE KEY');
  });

  test('come from files without their byte order mark', async () => {
    const { component } = await load(
      'component: {domain: gateway.example.org, secret_file: marked.txt}\ndomains: [example.org]',
    );
    expect(component.secret.reveal()).toBe('s3cret');
  });

  test.each([
    ['from the credentials of the service', 'component.secret', 'passed by systemd'],
    ['from beside the configuration, where the credentials lack it', 'secret.txt', 's3cret'],
  ])('come %s', async (_, name, secret) => {
    const credentials = join(folder, 'credentials');
    await mkdir(credentials, { recursive: true });
    await writeFile(join(credentials, 'component.secret'), 'passed by systemd\n');
    vi.stubEnv('CREDENTIALS_DIRECTORY', credentials);
    try {
      const { component } = await load(
        `component: {domain: gateway.example.org, secret_file: ${name}}\ndomains: [example.org]`,
      );
      expect(component.secret.reveal()).toBe(secret);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe('faults', () => {
  test('are told all at once, with line, expected and got', async () => {
    const text = `component:
  domain: gateway.example.org
  port: 80a
  secret: s3cret
domains: [example.org, gateway.example.org]
htpp: {}
api_accounts:
  - username: alerts
    password_hash: hunter2
    domains: [example.net]
  - {username: alerts, password_hash: "${hash}", domains: []}
c2s:
  ca_file: missing.pem
`;
    expect(await faultsOf(text)).toEqual([
      'gateway.yaml:3: component.port: expected an integer from 1 to 65535, got "80a"',
      'gateway.yaml:5: domains[1]: expected a domain of users, neither component.domain nor one below it, got "gateway.example.org"',
      'gateway.yaml:6: htpp: expected a known key (did you mean http?), got an unknown one',
      'gateway.yaml:9: api_accounts[0].password_hash: expected a hash made by the hash-password command, such as $scrypt$ln=14,r=8,p=1$…$…, got <secret>',
      'gateway.yaml:10: api_accounts[0].domains[0]: expected one of the domains (example.org, gateway.example.org), got "example.net"',
      'gateway.yaml:11: api_accounts[1].domains: expected at least one domain, got an empty list',
      'gateway.yaml:11: api_accounts[1].username: expected a name that no other account has, got "alerts"',
      'gateway.yaml:13: c2s.ca_file: expected a file that can be read, got "missing.pem" (ENOENT: no such file or directory)',
    ]);
    expect((await loadFaulty(text)).faults[0]).toEqual({
      path: 'component.port',
      line: 3,
      expected: 'an integer from 1 to 65535',
      got: '"80a"',
    });
  });

  test.each([
    ['component: {domain: "a b", secret: x}\ndomains: [x.org]', ':1: component.domain'],
    ['component: {domain: g.x.org, secret: ""}\ndomains: [x.org]', ':1: component.secret:'],
    ['component: {domain: g.x.org, secret: 12}\ndomains: [x.org]', 'looks like a number'],
    ['component: {domain: g.x.org, secret: "a\\nb"}\ndomains: [x.org]', 'control characters'],
    [
      'component: {domain: g.x.org}\ndomains: [x.org]',
      'either it or component.secret_file, got neither',
    ],
    [
      'component: {domain: g.x.org, secret: a, secret_file: secret.txt}\ndomains: [x.org]',
      'got both',
    ],
    ['component: {domain: g.x.org, secret_file: empty.txt}\ndomains: [x.org]', 'got <secret>'],
    ['component: {domain: g.x.org, secret_file: latin1.txt}\ndomains: [x.org]', '(not UTF-8)'],
    ['component: {domain: g.x.org, secret_file: .}\ndomains: [x.org]', 'EISDIR'],
    ['component: {domain: x.org, secret: a}\ndomains: [X.org]', 'neither component.domain'],
    ['component: {domain: x.org, secret: a}\ndomains: [sub.x.org]', 'nor one below it'],
    [
      'component: {domain: g.x.org, secret: a}\ndomains: [x.org, X.ORG]',
      'domains[1]: expected each domain only once',
    ],
    [
      'component: {domain: g.x.org, secret: a}\ndomains: []',
      'domains: expected at least one domain, got an empty list',
    ],
    [
      'component: {domain: g.x.org, secret: a}\ndomains: x.org',
      'expected a list of domains, got text',
    ],
    [
      'component: {domain: g.x.org, secret: a}',
      'gateway.yaml: domains: expected a list of domains, got nothing',
    ],
    [
      'domains: [x.org]',
      'component: expected a mapping with the keys domain, host, port, secret, secret_file, got nothing',
    ],
  ])('%s', async (text, expected) => {
    const faults = await faultsOf(text);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(expected);
  });

  test.each([
    ['c2s: {security: plaintext, host: 192.0.2.1}', 'starttls or tls, because 192.0.2.1'],
    ['c2s: {security: plaintext, host: localhost.example.org}', 'starttls or tls'],
    ['c2s: {security: ssl}', 'expected starttls, tls or plaintext, got "ssl"'],
    ['c2s: {host: "a b"}', 'c2s.host: expected a host name or an IP address'],
    ['c2s: {host: "[::1]"}', 'IPv6 without brackets'],
    [
      'c2s: {ca_file: server.key}',
      'c2s.ca_file: expected a file of CA certificates in PEM, got "server.key" (no certificate in PEM)',
    ],
    ['c2s: {ca_file: empty.txt}', 'got "empty.txt" (an empty file)'],
    ['c2s: {ca_file: half.crt}', 'got "half.crt" (a file that is cut off)'],
    ['c2s:', 'c2s: expected a mapping with the keys host, port, security, ca_file, got nothing'],
    ['http: {host: 0.0.0.0}', 'http.host: expected a loopback address, or http.tls'],
    ['http: {host: "::"}', 'http.host: expected a loopback address'],
    ['http: {host: gateway.example.org}', 'http.host: expected a loopback address'],
    ['http: {port: 0}', 'http.port: expected an integer from 1 to 65535, got 0'],
    ['http: {port: 65536}', 'got 65536'],
    ['http: {port: 80.5}', 'got 80.5'],
    ['http: {port: "8080"}', 'got "8080"'],
    ['http: {port: .nan}', 'got NaN'],
    ['http: {insecure: yes}', 'http.insecure: expected true or false, got "yes"'],
    ['http: {docs: on}', 'http.docs: expected true or false, got "on"'],
    [
      'http: {tls: {cert_file: server.crt}}',
      'http.tls.key_file: expected the path of a file, got nothing',
    ],
    [
      'http: {tls: {cert_file: ca.crt, key_file: server.key}}',
      'http.tls: expected a certificate chain and the private key of its first certificate, got "ca.crt" and "server.key" (the key is that of another certificate)',
    ],
    [
      'http: {tls: {cert_file: empty.txt, key_file: server.key}}',
      'http.tls.cert_file: expected a certificate chain in PEM, got "empty.txt" (an empty file)',
    ],
    [
      'http: {tls: {cert_file: server.crt, key_file: empty.txt}}',
      'http.tls.key_file: expected a private key in PEM, got "empty.txt" (an empty file)',
    ],
    [
      'http: {trusted_proxies: [10.0.0.0/33]}',
      'trusted_proxies[0]: expected an IP address or a network',
    ],
    ['http: {trusted_proxies: ["::/129"]}', 'got "::/129"'],
    ['http: {trusted_proxies: [proxy.example.org]}', 'got "proxy.example.org"'],
    ['http: {trusted_proxies: [10.0.0.0/8/8]}', 'got "10.0.0.0/8/8"'],
    [
      'api_accounts: [hunter2]',
      'api_accounts[0]: expected a mapping with the keys username, password_hash, domains, senders, manage, got text',
    ],
    [
      'permissions: {xmppgateway: ["*@example.net"]}',
      'expected an address in one of the domains (example.org), got "*@example.net"',
    ],
    [
      'permissions: {xmppgateway: [example.org]}',
      'expected a bare JID such as bot@example.org, or *@example.org',
    ],
    ['permissions: {xmppgateway: [bot@example.org/x]}', 'got "bot@example.org/x"'],
    ['permissions: {xmppgateways: []}', 'did you mean xmppgateway?'],
    ['delivery: {max_in_flight_bytes: 1000}', 'at least limits.stanza_bytes (262144), got 1000'],
    // Nothing is compared with a value that is itself wrong.
    ['limits: {stanza_bytes: x}\ndelivery: {max_in_flight_bytes: 1000}', 'limits.stanza_bytes: '],
    ['http: {port: 10480, metrics: {}}', 'http.metrics.port: expected another port than http.port'],
    ['http: {metrics: {port: 8080}}', 'another port than http.port, got 8080'],
    ['rooms: {idle_ms: 0}', 'expected an integer from 1 to 86400000 (milliseconds), got 0'],
    ['rooms: {passwords: [hunter2]}', 'a mapping from the bare JIDs of rooms to their passwords'],
    ['rooms: {passwords: {lobby: x}}', 'expected as key the bare JID of a room such as lobby@'],
    ['rooms: {passwords: {lobby@rooms.org/x: y}}', 'expected as key the bare JID of a room'],
    [
      'rooms: {passwords: {lobby@rooms.org: a, LOBBY@rooms.org: b}}',
      'rooms.passwords."LOBBY@rooms.org": expected lobby@rooms.org only once, got it twice',
    ],
    ['rooms: {passwords: {lobby@rooms.org: ""}}', 'not empty, in quotes if it looks like'],
    ['rooms: {passwords: {lobby@rooms.org: 12}}', 'got <secret>'],
    ['auth: {cache_ms: -1}', 'expected an integer from 0 to 86400000 (milliseconds), got -1'],
    ['cache_ms: 5', 'did you mean auth.cache_ms?'],
    ['auth: {cacheMs: 5}', 'did you mean cache_ms?'],
    ['limits: {depth: 125}', 'expected an integer from 1 to 124, got 125'],
    ['limits: {elements: 1}', 'expected an integer from 2 to 1000000, got 1'],
    [
      'limits: {stanza_bytes: 99999999}',
      'limits.stanza_bytes: expected an integer from 1 to 67108864 (bytes)',
    ],
    ['templates: [a.liquid]', 'a mapping from the names of templates to their files, got a list'],
    [
      'templates: {My_Tool: good.liquid}',
      'expected as key a name of at most 64 small letters, digits and hyphens, got another one',
    ],
    [`templates: {${'a'.repeat(65)}: good.liquid}`, 'expected as key a name of at most 64'],
    ['templates: {"": good.liquid}', 'expected as key a name of at most 64'],
    ['templates: {a: ""}', 'templates.a: expected the path of a file, got ""'],
    [
      'templates: {a: none.liquid}',
      'templates.a: expected a file that can be read, got "none.liquid" (ENOENT: no such file or directory)',
    ],
    [
      'templates: {a: tag.liquid}',
      'templates.a: expected a Liquid template, got "tag.liquid" (line 2: tag "foo" not found)',
    ],
    ['templates: {a: filter.liquid}', 'got "filter.liquid" (line 1: undefined filter: upcased)'],
    ['templates: {a: long.liquid}', 'got "long.liquid" (line 1: more than 65536 characters)'],
    ['templates: {a: latin1.txt}', 'got "latin1.txt" (not UTF-8)'],
    ['log: {level: loud}', 'got "loud"'],
    [
      'store: disk',
      'store: expected memory, or redis:// or rediss://[user:password@]host:port[/database]',
    ],
    [
      'store_sentinels: ["127.0.0.1:26379"]',
      'store_sentinels: expected a store with redis:// or rediss://',
    ],
    [
      'store_sentinels: ["127.0.0.1"]\nstore: redis://mymaster',
      'store_sentinels[0]: expected host:port (IPv6 in brackets), got "127.0.0.1"',
    ],
    [
      'store_sentinels: [":pw@127.0.0.1:1"]\nstore: redis://mymaster',
      'store_sentinels[0]: expected host:port (IPv6 in brackets), got <secret>',
    ],
    ['store_tls: {ca_file: ca.crt}', 'store_tls: expected a store with rediss://, for TLS'],
    [
      'store_tls: {ca_file: ca.crt}\nstore: redis://127.0.0.1',
      'store_tls: expected a store with rediss://, for TLS',
    ],
    [
      'store_tls: {cert_file: server.crt}\nstore: rediss://127.0.0.1',
      'store_tls.cert_file: expected store_tls.key_file beside it',
    ],
    [
      'store_tls: {key_file: server.key}\nstore: rediss://127.0.0.1',
      'store_tls.key_file: expected store_tls.cert_file beside it',
    ],
    [
      'store_tls: {ca_file: server.key}\nstore: rediss://127.0.0.1',
      'store_tls.ca_file: expected a file of CA certificates in PEM, got "server.key" (no certificate in PEM)',
    ],
    [
      'store_tls: {cert_file: ca.crt, key_file: server.key}\nstore: rediss://127.0.0.1',
      'store_tls: expected a certificate chain and the private key of its first certificate, got "ca.crt"',
    ],
    ['store: "redis://:hunter2@host:x"', 'got <secret>'],
    ['store: {url: "redis://host"}', 'got <secret>'],
    [
      'log: {level:s3cret}',
      'gateway.yaml:4: log.level: expected a space after its colon, got none',
    ],
    [
      'rooms: {passwords: {lobby@rooms.org:s3cret}}',
      'gateway.yaml:4: rooms.passwords."lobby@rooms.org": expected a space after its colon, got none',
    ],
    ['"__proto__": {x: 1}', '__proto__: expected one of the keys component, domains,'],
    ['constructor: 1', 'constructor: expected'],
    ['<<: {log: {level: debug}}', '"<<": expected one of the keys'],
    [`"a\\nb\\e[31m": 1`, '"a\\nb\\u001b[31m": expected'],
  ])('%s', async (text, expected) => {
    const faults = await faultsOf(minimal + text);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(expected);
    expect(faults[0]).toMatch(/^gateway\.yaml:4: /);
  });

  test.each([
    ['username: "a:b"', 'without colons and control characters'],
    ['username: ""', 'not empty'],
    ['username: "a\\tb"', 'control characters'],
    ['username: 7', 'in quotes if it looks like a number, got 7'],
    [`password_hash: "${hash.replace('14', '30')}"`, 'got <secret>'],
    ['password_hash: 123456', 'got <secret>'],
    ['domains: [Example.net]', 'got "Example.net"'],
    ['senders: []', 'at least one sender'],
    ['senders: ["a@example.org"]', 'a localpart in which * stands for any characters'],
    ['senders: [""]', 'a localpart in which'],
    ['senders: [4711]', 'in quotes if it looks like a number, got 4711'],
    ['senders: "*"', 'expected a list of localparts'],
    ['manage: yes', 'api_accounts[0].manage: expected true or false, got "yes"'],
  ])('of an account: %s', async (line, expected) => {
    const keys = [`username: x`, `password_hash: "${hash}"`, 'domains: [example.org]'];
    const name = line.split(':')[0] ?? '';
    const rest = keys.filter((key) => !key.startsWith(name));
    const faults = await faultsOf(`${minimal}api_accounts: [{${[...rest, line].join(', ')}}]`);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(expected);
  });
});

test('the faults of all templates are reported, each at its line', async () => {
  const templates = ['templates:', '  a: tag.liquid', '  B: good.liquid', '  c: none.liquid'];
  expect(await faultsOf(`${minimal}${templates.join('\n')}`)).toEqual([
    expect.stringContaining('gateway.yaml:5: templates.a: '),
    expect.stringContaining('gateway.yaml:6: templates.B: '),
    expect.stringContaining('gateway.yaml:7: templates.c: '),
  ]);
});

describe('the file', () => {
  test.each([
    ['', 'expected a mapping with the keys component,'],
    ['- a', 'got a list'],
    ['hunter2', 'got text'],
    [`${minimal}? {a: 1}\n: 2`, '"{ a: 1 }": expected one of the keys'],
    [Buffer.from('a: \xff', 'latin1'), 'got not UTF-8'],
    [`${minimal}${minimal}`, 'expected each key only once'],
    [`${minimal}"http": {}\n"http": {}`, ':5: http: expected each key only once, got it twice'],
    [`${minimal}---${minimal}`, 'expected one document: no line with --- or ... between the keys'],
    [
      `${minimal}log: !custom {level: info}`,
      ':4: expected quotes around a text that begins with !',
    ],
    [
      `${minimal}permissions:\n  xmppgateway: [bot@example.org, *@bots.example.org]`,
      ':5: expected quotes around a text that begins with *, such as "*example", got an alias',
    ],
    [`${minimal}log: *`, ':4: expected quotes around a text that begins with *'],
    [`${minimal}store: &x`, ':4: expected quotes around a text that begins with &'],
    [`${minimal}store: &`, ':4: expected quotes around a text that begins with &'],
    [`${minimal}store: @x`, ':4: expected quotes around a text that begins with @'],
    [`${minimal}store: \`x\``, ':4: expected quotes around a text that begins with `'],
    [`${minimal}store: %x`, ':4: expected quotes around a text that begins with %'],
    [`${minimal}store: a: b`, ':4: expected quotes around a text with a colon and a space in it'],
    [
      `${minimal}log: {level: in: fo}`,
      ':4: expected quotes around a text with a colon and a space in it',
    ],
    [`${minimal}http:\n\tport: 1`, ':5: expected spaces at the start of the line, not a tab'],
    [`${minimal}\tlog: x`, ':4: expected spaces at the start of the line, not a tab'],
    [
      `${minimal}http:\n  port: 1\n log: x`,
      ':6: expected keys and list items of one level indented',
    ],
    [`${minimal}store: "x`, ':4: expected a " at the end of a text that begins with "'],
    [`${minimal}store: 'x`, ":4: expected a ' at the end of a text that begins with '"],
    [`${minimal}store: 'it's'`, ':4: expected nothing after a closing quotation mark'],
    [`${minimal}store: "C:\\d"`, ':4: expected \\\\ for each \\ of a text in double quotes'],
    [`${minimal}domains: [a, b`, ':4: expected a ] at the end of a list that begins with ['],
    [`${minimal}http: {port: 1`, ':4: expected a } at the end of a mapping that begins with {'],
    [`${minimal}store: }`, ':4: expected no bracket or brace without its opening one'],
    [`${minimal}domains: [,]`, ':4: expected a value before each comma'],
    [`${minimal}store: "x"#y`, ':4: expected a space before a comment'],
    [`${minimal}store: |x`, ':4: expected a line break after | or >'],
    [
      `${minimal}store: #x`,
      ':4: expected quotes around a text that begins with #, such as "#example", got nothing',
    ],
    [`${minimal}domains:\n  - #x`, ':5: expected quotes around a text that begins with #'],
    [`${minimal}store: # x`, ':4: store: expected'],
    [`${minimal}http:\n  #port: 1`, ':4: http: expected'],
    [`${minimal}http:8080\nlog: {}`, ':4: expected a key, a colon, a space and a value'],
    [`${minimal}http:8080`, ':4: expected a key, a colon, a space and a value'],
    [`${minimal}http:\n  port:8080`, 'got text: a space is missing after its colon'],
  ])('%j', async (text, expected) => {
    expect((await faultsOf(text)).join('\n')).toContain(expected);
  });

  test('says nothing of what may be a secret', async () => {
    for (const value of [
      '*hunter2',
      '&hunter2',
      '@hunter2',
      'a: hunter2',
      '!hunter2',
      '"\\d hunter2',
      '#hunter2',
      "'hunter2's'",
      '|hunter2',
    ]) {
      const faults = await faultsOf(`${minimal}store: ${value}`);
      expect(faults.join('\n')).toContain('expected');
      expect(faults.join('\n')).not.toContain('hunter2');
    }
  });

  test('that is missing is a fault', async () => {
    await expect(loadConfig(join(folder, 'nowhere.yaml'))).rejects.toThrow(
      'nowhere.yaml: expected a configuration file that can be read, got ENOENT',
    );
  });

  test('tells other faults beside a duplicate key', async () => {
    expect(await faultsOf(`${minimal}log: {level: loud, level: loud}`)).toEqual([
      'gateway.yaml:4: level: expected each key only once, got it twice',
      expect.stringContaining('log.level: expected trace'),
    ]);
  });

  test('may hold anchors and aliases, within bounds', async () => {
    const config = await load(`component: {domain: gateway.example.org, secret: x}
domains: &all [example.org]
api_accounts: [{username: a, password_hash: "${hash}", domains: *all}]`);
    expect(config.apiAccounts[0]?.domains).toEqual(['example.org']);
    const levels = Array.from({ length: 9 }, (_, index) => index + 1).map(
      (level) => `a${level}: &a${level} [${`*a${level - 1},`.repeat(9)}]`,
    );
    const laughs = ['a0: &a0 [x]', ...levels].join('\n');
    expect((await faultsOf(laughs)).join('\n')).toContain('too many aliases');
  });

  test.each([
    'component: {domain: g.example.org, secret: hunter2 x: y}',
    'component:\n  secret: |hunter2',
    'component:\n  secret: *hunter2',
    'component:\n  secret: !hunter2 x',
    'component:\n  secret: "hunter2',
    'component:\n  secret: [hunter2]',
    'component:\n  secret: {a: hunter2}',
    'component: hunter2',
    'component: [hunter2]',
    'secret: hunter2',
    'component: {secrets: hunter2}',
    'api_accounts: [{password: hunter2}]',
    'api_accounts: [{password_hash: hunter2}]',
    'rooms: {passwords: hunter2}',
    'rooms: {passwords: {lobby: hunter2}}',
    'rooms: {passwords: {lobby@rooms.org: [hunter2]}}',
    'rooms: {passwords: {lobby@rooms.org: "hunter2\\n"}}',
  ])('shows no secret: %j', async (text) => {
    expect((await loadFaulty(text)).message).not.toContain('hunter2');
  });
});

test('configKeys names every key with its default', async () => {
  const keys = configKeys();
  const find = (path: string) => keys.find((key) => key.path === path);
  expect(find('component.domain')).toEqual({
    path: 'component.domain',
    isRequired: true,
    default: undefined,
  });
  expect(find('c2s.host')?.default).toBe('component.host');
  expect(find('auth.throttle.window_ms')).toMatchObject({ isRequired: false, default: 60_000 });
  expect(find('api_accounts[].senders')?.default).toEqual(['*']);
  expect(find('http.tls.key_file')?.isRequired).toBe(true);
  expect(new Set(keys.map(({ path }) => path)).size).toBe(keys.length);
});

test.each([
  'redis://127.0.0.1:6379',
  'redis://127.0.0.1:6379/',
  'redis://127.0.0.1:6379/15',
  'redis://localhost',
  'redis://[::1]:6379/0',
  'redis://:pass%40word@redis.example:6379',
  'redis://gateway:password@redis.example:6379/1',
  'rediss://127.0.0.1:6379',
])('%s', (url) => {
  expect(isRedisUrl(url)).toBe(true);
});

test.each([
  '',
  'redis',
  'redis://',
  'redisss://127.0.0.1:6379',
  'http://127.0.0.1:6379',
  'redis://127.0.0.1:0',
  'redis://127.0.0.1:65536',
  'redis://127.0.0.1:6379/first',
  'redis://127.0.0.1:6379?db=1',
  'redis://127.0.0.1:6379/0 ',
  'redis://[::g]:6379',
  'redis://user@127.0.0.1:6379',
  'redis://:%zz@127.0.0.1:6379',
  'redis://:pass/word@127.0.0.1:6379',
])('not %j', (url) => {
  expect(isRedisUrl(url)).toBe(false);
});
