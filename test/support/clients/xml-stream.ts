import type { Socket } from 'node:net';
import { hangMs } from '../system/wait.ts';
import { createStreamParser, type Stanza } from './stanza.ts';

/** Whether it is the stanza that a caller waits for. */
export type Predicate = (stanza: Stanza) => boolean;

/** One XMPP stream over one socket, which keeps everything received. */
export interface XmlStream {
  readonly received: Stanza[];
  readonly send: (xml: string) => void;
  /** Searches what was received, then waits for more; rejects when the stream ends. */
  readonly waitFor: (predicate: Predicate, label?: string, timeoutMs?: number) => Promise<Stanza>;
  /** Sends a stream header and waits for the peer's; empties `received`. */
  readonly open: (header: string) => Promise<Readonly<Record<string, string>>>;
  /** Continues on another socket (after STARTTLS). */
  readonly replaceSocket: (socket: Socket) => void;
  /** Closes the stream and waits for the peer to close the connection. */
  readonly close: () => Promise<void>;
  readonly destroy: () => void;
}

interface Waiter {
  offer(stanza: Stanza): void;
  fail(error: Error): void;
}

function summary(received: readonly Stanza[]): string {
  const last = received.slice(-5).map(({ xml }) => `\n  ${xml.slice(0, 300)}`);
  return `${received.length} received before${last.length > 0 ? `, the last:${last.join('')}` : ''}`;
}

function neverOpened(text: string): void {
  throw new Error(`bytes before the stream was opened: ${text}`);
}

/** Wraps a connected socket; error messages contain `name`. */
export function createXmlStream(name: string, firstSocket: Socket): XmlStream {
  const received: Stanza[] = [];
  const waiters = new Set<Waiter>();
  let socket = firstSocket;
  let ended: Error | undefined;
  let parse: ReturnType<typeof createStreamParser> = neverOpened;

  const end = (error: Error): void => {
    ended ??= error;
    for (const waiter of waiters) waiter.fail(ended);
    socket.destroy();
  };
  const onStanza = (stanza: Stanza): void => {
    received.push(stanza);
    for (const waiter of waiters) waiter.offer(stanza);
  };
  const onData = (chunk: string): void => {
    try {
      parse(chunk);
    } catch (error) {
      end(new Error(`${name}: ill-formed XML from the server: ${String(error)} in ${chunk}`));
    }
  };
  const onError = (error: Error): void => end(new Error(`${name}: ${error.message}`));
  const onClose = (): void => end(new Error(`${name}: the server closed the connection`));
  const attach = (): void => {
    socket.setEncoding('utf8').setNoDelay(true);
    socket.on('data', onData).on('error', onError).on('close', onClose);
  };
  attach();

  const waitFor: XmlStream['waitFor'] = (predicate, label = 'a stanza', timeoutMs = hangMs) =>
    new Promise((resolve, reject) => {
      const past = received.find(predicate);
      if (past !== undefined) return resolve(past);
      if (ended !== undefined) return reject(ended);
      const settle = (): void => {
        clearTimeout(deadline);
        waiters.delete(waiter);
      };
      const waiter: Waiter = {
        offer: (stanza) => {
          if (!predicate(stanza)) return;
          settle();
          resolve(stanza);
        },
        fail: (error) => {
          settle();
          reject(new Error(`${error.message} while waiting for ${label}; ${summary(received)}`));
        },
      };
      const deadline = setTimeout(
        () => waiter.fail(new Error(`${name}: nothing within ${timeoutMs} ms`)),
        timeoutMs,
      );
      waiters.add(waiter);
    });

  const open: XmlStream['open'] = (header) => {
    received.length = 0;
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => {
        clearTimeout(deadline);
        waiters.delete(waiter);
        reject(error);
      };
      const waiter: Waiter = { offer: () => undefined, fail };
      const deadline = setTimeout(() => fail(new Error(`${name}: no stream header`)), hangMs);
      waiters.add(waiter);
      parse = createStreamParser({
        onHeader: ({ attributes }) => {
          clearTimeout(deadline);
          waiters.delete(waiter);
          resolve(attributes);
        },
        onStanza,
        onEnd: () => end(new Error(`${name}: the server closed the stream`)),
      });
      socket.write(header);
    });
  };

  return {
    received,
    send: (xml) => void socket.write(xml),
    waitFor,
    open,
    replaceSocket: (other) => {
      socket.off('data', onData).off('error', onError).off('close', onClose);
      socket = other;
      attach();
    },
    close: () => closeSocket(socket),
    destroy: () => void socket.destroy(),
  };
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    const deadline = setTimeout(() => socket.destroy(), hangMs);
    socket.once('close', () => {
      clearTimeout(deadline);
      resolve();
    });
    socket.end('</stream:stream>');
  });
}
