import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Koa from 'koa';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import { createListener, type ListenerOptions } from '../../../src/http/listener.ts';
import { sendRefusal } from '../../../src/http/refusal.ts';
import { connectRaw, type RawConnection, send } from './http-client.ts';
import { createSignal, type Signal } from './signal.ts';

const loopback: ListenerOptions = { host: '127.0.0.1', port: 0, tls: undefined };
const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

/** An app whose answers wait until `release` is called. */
function createHeldApp() {
  const released = createSignal();
  const begun: Signal<void>[] = [];
  const nthBegun = (index: number): Signal<void> => (begun[index] ??= createSignal());
  let count = 0;
  const app = new Koa();
  app.use(async (ctx) => {
    count += 1;
    nthBegun(count).tell();
    await released.told;
    ctx.body = ctx.path;
  });
  return { app, release: released.tell, whenBegun: (requests: number) => nthBegun(requests).told };
}

async function startHeld() {
  const held = createHeldApp();
  const listener = createListener(held.app, loopback);
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

describe('createListener', () => {
  it('refuses a port that is taken', async () => {
    const { port, app } = await startHeld();
    const second = createListener(app, { ...loopback, port });
    await expect(second.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it('answers pipelined requests in their order', async () => {
    const { port, release, whenBegun } = await startHeld();
    const raw = await connectRaw(port);
    raw.write('GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n');
    await whenBegun(2);
    release();
    expect((await raw.answer()).text).toBe('/1');
    expect((await raw.answer()).text).toBe('/2');
    raw.destroy();
  });

  it('answers what came before garbage, then closes', async () => {
    const { port, release, whenBegun } = await startHeld();
    const raw = await connectRaw(port);
    raw.write(
      'GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\ngarbage\r\n\r\n',
    );
    await whenBegun(2);
    raw.write('more garbage\r\n\r\n');
    release();
    expect(await raw.answer()).toMatchObject({ status: 200, text: '/1' });
    expect(await raw.answer()).toMatchObject({ status: 200, text: '/2' });
    expect(await raw.closed).toBe('');
  });

  it('answers CONNECT', async () => {
    const { port } = await startHeld();
    const raw = await connectRaw(port);
    raw.write('CONNECT example.org:5222 HTTP/1.1\r\nHost: example.org:5222\r\n\r\n');
    expect(await raw.answer()).toMatchObject({ status: 404, headers: { connection: 'close' } });
    await raw.closed;
  });

  it('ignores an Upgrade', async () => {
    const { port, release } = await startHeld();
    release();
    const headers = { Connection: 'Upgrade', Upgrade: 'h2c' };
    expect(await send(port, { path: '/x', headers })).toMatchObject({ status: 200, text: '/x' });
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

  it('lets what is in flight finish, as the last of its connection', async () => {
    const { listener, port, release, whenBegun } = await startHeld();
    const [single, pipelined] = await connectAll(port, [get, get + get]);
    await whenBegun(3);
    const stopped = listener.stop(60_000);
    release();
    const last = { status: 200, headers: { connection: 'close' } };
    expect(await single!.answer()).toMatchObject(last);
    expect(await pipelined!.answer()).toMatchObject({ status: 200 });
    expect(await pipelined!.answer()).toMatchObject(last);
    await stopped;
    expect(await Promise.all([single!.closed, pipelined!.closed])).toEqual(['', '']);
  });

  it('waits for the rest of a body that was refused, not for the client to leave', async () => {
    const app = new Koa();
    app.use((ctx) => {
      ctx.respond = false;
      sendRefusal(ctx.req, ctx.res, 413, {}, '');
    });
    const listener = createListener(app, loopback);
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

  it('does not wait for clients that went away', async () => {
    const { listener, port, whenBegun } = await startHeld();
    const raws = await connectAll(port, [get + get]);
    await whenBegun(2);
    raws[0]!.destroy();
    await expect(listener.stop(60_000)).resolves.toBeUndefined();
  });

  it('may come before start', async () => {
    const { app } = createHeldApp();
    await expect(createListener(app, loopback).stop(60_000)).resolves.toBeUndefined();
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

async function startTls() {
  const held = createHeldApp();
  const tls = createCertificate();
  const listener = createListener(held.app, { ...loopback, tls });
  const port = await listener.start();
  onTestFinished(() => listener.stop(0));
  return { ...held, listener, port, ca: tls.cert };
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

  it('closes on plain HTTP, and stops though a handshake is under way', async () => {
    const { port, listener } = await startTls();
    const plain = await connectRaw(port);
    const silent = await connectRaw(port);
    plain.write(get);
    expect(await plain.closed).not.toContain('HTTP');
    await listener.stop(60_000);
    await silent.closed;
  });
});
