import type { Socket } from 'node:net';
import { authenticationUnavailable } from '../wire/authentication-unavailable.ts';
import {
  createStreamReader,
  type StreamElement,
  StreamReadError,
  streamsNamespace,
} from './stream-reader.ts';

/** The first-level elements of a stream to and from one socket. */
export interface StreamExchange {
  readonly send: (xml: string) => void;
  /** The next element; rejects when the stream ends or breaks. */
  readonly next: () => Promise<StreamElement>;
  /** Whether the peer has ended the stream, or broken it. */
  readonly hasEnded: () => boolean;
  /** Lets go of the socket; whether nothing was received that `next` did not return. */
  readonly release: () => boolean;
}

const streamErrorsNamespace = 'urn:ietf:params:xml:ns:xmpp-streams';

/** Takes a connected socket over; the domain is for the words of errors. */
export function createExchange(socket: Socket, domain: string): StreamExchange {
  const elements: StreamElement[] = [];
  let failure: Error | undefined;
  let wake: (() => void) | undefined;

  const fail = (what: string, cause?: unknown): void => {
    failure ??= authenticationUnavailable(`The XMPP server of ${domain} ${what}.`, cause);
    wake?.();
  };
  const reader = createStreamReader({
    onElement: (element) => {
      elements.push(element);
      wake?.();
    },
    onEnd: () => fail('closed the stream before the login was decided'),
  });
  const onData = (bytes: Uint8Array): void => {
    try {
      reader.read(bytes);
    } catch (error) {
      if (!(error instanceof StreamReadError)) {
        throw error;
      }
      fail(`sent ${error.message}`, error);
      socket.destroy();
    }
  };
  const onError = (error: Error): void => fail('broke the connection', error);
  const onClose = (): void => fail('closed the connection before the login was decided');
  socket.on('data', onData).on('error', onError).on('close', onClose);

  return {
    send: (xml) => {
      socket.write(xml);
    },
    next: async () => {
      if (elements.length === 0 && failure === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const element = elements.shift();
      if (element === undefined) {
        throw failure;
      }
      if (isStreamError(element)) {
        failure = describeStreamError(element, domain);
        throw failure;
      }
      return element;
    },
    hasEnded: () => failure !== undefined,
    release: () => {
      socket.off('data', onData).off('error', onError).off('close', onClose);
      return elements.length === 0 && failure === undefined && reader.isAtBoundary();
    },
  };
}

/** RFC 6120 §4.9: a stream error ends the stream. */
function isStreamError(element: StreamElement): boolean {
  return element.name === 'error' && element.namespace === streamsNamespace;
}

function describeStreamError(element: StreamElement, domain: string): Error {
  const children = element.children.filter(({ namespace }) => namespace === streamErrorsNamespace);
  const condition = children.find(({ name }) => name !== 'text')?.name;
  const text = children.find(({ name }) => name === 'text')?.text.slice(0, 200);
  return authenticationUnavailable(
    condition === 'host-unknown'
      ? `The XMPP server does not serve ${domain} (host-unknown).`
      : `The XMPP server of ${domain} ended the stream (${condition?.slice(0, 40) ?? 'no condition'}).`,
    text === undefined ? undefined : new Error(text),
  );
}
