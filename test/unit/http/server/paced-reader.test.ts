import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { PacedReader } from '../../../../src/http/server/paced-reader.ts';
import { createTurns } from '../../../../src/http/server/turns.ts';

/** Sends bytes to a server whose requests are begun by a PacedReader; resolves with what it answers. */
async function exchange(
  sent: string,
  begin: (req: IncomingMessage, res: ServerResponse) => unknown,
): Promise<string> {
  const turns = createTurns();
  const readers = new WeakMap<object, PacedReader>();
  const server = createServer((req, res) =>
    readers.get(req.socket)?.add(res, () => begin(req, res)),
  );
  server.on('connection', (socket) =>
    readers.set(socket, new PacedReader(socket, turns, () => undefined)),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const socket = connect({ port, host: '127.0.0.1' });
  socket.end(sent);
  let received = '';
  for await (const chunk of socket) received += String(chunk);
  server.close();
  return received;
}

it('reads few of the chunks of a body per turn', async () => {
  let inTurn = 0;
  let most = 0;
  let all = 0;
  const chunks = '1\r\n.\r\n'.repeat(20_000);
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  await exchange(`${head}${chunks}0\r\n\r\n`, (req, res) => {
    req.on('data', () => {
      if (inTurn === 0) setImmediate(() => (inTurn = 0));
      inTurn += 1;
      all += 1;
      most = Math.max(most, inTurn);
    });
    req.on('end', () => res.end());
  });
  expect(all).toBe(20_000);
  expect(most).toBeLessThan(1000);
});

it('begins the request after one with a body that asks for another protocol', async () => {
  const bodies: string[] = [];
  const post = (body: string, header: string): string =>
    `POST / HTTP/1.1\r\nHost: a\r\n${header}Content-Length: ${body.length}\r\n\r\n${body}`;
  const upgrade = 'Connection: Upgrade\r\nUpgrade: h2c\r\n';
  const received = await exchange(post('first', upgrade) + post('second', ''), async (req, res) => {
    let body = '';
    for await (const chunk of req) body += String(chunk);
    bodies.push(body);
    res.end();
  });
  expect(bodies).toEqual(['first', 'second']);
  expect(received.match(/HTTP\/1.1 200/g)).toHaveLength(2);
});
