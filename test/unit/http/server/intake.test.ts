import type { ServerResponse } from 'node:http';
import { expect, it, vi } from 'vitest';
import { createIntake } from '../../../../src/http/server/intake.ts';
import { connectRaw, type RawConnection } from '../../../support/clients/http-connection.ts';
import { serve } from '../serve.ts';

const get = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const half = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n';

/** A server that answers nothing by itself. */
async function startIntake(maxHeldBytes: number) {
  const begun: ServerResponse[] = [];
  let givenUp = 0;
  const { server, port } = await serve(() => {});
  const intake = createIntake(server, () => (givenUp += 1), maxHeldBytes);
  server.on('request', (_req, res) => intake.add(res, () => void begun.push(res)));
  return {
    begun,
    givenUp: () => givenUp,
    /** Sends a request that begins, and that many bytes that are held after its head. */
    hold: async (head: string, bytes: number): Promise<RawConnection> => {
      const before = begun.length;
      const raw = await connectRaw(port);
      raw.write(head + 'x'.repeat(bytes));
      await vi.waitUntil(() => begun.length > before, { timeout: 60_000 });
      return raw;
    },
  };
}

it('gives up requests sent in advance, least recently active first, after the current answer', async () => {
  const { begun, givenUp, hold } = await startIntake(50_000);
  const within = await hold(half, 20_000);
  const first = await hold(get, 20_000);
  expect(givenUp()).toBe(0);
  const second = await hold(get, 20_000);
  await vi.waitUntil(() => givenUp() === 1, { timeout: 60_000 });
  begun[1]?.end('x');
  expect(await first.answer()).toMatchObject({ status: 200, headers: { connection: 'close' } });
  expect(await first.closed).toBe('');
  expect([within, second].map(({ isClosed }) => isClosed())).toEqual([false, false]);
  for (const raw of [within, second]) raw.destroy();
});

it('gives up a request with a held body only if nothing else is left', async () => {
  const { givenUp, hold } = await startIntake(50_000);
  const raws = [await hold(half, 20_000), await hold(half, 20_000), await hold(half, 20_000)];
  expect(await raws[0]?.closed).toBe('');
  expect(givenUp()).toBe(1);
  expect(raws.slice(1).map(({ isClosed }) => isClosed())).toEqual([false, false]);
  for (const raw of raws) raw.destroy();
});

it('never gives up a connection that holds little', async () => {
  const { givenUp, hold } = await startIntake(10_000);
  const raws = [await hold(half, 8000), await hold(half, 8000), await hold(get, 8000)];
  expect(raws.map(({ isClosed }) => isClosed())).toEqual([false, false, false]);
  expect(givenUp()).toBe(0);
  for (const raw of raws) raw.destroy();
});
