import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type IncomingMessage, ServerResponse } from 'node:http';
import https from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectOverTls, type TLSSocket } from 'node:tls';
import Koa from 'koa';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import { sendAnswer } from '../../../../src/http/response/answer.ts';
import {
  type ClientLimits,
  createListener,
  type ListenerOptions,
} from '../../../../src/http/server/listener.ts';
import { send } from '../../../support/clients/http.ts';
import { connectRaw, type RawConnection } from '../../../support/clients/http-connection.ts';
import { noEvents } from '../serve.ts';
import { createSignal, type Signal } from '../signal.ts';

const loopback: ListenerOptions = { host: '127.0.0.1', port: 0, tls: undefined };
const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

/** An app that reads bodies, and whose answers wait until `release` is called. */
function createHeldApp() {
  const released = createSignal();
  const begun: Signal<void>[] = [];
  const nthBegun = (index: number): Signal<void> => (begun[index] ??= createSignal());
  let count = 0;
  const app = new Koa();
  app.use(async (ctx) => {
    count += 1;
    ctx.req.resume();
    nthBegun(count).tell();
    await released.told;
    ctx.body = ctx.path;
  });
  return {
    app,
    release: released.tell,
    whenBegun: (requests: number) => nthBegun(requests).told,
    begun: () => count,
  };
}

/** No deadline passes within a test. */
const patient: ClientLimits = {
  headersMs: 60_000,
  requestMs: 60_000,
  keepAliveMs: 60_000,
  stalledMs: 60_000,
  checkMs: 10,
  connections: 1000,
};

async function startHeld(limits: Partial<ClientLimits> = {}) {
  const held = createHeldApp();
  const listener = createListener(held.app.callback(), loopback, noEvents, {
    ...patient,
    ...limits,
  });
  const port = await listener.start();
  onTestFinished(() => listener.stop(0));
  return { ...held, listener, port };
}

async function connectAll(port: number, requests: readonly string[]): Promise<RawConnection[]> {
  return Promise.all(
    requests.map(async (request) => {
      const raw = await connectRaw(port);
      raw.write(request);
      return raw;
    }),
  );
}

const connectHead = 'CONNECT example.org:5222 HTTP/1.1\r\nHost: example.org:5222\r\n\r\n';

describe('createListener', () => {
  it('refuses a port that is taken', async () => {
    const { port, app } = await startHeld();
    const second = createListener(app.callback(), { ...loopback, port }, noEvents);
    await expect(second.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('answers pipelined requests in their order', async () => {
    const { port, release, whenBegun } = await startHeld();
    const raw = await connectRaw(port);
    raw.write('GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n');
    await whenBegun(1);
    release();
    expect((await raw.answer()).body).toBe('/1');
    expect((await raw.answer()).body).toBe('/2');
    raw.destroy();
  });

  it('answers what came before garbage, then closes', async () => {
    const { port, release, whenBegun } = await startHeld();
    const raw = await connectRaw(port);
    raw.write(
      'GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\ngarbage\r\n\r\n',
    );
    await whenBegun(1);
    raw.write('more garbage\r\n\r\n');
    release();
    expect(await raw.answer()).toMatchObject({ status: 200, body: '/1' });
    expect(await raw.answer()).toMatchObject({ status: 200, body: '/2' });
    expect(await raw.answer()).toMatchObject({ status: 400, headers: { connection: 'close' } });
    expect(await raw.closed).toBe('');
  });

  it('answers CONNECT', async () => {
    const { port } = await startHeld();
    const raw = await connectRaw(port);
    raw.write(connectHead);
    expect(await raw.answer()).toMatchObject({ status: 404, headers: { connection: 'close' } });
    await raw.closed;
  });

  it('answers what came before CONNECT, then CONNECT, then closes', async () => {
    const { port, release, whenBegun } = await startHeld();
    const raw = await connectRaw(port);
    raw.write(`POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx${connectHead}`);
    await whenBegun(1);
    release();
    expect(await raw.answer()).toMatchObject({ status: 200, body: '/1' });
    expect(await raw.answer()).toMatchObject({ status: 404, headers: { connection: 'close' } });
    expect(await raw.closed).toBe('');
  });

  it('answers what came in one piece with CONNECT, then closes', async () => {
    const { port, release, whenBegun } = await startHeld();
    const raw = await connectRaw(port);
    const body = '1\r\nx\r\n0\r\n\r\n';
    raw.write(
      `POST /1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${body}${connectHead}`,
    );
    await whenBegun(1);
    // By then the body has been read, and with it the CONNECT.
    await new Promise(setImmediate);
    release();
    const expected = { status: 200, headers: { connection: 'close' }, body: '/1' };
    expect(await raw.answer()).toMatchObject(expected);
    expect(await raw.closed).toBe('');
  });

  it('ignores an Upgrade', async () => {
    const { port, release } = await startHeld();
    release();
    const headers = { Connection: 'Upgrade', Upgrade: 'h2c' };
    expect(await send(port, { path: '/x', headers })).toMatchObject({ status: 200, body: '/x' });
  });
});

describe('deadlines', () => {
  it.each([
    ['headers that never end', { headersMs: 50 }, 'GET / HTTP/1.1\r\nHost: h\r\nX: '],
    ['silence', { headersMs: 50 }, ''],
    [
      'a body that never ends',
      { headersMs: 50, requestMs: 100 },
      'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx',
    ],
  ])('end %s', async (_, limits, request) => {
    const { port } = await startHeld(limits);
    const [raw] = await connectAll(port, [request]);
    expect(await raw!.answer()).toMatchObject({ status: 408, headers: { connection: 'close' } });
    expect(await raw!.closed).toBe('');
  });

  it('end a connection between two requests', async () => {
    const { port, release } = await startHeld({ keepAliveMs: 50 });
    release();
    const [raw] = await connectAll(port, [get]);
    expect(await raw!.answer()).toMatchObject({ status: 200 });
    expect(await raw!.closed).toBe('');
  });

  it('end a connection whose client does not read its answers', async () => {
    const { port, release } = await startHeld({ stalledMs: 100 });
    release();
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    socket.pause();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    // Written until the other side stops reading because it cannot write.
    const flood = `GET /${'x'.repeat(8000)} HTTP/1.1\r\nHost: h\r\n\r\n`;
    const more = (): void => void socket.write(flood, (error) => error ?? more());
    more();
    await closed;
  });

  it('do not affect a slow answer', async () => {
    const { port, release, whenBegun } = await startHeld({ stalledMs: 30, keepAliveMs: 30 });
    const [slow] = await connectAll(port, [get]);
    await whenBegun(1);
    // A later connection is cut off later.
    const other = await connectRaw(port);
    expect(await other.closed).toBe('');
    release();
    expect(await slow!.answer()).toMatchObject({ status: 200 });
  });
});

describe('at the maximum of connections', () => {
  it('a new one replaces the one that has been idle longest', async () => {
    const { port, release } = await startHeld({ connections: 3 });
    release();
    const first = await connectRaw(port);
    const used = await connectRaw(port);
    const third = await connectRaw(port);
    used.write(get);
    await used.answer();
    first.write('GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ');
    const [fourth] = await connectAll(port, [get]);
    expect(await fourth!.answer()).toMatchObject({ status: 200 });
    expect(await first.closed).toBe('');
    const [fifth] = await connectAll(port, [get]);
    expect(await fifth!.answer()).toMatchObject({ status: 200 });
    expect(await third.closed).toBe('');
    used.write(get);
    expect(await used.answer()).toMatchObject({ status: 200 });
  });

  it('a half-sent body gives way, but a complete request does not', async () => {
    const { port, release, whenBegun } = await startHeld({ connections: 3 });
    const half = 'POST /half HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx';
    const [whole, slow] = await connectAll(port, [get, half]);
    await whenBegun(2);
    const [another] = await connectAll(port, [get]);
    await whenBegun(3);
    const [fourth] = await connectAll(port, [get]);
    expect(await slow!.closed).toBe('');
    await whenBegun(4);
    const fifth = await connectRaw(port);
    expect(await fifth.closed).toBe('');
    release();
    for (const raw of [whole, another, fourth]) {
      expect(await raw!.answer()).toMatchObject({ status: 200 });
    }
  });

  it('one whose answer is not read gives way', async () => {
    const app = new Koa();
    app.use((ctx) => {
      ctx.respond = false;
      sendAnswer(ctx.req, ctx.res, { status: 401, headers: {}, body: '' });
    });
    const listener = createListener(app.callback(), loopback, noEvents, {
      ...patient,
      connections: 2,
    });
    const port = await listener.start();
    onTestFinished(() => listener.stop(0));
    const request = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n';
    const raws = await connectAll(port, [request, request]);
    for (const raw of raws) expect(await raw.answer()).toMatchObject({ status: 401 });
    const [third] = await connectAll(port, [request]);
    expect(await third!.answer()).toMatchObject({ status: 401 });
    expect(raws.filter(({ isClosed }) => isClosed())).toHaveLength(1);
  });
});

/** An app that records what it has begun; `/held` waits for `release`. */
async function startCounting(body = 'x') {
  const held = createSignal();
  const begun: string[] = [];
  const app = new Koa();
  app.use(async (ctx) => {
    begun.push(ctx.path);
    if (ctx.path === '/held') await held.told;
    ctx.body = ctx.path === '/other' ? '' : body;
  });
  const listener = createListener(app.callback(), loopback, noEvents, patient);
  const port = await listener.start();
  onTestFinished(() => listener.stop(0));
  const raw = await connectRaw(port);
  return {
    port,
    raw,
    release: held.tell,
    begun: () => begun.filter((path) => path !== '/other').length,
    /** Long enough for everything else to begin that is going to. */
    settle: async () => {
      for (let turn = 0; turn < 50; turn += 1) await send(port, { path: '/other' });
    },
  };
}

const heldGet = (line = ''): string => `GET /held HTTP/1.1\r\nHost: h\r\n${line}\r\n`;

describe('pipelined requests', () => {
  it.each([
    ['small', heldGet()],
    // Each fills a quarter of what is read at once.
    ['large', heldGet(`X: ${'x'.repeat(15_000)}\r\n`)],
    ['with bodies', heldGet('Content-Length: 3\r\n').replace('GET', 'POST') + 'abc'],
    ['with chunks', `${heldGet('Transfer-Encoding: chunked\r\n')}3\r\nabc\r\n0\r\n\r\n`],
  ])('begin one after another, even hundreds of them: %s', async (_, request) => {
    const { raw, begun, settle, release } = await startCounting();
    const count = 300;
    raw.write(request.repeat(count));
    await settle();
    expect(begun()).toBe(1);
    release();
    for (let answered = 0; answered < count; answered += 1) {
      expect((await raw.answer()).status).toBe(200);
    }
    expect(begun()).toBe(count);
    raw.destroy();
  });

  it('do not begin before the earlier answers have been read', async () => {
    const mebibyte = 'x'.repeat(1024 * 1024);
    const { port, begun, settle } = await startCounting(mebibyte);
    const socket = connect(port, '127.0.0.1').pause();
    onTestFinished(() => void socket.destroy());
    const count = 300;
    socket.write(get.repeat(count));
    await vi.waitFor(() => expect(begun()).toBeGreaterThan(0), { timeout: 60_000 });
    await settle();
    // The two sockets themselves buffer a few.
    expect(begun()).toBeLessThan(count / 3);
  });

  it('are parsed only when they begin', async () => {
    const app = new Koa();
    app.use(() => new Promise(() => {}));
    const listener = createListener(app.callback(), loopback, noEvents, patient);
    const port = await listener.start();
    onTestFinished(() => listener.stop(0));
    const parsed = vi.spyOn(ServerResponse.prototype, 'assignSocket');
    onTestFinished(() => parsed.mockRestore());
    const raw = await connectRaw(port);
    raw.write(get.repeat(1000));
    await vi.waitFor(() => expect(parsed).toHaveBeenCalled(), { timeout: 60_000 });
    expect(parsed).toHaveBeenCalledTimes(1);
    raw.destroy();
  });
});

describe('a body', () => {
  it.each([
    ['with its length', `Content-Length: 60000\r\n\r\n${'x'.repeat(60_000)}`],
    ['in small chunks', `Transfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(10_000)}`],
  ])('%s is not parsed before it is read', async (_, rest) => {
    const begun = createSignal<IncomingMessage>();
    const answer = (req: IncomingMessage): void => begun.tell(req);
    const listener = createListener(answer, loopback, noEvents, patient);
    const port = await listener.start();
    onTestFinished(() => listener.stop(0));
    const raw = await connectRaw(port);
    raw.write(`POST / HTTP/1.1\r\nHost: h\r\n${rest}`);
    const req = await begun.told;
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    expect(req.readableLength).toBeLessThanOrEqual(4096);
    let read = 0;
    req.on('data', (chunk: Buffer) => {
      read += chunk.length;
    });
    await vi.waitFor(() => expect(read).toBeGreaterThanOrEqual(10_000), { timeout: 60_000 });
    raw.destroy();
  });
});

describe('a client that closes its sending half', () => {
  it('gets all its answers, and then the end', async () => {
    const { port, release, whenBegun } = await startHeld();
    const raw = await connectRaw(port);
    raw.write('GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n');
    raw.end();
    await whenBegun(1);
    release();
    expect((await raw.answer()).body).toBe('/1');
    expect((await raw.answer()).body).toBe('/2');
    expect(await raw.closed).toBe('');
  });

  it('gets its answer over TLS', async () => {
    const { port, release, whenBegun } = await startTls();
    const socket = await connectTls(port);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.end(get);
    await whenBegun(1);
    release();
    await once(socket, 'end');
    expect(String(Buffer.concat(chunks))).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  });

  it.each([
    ['in a head', 'GET / HT'],
    ['in a body', 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx'],
  ])('is not waited for %s', async (_, request) => {
    const { port } = await startHeld();
    const raw = await connectRaw(port);
    raw.write(request);
    raw.end();
    await raw.closed;
  });
});

describe('a request that Node.js accepts', () => {
  it.each([
    [400, 'no host', 'GET / HTTP/1.1'],
    [400, 'two hosts', 'POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0'],
    [501, 'an unknown coding', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked'],
    [400, 'chunks in HTTP/1.0', 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked'],
    [505, 'another version', 'GET / HTTP/2.0\r\nHost: a'],
    [417, 'an unknown expectation', 'POST / HTTP/1.1\r\nHost: a\r\nExpect: tea'],
    [431, 'a flood of headers', `GET / HTTP/1.1\r\nHost: a${'\r\na:'.repeat(2500)}`],
  ])('is refused with %i: %s', async (status, _, head) => {
    const { port, begun } = await startHeld();
    const raw = await connectRaw(port);
    raw.write(`${head}\r\n\r\n`);
    const answer = await raw.answer();
    expect(answer).toMatchObject({
      status,
      headers: { 'content-type': 'application/problem+json', connection: 'close' },
    });
    expect(JSON.parse(answer.body)).toMatchObject({ type: 'about:blank', status });
    expect(begun()).toBe(0);
    raw.destroy();
  });

  it('is refused in its turn, and nothing after it begins', async () => {
    const { port, release, whenBegun, begun } = await startHeld();
    const raw = await connectRaw(port);
    raw.write(`${get}GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${get}`);
    await whenBegun(1);
    release();
    expect((await raw.answer()).status).toBe(200);
    expect((await raw.answer()).status).toBe(400);
    expect(await raw.closed).toBe('');
    expect(begun()).toBe(1);
  });
});

describe('stop', () => {
  it('closes idle connections at once and accepts no more', async () => {
    const { listener, port, release } = await startHeld();
    release();
    const [used, silent, half] = await connectAll(port, [get, '', 'GET / HT']);
    await used!.answer();
    await listener.stop(60_000);
    expect(await Promise.all([used!.closed, silent!.closed, half!.closed])).toEqual(['', '', '']);
    await expect(connectRaw(port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('lets open requests finish, as the last of their connections', async () => {
    const { listener, port, release, whenBegun, begun } = await startHeld();
    const [single, pipelined] = await connectAll(port, [get, get + get]);
    await whenBegun(2);
    const stopped = listener.stop(60_000);
    release();
    // The second of the two did not begin: its client sends it again elsewhere.
    const last = { status: 200, headers: { connection: 'close' } };
    expect(await single!.answer()).toMatchObject(last);
    expect(await pipelined!.answer()).toMatchObject(last);
    await stopped;
    expect(await Promise.all([single!.closed, pipelined!.closed])).toEqual(['', '']);
    expect(begun()).toBe(2);
  });

  it('waits for the rest of a refused body, but not for the client to disconnect', async () => {
    const app = new Koa();
    app.use((ctx) => {
      ctx.respond = false;
      sendAnswer(ctx.req, ctx.res, { status: 413, headers: {}, body: '' });
    });
    const listener = createListener(app.callback(), loopback, noEvents);
    const [raw] = await connectAll(await listener.start(), [
      'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n',
    ]);
    await raw!.answer();
    const stopped = listener.stop(60_000);
    raw!.write('x');
    await stopped;
    expect(await raw!.closed).toBe('');
  });

  it('cuts off what is left at the deadline', async () => {
    const { listener, port, whenBegun } = await startHeld();
    const [raw] = await connectAll(port, [get]);
    await whenBegun(1);
    await listener.stop(10);
    expect(await raw!.closed).toBe('');
  });

  it('does not wait for clients that disconnected', async () => {
    const { listener, port, whenBegun } = await startHeld();
    const raws = await connectAll(port, [get + get]);
    await whenBegun(1);
    raws[0]!.reset();
    await expect(listener.stop(60_000)).resolves.toBeUndefined();
  });

  it('may come before start', async () => {
    const { app } = createHeldApp();
    await expect(
      createListener(app.callback(), loopback, noEvents).stop(60_000),
    ).resolves.toBeUndefined();
  });
});

function createCertificate(): { cert: string; key: Secret } {
  const directory = mkdtempSync(join(tmpdir(), 'listener-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const options = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -batch';
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const files = ['-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', ...options.split(' '), ...names, ...files], { stdio: 'pipe' });
  return { cert: readFileSync(cert, 'utf8'), key: new Secret(readFileSync(key, 'utf8')) };
}

async function startTls(limits: Partial<ClientLimits> = {}) {
  const held = createHeldApp();
  const tls = createCertificate();
  const listener = createListener(held.app.callback(), { ...loopback, tls }, noEvents, {
    ...patient,
    ...limits,
  });
  const port = await listener.start();
  onTestFinished(() => listener.stop(0));
  return { ...held, listener, port, ca: tls.cert };
}

async function connectTls(
  port: number,
  session?: Buffer,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = connectOverTls({
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    ...(session === undefined ? {} : { session }),
    ...options,
  });
  onTestFinished(() => void socket.destroy());
  await once(socket, 'secureConnect');
  return socket.on('error', () => {});
}

describe('TLS', () => {
  it('answers over HTTPS', async () => {
    const { port, ca, release } = await startTls();
    release();
    const status = await new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port, ca, servername: 'localhost', agent: false };
      https.get(options, (res) => resolve(res.resume().statusCode)).on('error', reject);
    });
    expect(status).toBe(200);
  });

  it('uses a renewed certificate for new connections, and keeps the open ones', async () => {
    const { port, listener, release } = await startTls();
    release();
    const before = await connectTls(port);
    const old = before.getPeerX509Certificate()?.fingerprint256;
    const renewed = createCertificate();
    listener.renewCertificate(renewed);
    const after = await connectTls(port);
    expect(after.getPeerX509Certificate()?.fingerprint256).toBe(
      new X509Certificate(renewed.cert).fingerprint256,
    );
    expect(after.getPeerX509Certificate()?.fingerprint256).not.toBe(old);
    before.write(get);
    expect(String(await once(before, 'data'))).toMatch(/^HTTP\/1.1 200 /);
    const resumed = await connectTls(port, before.getSession());
    expect(resumed.getPeerX509Certificate()?.fingerprint256).not.toBe(old);
  });

  it('counts a connection once, during the handshake and after it', async () => {
    const { port, release } = await startTls({ connections: 2 });
    release();
    const silent = await connectRaw(port);
    const first = await connectTls(port);
    const closed = once(first, 'close');
    first.write(get);
    expect(String(await once(first, 'data'))).toMatch(/^HTTP\/1.1 200 /);
    const second = await connectTls(port);
    expect(await silent.closed).toBe('');
    expect(first.destroyed).toBe(false);
    const third = await connectTls(port);
    third.write(get);
    expect(String(await once(third, 'data'))).toMatch(/^HTTP\/1.1 200 /);
    await closed;
    expect(second.destroyed).toBe(false);
  });

  it.each(['TLSv1', 'TLSv1.1'] as const)('does not speak %s', async (version) => {
    const { port } = await startTls();
    const options = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
    await expect(connectTls(port, undefined, options)).rejects.toThrow(/alert|protocol/);
  });

  it('closes plain HTTP connections, and stops even during a handshake', async () => {
    const { port, listener } = await startTls();
    const plain = await connectRaw(port);
    const silent = await connectRaw(port);
    plain.write(get);
    expect(await plain.closed).not.toContain('HTTP');
    await listener.stop(60_000);
    await silent.closed;
  });
});
