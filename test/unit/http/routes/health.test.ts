import { describe, expect, it } from 'vitest';
import { send } from '../../../support/clients/http.ts';
import { startTestGateway } from '../test-gateway.ts';

const down = () => ({ ready: false, reason: 'The XMPP server refuses the secret.' }) as const;

const degraded = () => ({ ready: true, domains: {}, degraded: 'No store.' }) as const;

describe.each([
  { path: '/livez', overrides: {}, status: 200, body: { status: 'alive' } },
  { path: '/livez', overrides: { readiness: down }, status: 200, body: { status: 'alive' } },
  { path: '/readyz', overrides: {}, status: 200, body: { status: 'ready', domains: {} } },
  {
    path: '/readyz',
    overrides: { readiness: degraded },
    status: 200,
    body: { status: 'ready', degraded: 'No store.', domains: {} },
  },
  {
    path: '/readyz',
    overrides: { readiness: down },
    status: 503,
    body: { status: 'unavailable', reason: 'The XMPP server refuses the secret.' },
  },
])('$path → $status', ({ path, overrides, status, body }) => {
  it('answers GET and HEAD', async () => {
    const { port } = await startTestGateway(overrides);
    const answer = await send(port, { path: `${path}?x=1` });
    expect(answer).toMatchObject({ status, headers: { 'cache-control': 'no-store' } });
    expect(answer.headers['content-type']).toMatch(/^application\/json/);
    expect(JSON.parse(answer.body)).toEqual(body);
    const head = await send(port, { path, method: 'HEAD' });
    expect(head).toMatchObject({ status, body: '' });
    expect(head.headers['content-length']).toBe(answer.headers['content-length']);
  });

  it.each(['POST', 'PUT', 'OPTIONS', 'DELETE', 'PROPFIND'])('has no %s', async (method) => {
    const { port } = await startTestGateway(overrides);
    const answer = await send(port, { path, method, body: 'x' });
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
  });

  it('is an exact path', async () => {
    const { port } = await startTestGateway(overrides);
    for (const other of [`${path}/`, path.toUpperCase(), `/${path}`, `${path}/x`]) {
      expect((await send(port, { path: other })).status).toBe(404);
    }
  });
});
