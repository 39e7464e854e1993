import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, post, request } from '../support/clients/http.ts';
import { type C2sServerOptions, startC2sServer } from '../support/doubles/c2s-server.ts';
import { type FaultProxy, startProxy } from '../support/doubles/fault-proxy.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  runCommand,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { startProsody } from '../support/servers/prosody.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import {
  type Certificates,
  createCertificates,
  signCertificate,
} from '../support/system/certificates.ts';
import { freePort } from '../support/system/ports.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

// The XMPP server has no part in this; its c2s is a scripted one where its certificate matters.
let server: XmppServer;
let directory: string;

function newFolder(): string {
  return mkdtempSync(join(directory, 'certificates-'));
}

const read = (file: string): string => readFileSync(file, 'utf8');
const fingerprint = (file: string): string => new X509Certificate(read(file)).fingerprint256;

beforeAll(async () => {
  directory = createDirectory('tls');
  server = await startProsody();
  await server.register('bob', 'bob-secret');
});
afterAll(async () => {
  await server?.stop();
  removeDirectory(directory);
});

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

const messages = '/api/1.0/xmppdomains/example.org/gateway/messages';
const auth = [apiAccount.username, apiAccount.password] as const;
const body = '{"to": "bob@example.org", "body": "over TLS"}';

describe('http.tls', () => {
  let gateway: GatewayProcess;
  let url: string;
  let first: Certificates;
  let second: Certificates;

  /** The certificate that a new connection is shown. */
  async function shownCertificate(): Promise<string | undefined> {
    const socket = connect({ host: '127.0.0.1', port: gateway.port, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const shown = socket.getPeerX509Certificate()?.fingerprint256;
    socket.destroy();
    return shown;
  }
  function install({ certFile, keyFile }: Pick<Certificates, 'certFile' | 'keyFile'>): void {
    copyFileSync(certFile, join(gateway.directory, 'server.crt'));
    copyFileSync(keyFile, join(gateway.directory, 'server.key'));
  }
  const linesOf = (msg: string) => gateway.logLines().filter((line) => line['msg'] === msg);
  async function reload(outcome: string): Promise<Readonly<Record<string, unknown>>> {
    const before = linesOf(outcome).length;
    gateway.signal('SIGHUP');
    return await waitUntil(() => linesOf(outcome)[before], { label: `the line "${outcome}"` });
  }

  beforeAll(async () => {
    first = await createCertificates(newFolder(), ['gateway.example.org']);
    second = await createCertificates(newFolder(), ['gateway.example.org']);
    gateway = await startGatewayProcess({
      config: gatewayConfig(server, {
        http: { tls: { cert_file: 'server.crt', key_file: 'server.key' } },
      }),
      files: { 'server.crt': read(first.certFile), 'server.key': read(first.keyFile) },
      ready: false,
    });
    url = gateway.url.replace('http:', 'https:');
    await waitUntil(
      () =>
        request(`${url}/readyz`, { ca: read(first.caFile) }).then(
          ({ status }) => status === 200,
          () => false,
        ),
      { label: '200 from /readyz over TLS' },
    );
  });
  afterAll(() => gateway?.stop());

  test('serves HTTPS, and nothing in the clear', async () => {
    const answer = await post(`${url}${messages}/alice`, { auth, body, ca: read(first.caFile) });
    expect(answer.status, answer.body).toBe(200);
    await expect(post(`${gateway.url}${messages}/alice`, { auth, body })).rejects.toThrow(
      /hang up|ECONNRESET/,
    );
    await expect(request(`${url}/livez`, { ca: read(second.caFile) })).rejects.toThrow(
      /certificate/,
    );
  });

  test('a renewed certificate is shown after SIGHUP, and no connection is lost', async () => {
    install(first);
    await reload('certificate reloaded');
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: read(first.caFile) });
    const sockets = new Set<TLSSocket>();
    agent.on('free', (socket: TLSSocket) => sockets.add(socket));
    const send = (): Promise<HttpAnswer> => post(`${url}${messages}/alice`, { auth, agent, body });
    expect((await send()).status).toBe(200);
    const handshakes = server.componentHandshakes();

    install(second);
    const { validTo } = await reload('certificate reloaded');
    expect(validTo).toBe(new X509Certificate(read(second.certFile)).validTo);
    expect(await shownCertificate()).toBe(fingerprint(second.certFile));
    const answer = await request(`${url}/readyz`, { ca: read(second.caFile) });
    expect(answer.json()).toMatchObject({ status: 'ready' });
    expect((await send()).status).toBe(200);
    expect(sockets.size).toBe(1);
    expect(server.componentHandshakes()).toBe(handshakes);
    expect(linesOf('changed keys need a restart and were ignored')).toEqual([]);
    agent.destroy();
  });

  test('a handshake that is under way while the certificate is renewed succeeds', async () => {
    install(first);
    await reload('certificate reloaded');
    const early = connectTcp({ host: '127.0.0.1', port: gateway.port });
    await once(early, 'connect');
    // Its answer shows that the gateway has accepted the connection before it.
    expect(await shownCertificate()).toBe(fingerprint(first.certFile));
    install(second);
    await reload('certificate reloaded');
    const socket = connect({ socket: early, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    expect([fingerprint(first.certFile), fingerprint(second.certFile)]).toContain(
      socket.getPeerX509Certificate()?.fingerprint256,
    );
    socket.destroy();
  });

  test.each<[string, () => void, string]>([
    [
      'a key of another certificate',
      () => install({ certFile: first.certFile, keyFile: second.keyFile }),
      'http.tls: expected a certificate chain and the private key of its first certificate',
    ],
    [
      'garbage',
      () => writeFileSync(join(gateway.directory, 'server.crt'), 'garbage'),
      'http.tls.cert_file: expected a certificate chain in PEM',
    ],
    [
      'an empty certificate',
      () => writeFileSync(join(gateway.directory, 'server.crt'), ''),
      'http.tls.cert_file: expected a certificate chain in PEM',
    ],
    [
      'an empty key',
      () => writeFileSync(join(gateway.directory, 'server.key'), ''),
      'http.tls.key_file: expected a private key in PEM',
    ],
    [
      'a key that is half written',
      () => writeFileSync(join(gateway.directory, 'server.key'), read(second.keyFile).slice(0, 99)),
      'http.tls.key_file: expected a private key in PEM',
    ],
    [
      'a missing file',
      () => writeFileSync(gateway.configFile, read(gateway.configFile).replace('.crt', '.gone')),
      'http.tls.cert_file: expected a file that can be read',
    ],
  ])('%s changes nothing, and the log says so', async (_, spoil, expected) => {
    install(first);
    await reload('certificate reloaded');
    const config = read(gateway.configFile);
    spoil();
    const { faults, advice } = await reload('configuration not reloaded: the old one stays');
    expect(advice).toBe('Correct it and send SIGHUP again.');
    writeFileSync(gateway.configFile, config);
    const texts = (faults as { path: string; expected: string }[]).map(
      (fault) => `${fault.path}: expected ${fault.expected}`,
    );
    expect(texts).toEqual([expect.stringContaining(expected)]);
    expect(await shownCertificate()).toBe(fingerprint(first.certFile));
    install(second);
    await reload('certificate reloaded');
    expect(await shownCertificate()).toBe(fingerprint(second.certFile));
  });
});

describe('a certificate file', () => {
  const settings = async (files: Pick<Certificates, 'certFile' | 'keyFile'>) => {
    const tls = { cert_file: files.certFile, key_file: files.keyFile };
    return gatewayConfig(server, { http: { port: await freePort(), tls } });
  };

  test.each([
    ['certFile', 'http.tls.cert_file'],
    ['keyFile', 'http.tls.key_file'],
  ] as const)('that is empty: serve and check end with 78 (%s)', async (which, key) => {
    const made = await createCertificates(newFolder(), ['gateway.example.org']);
    writeFileSync(made[which], '');
    const file = join(newFolder(), 'gateway.yaml');
    writeFileSync(file, JSON.stringify(await settings(made)));
    for (const command of ['serve', 'check']) {
      const { code, stderr } = await runCommand([command, '--config', file]);
      expect([code, stderr]).toEqual([78, expect.stringContaining(`${key}: expected`)]);
    }
  });

  test.each([
    [30, 0, 'http.tls: certificate and key fit, valid until '],
    [-1, 1, 'http.tls: the certificate has expired ('],
  ])('that is good for %s days: check says so, and serve warns', async (days, code, text) => {
    const { caFile } = await createCertificates(newFolder(), ['gateway.example.org']);
    const made = await signCertificate(newFolder(), caFile, ['gateway.example.org'], days);
    const config = await settings(made);
    const file = join(newFolder(), 'gateway.yaml');
    writeFileSync(file, JSON.stringify(config));
    const checked = await runCommand(['check', '--config', file]);
    expect(checked.stdout).toContain(text);
    expect(checked.code).toBe(code);
    const gateway = await startGatewayProcess({ config, ready: false });
    cleanUps.push(() => gateway.stop());
    await gateway.waitForLine('component stream ready');
    const warnings = gateway.logLines().filter(({ level }) => level === 40);
    expect(warnings.map(({ msg }) => msg)).toEqual(
      code === 0 ? [] : [expect.stringContaining(text)],
    );
  });
});

describe('a listener without TLS', () => {
  // A loopback address that does not look like one.
  const host = '127.1';

  test('needs insecure: true where it is not on loopback', async () => {
    const config = gatewayConfig(server, { http: { host, port: await freePort() } });
    const file = join(directory, 'gateway.yaml');
    writeFileSync(file, JSON.stringify(config));
    const { code, stderr } = await runCommand(['serve', '--config', file]);
    expect(code).toBe(78);
    expect(stderr).toContain('http.host: expected a loopback address, or http.tls, or http.insec');
  });

  test.each([
    [host, true],
    ['127.0.0.1', false],
  ])('at %s warns: %s', async (address, isWarned) => {
    const gateway = await startGatewayProcess({
      config: gatewayConfig(server, { http: { host: address, insecure: true } }),
    });
    cleanUps.push(() => gateway.stop());
    // After the lines that every start logs.
    await gateway.waitForLine('component stream ready');
    const warnings = gateway.logLines().filter(({ level }) => level === 40);
    expect(warnings.map(({ msg }) => msg)).toEqual(
      isWarned ? ['http.insecure: passwords cross the network in the clear'] : [],
    );
  });
});

test.each([
  ['127.1', true],
  ['127.0.0.1', false],
])('a metrics listener at %s warns: %s', async (address, isWarned) => {
  const metrics = { host: address, port: await freePort() };
  const gateway = await startGatewayProcess({
    config: gatewayConfig(server, { http: { metrics } }),
  });
  cleanUps.push(() => gateway.stop());
  await gateway.waitForLine('component stream ready');
  const warnings = gateway.logLines().filter(({ level }) => level === 40);
  expect(warnings.map(({ host, msg }) => [host, msg])).toEqual(
    isWarned
      ? [[address, 'http.metrics.host: anyone who can reach this address can read the metrics']]
      : [],
  );
});

describe('a c2s certificate', () => {
  let gateway: GatewayProcess;
  let proxy: FaultProxy;
  let right: Certificates;

  beforeAll(async () => {
    right = await createCertificates(newFolder(), ['example.org']);
    proxy = await startProxy(server.c2sPort);
    gateway = await startGatewayProcess({
      config: gatewayConfig(server, {
        c2s: { port: proxy.port, security: 'starttls', ca_file: right.caFile },
      }),
    });
  });
  afterAll(async () => {
    await gateway?.stop();
    await proxy?.stop();
  });

  async function logIn(options: Partial<C2sServerOptions>): Promise<HttpAnswer> {
    const c2s = await startC2sServer({
      mechanisms: ['PLAIN'],
      users: { bot: 'bot-secret' },
      ...options,
    });
    cleanUps.push(c2s.stop);
    proxy.setTarget(c2s.port);
    return await post(`${gateway.url}${messages}`, { auth: ['bot', 'bot-secret'], body });
  }
  async function reasonOf(answer: HttpAnswer): Promise<unknown> {
    const id = String(answer.json()['instance']).replace('urn:uuid:', '');
    const line = await waitUntil(
      () => gateway.logLines().find(({ request: each }) => each === id),
      { label: `the log line of request ${id}` },
    );
    return line['reason'];
  }

  test.each<[string, () => Promise<Pick<Certificates, 'certFile' | 'keyFile'>>, RegExp]>([
    [
      'of another CA',
      () => createCertificates(newFolder(), ['example.org']),
      /UNABLE_TO_VERIFY_LEAF_SIGNATURE/,
    ],
    [
      'for another name',
      () => signCertificate(newFolder(), right.caFile, ['other.example']),
      /is not valid for example\.org.*other\.example/,
    ],
    [
      'that has expired',
      () => signCertificate(newFolder(), right.caFile, ['example.org'], -1),
      /CERT_HAS_EXPIRED/,
    ],
  ])('%s makes password checks unavailable, and the log says which', async (_, find, reason) => {
    const answer = await logIn({ certificates: await find() });
    expect(answer.status, answer.body).toBe(503);
    expect(answer.json()).toMatchObject({ code: 'authentication-unavailable' });
    expect(answer.headers['retry-after']).toMatch(/^[1-9]\d*$/);
    expect(await reasonOf(answer)).toMatch(reason);
    expect(gateway.output()).not.toContain('bot-secret');
  });

  test('is not asked of a server that offers no TLS', async () => {
    const answer = await logIn({});
    expect(answer.json()).toMatchObject({ code: 'authentication-unavailable' });
    expect(await reasonOf(answer)).toMatch(/does not offer STARTTLS/);
  });

  test('that is right lets the user in', async () => {
    const answer = await logIn({ certificates: right });
    expect(answer.status, answer.body).toBe(200);
  });
});
