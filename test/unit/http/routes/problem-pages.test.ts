import { expect, it } from 'vitest';
import { problems } from '../../../../src/core/errors.ts';
import { send } from '../http-client.ts';
import { startTestGateway } from '../test-gateway.ts';

it.each(Object.entries(problems))('explains %s', async (code, { title, retry }) => {
  const { port } = await startTestGateway();
  const answer = await send(port, { path: `/problems/${code}` });
  expect(answer).toMatchObject({
    status: 200,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  });
  for (const part of [code, title, retry]) expect(answer.text).toContain(part);
  const head = await send(port, { path: `/problems/${code}`, method: 'HEAD' });
  expect(head).toMatchObject({ status: 200, text: '' });
  const other = await send(port, { path: `/problems/${code}`, method: 'POST' });
  expect(other).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
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
