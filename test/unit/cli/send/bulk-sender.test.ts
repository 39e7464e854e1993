import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type BulkPorts, BulkSender } from '../../../../src/cli/send/bulk-sender.ts';
import { PostFailure } from '../../../../src/cli/send/failure.ts';
import type { BulkPostEvents } from '../../../../src/cli/send/post.ts';
import type { BulkRecord } from '../../../../src/cli/send/records.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A request to which the test gives the answers. */
class FakePost {
  readonly #events: BulkPostEvents;
  readonly lines: string[] = [];
  hasRoom = true;
  isEnded = false;
  destroyed: string | undefined;

  constructor(events: BulkPostEvents) {
    this.#events = events;
    queueMicrotask(() => events.onRoom());
  }

  write(line: Buffer): void {
    this.lines.push(line.toString('utf8'));
  }

  end(): void {
    this.isEnded = true;
  }

  destroy(reason: string): void {
    this.destroyed = reason;
    this.#events.onClose(new PostFailure(new Error(reason), 'http:', true));
  }

  fail(end: PostFailure): void {
    this.#events.onClose(end);
  }

  answer(line: number): void {
    this.#events.onLine(JSON.stringify({ line, status: 200, id: 'm' }));
  }

  close(): void {
    this.#events.onLine('{"lines": 1, "accepted": 1, "refused": 0}');
    this.#events.onClose(undefined);
  }
}

async function* makeRecords(count: number): AsyncGenerator<BulkRecord> {
  for (let line = 1; line <= count; line += 1) {
    const bytes = Buffer.from(`${line}\n`);
    yield { line, source: bytes, message: bytes };
  }
}

function open(react: (post: FakePost) => void = () => undefined) {
  const posts: FakePost[] = [];
  const settled: number[] = [];
  const said: string[] = [];
  const ports: BulkPorts = {
    connect: (events) => {
      const post = new FakePost(events);
      posts.push(post);
      react(post);
      return post;
    },
    timeoutMs: 60_000,
    onSettled: ({ line }) => void settled.push(line),
    onProgress: () => undefined,
    say: (line) => void said.push(line),
  };
  return { sender: new BulkSender(ports, 0), posts, settled, said };
}

test('keeps no more than 2048 messages without an answer', async () => {
  const { sender, posts, settled } = open();
  const sending = sender.send(makeRecords(3000));
  await vi.advanceTimersByTimeAsync(100);
  expect(posts[0]?.lines).toHaveLength(2048);
  for (let line = 1; line <= 10; line += 1) posts[0]?.answer(line);
  await vi.advanceTimersByTimeAsync(100);
  expect(posts[0]?.lines).toHaveLength(2058);
  for (let line = 11; line <= 3000; line += 1) {
    posts[0]?.answer(line);
    await vi.advanceTimersByTimeAsync(0);
  }
  expect(posts.map(({ isEnded }) => isEnded)).toEqual([true]);
  posts[0]?.close();
  expect(await sending).toMatchObject({ accepted: 3000, refused: 0, stop: undefined });
  expect(settled).toHaveLength(3000);
});

test('a proxy that holds requests back until they end gets short ones', async () => {
  const { sender, posts } = open();
  const sending = sender.send(makeRecords(5000));
  const answerEnded = (): void => {
    for (const post of posts.filter(({ isEnded, hasRoom }) => isEnded && hasRoom)) {
      post.hasRoom = false;
      for (const index of post.lines.keys()) post.answer(index + 1);
      post.close();
    }
  };
  await vi.advanceTimersByTimeAsync(4900);
  expect(posts.map(({ isEnded }) => isEnded)).toEqual([false]);
  await vi.advanceTimersByTimeAsync(200);
  expect(posts.map(({ isEnded }) => isEnded)).toEqual([true]);
  for (let tick = 0; tick < 10; tick += 1) {
    answerEnded();
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(await sending).toMatchObject({ accepted: 5000, stop: undefined });
  expect(posts).toHaveLength(3);
});

test('a connection on which nothing comes is given up, and tried again once', async () => {
  const { sender, posts, said } = open();
  const sending = sender.send(makeRecords(3));
  await vi.advanceTimersByTimeAsync(46_000);
  expect(posts[0]?.destroyed).toBe('none within 45 s');
  expect(said).toEqual(['no answer: none within 45 s', 'Trying again in 1 s.']);
  await vi.advanceTimersByTimeAsync(100);
  expect(posts[1]?.lines).toEqual(posts[0]?.lines);
  await vi.advanceTimersByTimeAsync(46_000);
  expect(await sending).toMatchObject({
    accepted: 0,
    doneTo: 0,
    stop: { outcome: 'unknown', reasons: ['no answer: none within 45 s'] },
  });
});

test('a message that waits for a receipt has its time', async () => {
  const { sender, posts } = open();
  const [line, bytes] = [1, Buffer.from('1\n')];
  async function* records(): AsyncGenerator<BulkRecord> {
    yield { line, source: bytes, message: bytes, waitMs: 60_000 };
  }
  const sending = sender.send(records());
  await vi.advanceTimersByTimeAsync(104_000);
  expect(posts.map(({ destroyed }) => destroyed)).toEqual([undefined]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(posts[0]?.destroyed).toBe('none within 105 s');
  posts[1]?.answer(1);
  posts[1]?.close();
  expect(await sending).toMatchObject({ accepted: 1 });
});

test('an interruption waits for what was sent, and not for what is to be sent again', async () => {
  const { sender, posts } = open();
  const sending = sender.send(makeRecords(5000));
  await vi.advanceTimersByTimeAsync(100);
  sender.stop({ outcome: 'interrupted', reasons: [] });
  for (let line = 1; line <= 2048; line += 1) posts[0]?.answer(line);
  expect(posts[0]).toMatchObject({ isEnded: true });
  posts[0]?.close();
  expect(await sending).toMatchObject({
    accepted: 2048,
    doneTo: 2048,
    stop: { outcome: 'interrupted' },
  });
});

test('stops at once when TLS has to be corrected', async () => {
  const { sender, posts, said } = open();
  const sending = sender.send(makeRecords(3));
  await vi.advanceTimersByTimeAsync(100);
  const cause = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' });
  posts[0]?.fail(new PostFailure(cause, 'https:', false));
  const reason =
    'no answer: the certificate of the gateway is not trusted: certificate has expired: its operator has to renew it';
  expect(await sending).toMatchObject({
    accepted: 0,
    doneTo: 0,
    stop: { outcome: 'wrong-usage', reasons: [reason] },
  });
  expect([posts.length, said]).toEqual([1, []]);
});
