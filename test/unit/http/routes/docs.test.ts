import { expect, it } from 'vitest';
import { docsFiles } from '../../../../src/http/routes/docs-files.ts';
import { send } from '../http-client.ts';
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
    text: 'page.html ü',
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-length': '12',
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-cache',
      etag: '"page.html"',
    },
  });
  const head = await send(port, { path: '/docs', method: 'HEAD' });
  expect(head).toMatchObject({ status: 200, text: '', headers: { 'content-length': '12' } });
});

it.each(Object.entries(docsFiles))('has the file %s', async (name, type) => {
  const { port } = await start();
  const path = `/docs/${name}`;
  const answer = await send(port, { path });
  expect(answer).toMatchObject({
    status: 200,
    text: `${name} ü`,
    headers: { 'content-type': type, 'x-content-type-options': 'nosniff' },
  });
  const etag = String(answer.headers.etag);
  const again = await send(port, { path, headers: { 'If-None-Match': etag } });
  expect(again).toMatchObject({ status: 304, text: '', headers: { etag } });
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

it('is not there when it is switched off; openapi.json is', async () => {
  const { port } = await startTestGateway();
  for (const path of ['/docs', '/docs/page.js']) {
    expect((await send(port, { path })).status).toBe(404);
  }
  expect((await send(port, { path: '/openapi.json' })).status).toBe(200);
});
