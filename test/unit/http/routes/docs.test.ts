import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { problems } from '../../../../src/core/errors.ts';
import { docsFiles, readDocs } from '../../../../src/http/routes/docs.ts';
import { send } from '../../../support/clients/http.ts';
import { createDirectory, removeDirectory } from '../../../support/system/processes.ts';
import { startTestGateway, type TestGateway } from '../test-gateway.ts';

const docs = new Map(
  Object.entries(docsFiles).map(([name, contentType]) => [
    name,
    { contentType, bytes: Buffer.from(`${name} ü`), etag: `"${name}"` },
  ]),
);

function start(): Promise<TestGateway> {
  return startTestGateway({ docs });
}

it('is the page', async () => {
  const { port } = await start();
  const answer = await send(port, { path: '/docs' });
  expect(answer).toMatchObject({
    status: 200,
    body: 'page.html ü',
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-length': '12',
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-cache',
      etag: '"page.html"',
    },
  });
  const head = await send(port, { path: '/docs', method: 'HEAD' });
  expect(head).toMatchObject({ status: 200, body: '', headers: { 'content-length': '12' } });
});

it.each(Object.entries(docsFiles))('has the file %s', async (name, type) => {
  const { port } = await start();
  const path = `/docs/${name}`;
  const answer = await send(port, { path });
  expect(answer).toMatchObject({
    status: 200,
    body: `${name} ü`,
    headers: { 'content-type': type, 'x-content-type-options': 'nosniff' },
  });
  const etag = String(answer.headers.etag);
  const again = await send(port, { path, headers: { 'If-None-Match': etag } });
  expect(again).toMatchObject({ status: 304, body: '', headers: { etag } });
  const changed = await send(port, { path, headers: { 'If-None-Match': '"other"' } });
  expect(changed.status).toBe(200);
});

it.each([
  '/docs/',
  '/docs/x',
  '/docs/page.html/',
  '/Docs',
  '/docs/..',
  '/docs/%2e%2e%2fmain.js',
  '/docs/constructor',
])('has no %s', async (path) => {
  const { port } = await start();
  expect((await send(port, { path })).status).toBe(404);
});

it('is missing if it is switched off, but openapi.json is not', async () => {
  const { port } = await startTestGateway();
  for (const path of ['/docs', '/docs/page.js']) {
    expect((await send(port, { path })).status).toBe(404);
  }
  expect((await send(port, { path: '/openapi.json' })).status).toBe(200);
});

it.each([
  [docs, '/docs explains the API, /openapi.json describes it'],
  [undefined, '/openapi.json describes it'],
])('is what the answer to / points to, if it is there', async (files, expected) => {
  const { port } = await startTestGateway({ docs: files });
  const { status, body } = await send(port, { path: '/' });
  expect(status).toBe(404);
  expect(JSON.parse(body)).toMatchObject({
    code: 'not-found',
    detail: expect.stringContaining(`/<username>. ${expected}`),
  });
});

describe('/', () => {
  const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';

  it.each(['GET', 'HEAD'])('leads a browser to the page (%s)', async (method) => {
    const { port } = await start();
    const answer = await send(port, { path: '/', method, headers: { accept } });
    expect(answer).toMatchObject({
      status: 303,
      body: '',
      headers: { location: 'docs', vary: 'Accept' },
    });
  });

  it.each([
    ['POST', accept],
    ['GET', '*/*'],
    ['GET', 'application/json'],
    ['GET', undefined],
    ['GET', `${accept}${', text/html'.repeat(100)}`],
  ])('stays a problem for %s with Accept: %s', async (method, type) => {
    const { port } = await start();
    const headers = type === undefined ? {} : { accept: type };
    expect((await send(port, { path: '/', method, headers })).status).toBe(404);
  });

  it('stays a problem if the page is switched off', async () => {
    const { port } = await startTestGateway();
    expect((await send(port, { path: '/', headers: { accept } })).status).toBe(404);
  });
});

it('reads every file, fills in the limits, and tags it by its content', () => {
  const directory = createDirectory('docs');
  for (const name of Object.keys(docsFiles)) writeFileSync(join(directory, name), `${name} ü`);
  writeFileSync(join(directory, 'other.js'), '');
  writeFileSync(join(directory, 'page.html'), 'at most {{bodyBytes}} bytes ü');
  const found = readDocs(directory, { bodyBytes: 10 }, ['example.org']);
  expect([...found.keys()]).toEqual(Object.keys(docsFiles));
  expect(found.get('page.js')?.bytes.toString()).toBe('page.js ü');
  expect(found.get('page.html')?.bytes.toString()).toBe('at most 10 bytes ü');
  const tags = [...found.values()].map(({ etag }) => etag);
  expect(new Set(tags).size).toBe(tags.length);
  for (const tag of tags) expect(tag).toMatch(/^"[\w-]{43}"$/);
  rmSync(join(directory, 'examples.js'));
  expect(() => readDocs(directory, {}, [])).toThrow('examples.js');
  removeDirectory(directory);
});

it.each(Object.entries(problems))('explains %s', async (code, { title, retry }) => {
  const { port } = await startTestGateway();
  const answer = await send(port, { path: `/problems/${code}` });
  expect(answer).toMatchObject({
    status: 200,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  });
  for (const part of [code, title, retry]) expect(answer.body).toContain(part);
  const head = await send(port, { path: `/problems/${code}`, method: 'HEAD' });
  expect(head).toMatchObject({ status: 200, body: '' });
  const other = await send(port, { path: `/problems/${code}`, method: 'POST' });
  expect(other).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
});

it('explains the causes, and every condition of a bounce', async () => {
  const { port } = await startTestGateway();
  const bounced = (await send(port, { path: '/problems/bounced' })).body;
  expect(bounced).toContain('\nregistration-required (403): RECIPIENT is for members only: ');
  for (const [code, { causes }] of Object.entries(problems)) {
    expect((await send(port, { path: `/problems/${code}` })).body).toContain(causes);
  }
});

it.each(['', 'no-such-code', 'bounced/', 'Bounced', 'constructor', '__proto__', '%62ounced'])(
  'knows no %j, with any method',
  async (code) => {
    const { port } = await startTestGateway();
    for (const method of ['GET', 'POST']) {
      expect((await send(port, { path: `/problems/${code}`, method })).status).toBe(404);
    }
  },
);
