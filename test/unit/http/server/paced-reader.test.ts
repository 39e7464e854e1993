import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { createTurns, PacedReader, type Rank } from '../../../../src/http/server/paced-reader.ts';

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('runs all that is for messages first, and at least the oldest task of the other ranks', async () => {
  const ran: string[] = [];
  const turns = createTurns(0);
  const add = (name: string, rank: Rank): void => turns.add(() => void ran.push(name), rank);
  for (const rank of ['other', 'chunks', 'message'] as const) {
    add(`${rank} 1`, rank);
    add(`${rank} 2`, rank);
  }
  expect(ran).toEqual([]);
  await nextTurn();
  expect(ran).toEqual(['message 1', 'message 2', 'chunks 1', 'other 1']);
  add('message 3', 'message');
  await nextTurn();
  expect(ran.slice(4)).toEqual(['message 3', 'chunks 2', 'other 2']);
});

it('runs one message in a short turn, and the rest after it in their order', async () => {
  const ran: string[] = [];
  const turns = createTurns(0);
  const add = (name: string): void => turns.add(() => void ran.push(name), 'message');
  turns.add(() => {
    ran.push('first');
    add('last');
  }, 'message');
  add('second');
  turns.shorten();
  await nextTurn();
  expect(ran).toEqual(['first']);
  await nextTurn();
  expect(ran).toEqual(['first', 'second', 'last']);
});

it('runs many in one turn, as long as they take no time', async () => {
  let ran = 0;
  const turns = createTurns(10_000);
  for (let count = 0; count < 100; count += 1) turns.add(() => (ran += 1), 'other');
  await nextTurn();
  expect(ran).toBe(100);
});

it('runs what a task adds in a later turn', async () => {
  const ran: string[] = [];
  const turns = createTurns();
  turns.add(() => {
    turns.add(() => void ran.push('inner'), 'message');
    ran.push('outer');
  }, 'message');
  await nextTurn();
  expect(ran).toEqual(['outer']);
  await nextTurn();
  expect(ran).toEqual(['outer', 'inner']);
});

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
