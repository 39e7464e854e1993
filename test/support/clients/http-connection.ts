import { connect, type Socket } from 'node:net';

/** An answer read off the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Status line and header fields. */
  readonly head: string;
  readonly body: string;
}

/** One keep-alive connection, for requests as they are: nothing is checked or added. */
export interface HttpConnection {
  /**
   * Writes one request and reads its answer (of HEAD, the head only); rejects when the connection
   * ends before, or after `timeoutMs`. One at a time; reconnects where the peer has closed.
   */
  exchange(request: Buffer, timeoutMs: number): Promise<RawAnswer>;
  destroy(): void;
}

interface Exchange {
  readonly isHead: boolean;
  readonly resolve: (answer: RawAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** The answer at the beginning of what was received, 1xx left out; undefined while incomplete. */
function readAnswer(received: Buffer, isHead: boolean): RawAnswer | undefined {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const head = received.toString('latin1', 0, end);
  const rest = received.subarray(end + 4);
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
  if (Number.isNaN(status)) throw new Error(`expected a status line, got ${head}`);
  if (status < 200) return readAnswer(rest, isHead);
  // Only Node itself answers so, and then without a body.
  const isChunked = /^transfer-encoding: *chunked/im.test(head);
  const fixed = isChunked ? 5 : Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0);
  const length = isHead ? 0 : fixed;
  if (rest.length < length) return undefined;
  // A request that cannot be parsed gets a body even where its method was HEAD.
  const isWhole = rest.length === length || (isHead && /^connection: *close/im.test(head));
  if (!isWhole) throw new Error(`expected one answer, got more: ${rest.toString()}`);
  return { status, head, body: isChunked ? '' : rest.toString('utf8') };
}

/** Connects at the first exchange. */
export function createHttpConnection(port: number): HttpConnection {
  let socket: Socket | undefined;
  let received: Buffer = Buffer.alloc(0);
  let current: Exchange | undefined;

  const settle = (settleIt: (exchange: Exchange) => void): void => {
    const exchange = current;
    current = undefined;
    received = Buffer.alloc(0);
    if (exchange !== undefined) settleIt(exchange);
  };
  const fail = (error: Error): void => settle(({ reject }) => reject(error));

  const onData = (chunk: Buffer): void => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    try {
      const answer = readAnswer(received, current?.isHead ?? false);
      if (answer === undefined) return;
      // Not to be used again: its end is on the way.
      if (/^connection: *close/im.test(answer.head)) socket = undefined;
      settle(({ resolve }) => resolve(answer));
    } catch (error) {
      fail(error as Error);
    }
  };

  const open = (): Socket => {
    const opened = connect(port, '127.0.0.1').setNoDelay(true);
    let failure = new Error('the connection was closed');
    opened.on('data', onData);
    opened.on('error', (error) => {
      failure = error;
    });
    opened.once('close', () => {
      if (socket !== opened) return;
      socket = undefined;
      fail(failure);
    });
    return opened;
  };

  return {
    exchange: (request, timeoutMs) =>
      new Promise((resolve, reject) => {
        const deadline = setTimeout(() => {
          const stuck = socket;
          fail(new Error(`no answer within ${timeoutMs} ms`));
          stuck?.destroy();
        }, timeoutMs);
        current = {
          isHead: request.subarray(0, 5).toString('latin1') === 'HEAD ',
          resolve: (answer) => {
            clearTimeout(deadline);
            resolve(answer);
          },
          reject: (error) => {
            clearTimeout(deadline);
            reject(error);
          },
        };
        socket ??= open();
        socket.write(request);
      }),
    destroy: () => void socket?.destroy(),
  };
}
