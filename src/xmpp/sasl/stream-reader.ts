import type { Socket } from 'node:net';
import { TextDecoder } from 'node:util';
import { SaxesParser, type SaxesTagNS } from 'saxes';
import { authenticationUnavailable } from '../wire/gateway-errors.ts';

/** An element of an XML stream. Names have no prefixes, and `text` excludes that of the children. */
export interface StreamElement {
  readonly name: string;
  readonly namespace: string;
  /** Only attributes in no namespace. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly text: string;
  readonly children: readonly StreamElement[];
}

/** Turns the bytes of one stream (RFC 6120 §4) into elements. */
export interface StreamReader {
  /** Takes the next bytes; throws StreamReadError when they are not part of an XMPP stream. */
  read(bytes: Uint8Array): void;
  /** Whether nothing has come after the last first-level element. */
  isAtBoundary(): boolean;
}

/** Events of a stream reader, in the order of the stream. */
export interface StreamReaderEvents {
  /** A first-level element is complete. */
  readonly onElement: (element: StreamElement) => void;
  /** The peer closed the stream with its closing tag. */
  readonly onEnd: () => void;
}

/** The peer sent something that is not an XMPP stream, or too much of one. */
export class StreamReadError extends Error {
  override readonly name = 'StreamReadError';
}

/** An element while it is being read. */
interface UnfinishedElement {
  readonly name: string;
  readonly namespace: string;
  readonly attributes: ReadonlyMap<string, string>;
  text: string;
  readonly children: StreamElement[];
}

/** The namespace of `<stream:…/>` elements (RFC 6120 §4.8.1). */
export const streamsNamespace = 'http://etherx.jabber.org/streams';

/** How many bytes a stream may have that only authenticates; servers send about a twentieth of it. */
const maxBytes = 65_536;

/** How deep elements may be nested; `<stream/>` counts as 1. */
const maxDepth = 10;

/** Creates the reader of one stream; a restarted stream (RFC 6120 §4.3.3) needs a new one. */
export function createStreamReader(events: StreamReaderEvents): StreamReader {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const parser = new SaxesParser({ xmlns: true });
  const open: UnfinishedElement[] = [];
  let byteCount = 0;
  let characterCount = 0;
  let boundary = -1;

  parser.on('opentag', (tag) => {
    if (open.length === 0) {
      checkStreamHeader(tag);
    }
    if (open.length === maxDepth) {
      throw new StreamReadError(`more than ${maxDepth} nested elements`);
    }
    const { local: name, uri: namespace } = tag;
    open.push({ name, namespace, attributes: readAttributes(tag), text: '', children: [] });
  });
  parser.on('closetag', () => {
    const element = open.pop();
    if (element === undefined || open.length === 0) {
      events.onEnd();
      return;
    }
    if (open.length === 1) {
      boundary = parser.position;
      events.onElement(element);
    } else {
      open.at(-1)?.children.push(element);
    }
  });
  const addText = (text: string): void => {
    const element = open.length > 1 ? open.at(-1) : undefined;
    if (element !== undefined) {
      element.text += text;
    }
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  // RFC 6120 §11.1: none of these is allowed on a stream.
  parser.on('doctype', () => refuse('a document type declaration'));
  parser.on('comment', () => refuse('a comment'));
  parser.on('processinginstruction', () => refuse('a processing instruction'));

  return {
    read: (bytes) => {
      byteCount += bytes.length;
      if (byteCount > maxBytes) {
        throw new StreamReadError(`more than ${maxBytes} bytes before the login was decided`);
      }
      const text = decode(decoder, bytes);
      characterCount += text.length;
      parse(parser, text);
    },
    isAtBoundary: () => boundary === characterCount,
  };
}

function refuse(what: string): never {
  throw new StreamReadError(`${what} on the stream`);
}

function checkStreamHeader(tag: SaxesTagNS): void {
  if (tag.local !== 'stream' || tag.uri !== streamsNamespace) {
    throw new StreamReadError('something other than a stream header');
  }
}

function readAttributes(tag: SaxesTagNS): ReadonlyMap<string, string> {
  const attributes = Object.values(tag.attributes).filter(({ uri }) => uri === '');
  return new Map(attributes.map(({ local, value }) => [local, value]));
}

/** RFC 6120 §11.6: UTF-8 and nothing else. */
function decode(decoder: TextDecoder, bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes, { stream: true });
  } catch (error) {
    throw new StreamReadError('bytes that are not UTF-8', { cause: error });
  }
}

/** The parser throws plain errors for XML that is not well-formed. */
function parse(parser: SaxesParser<{ xmlns: true }>, text: string): void {
  try {
    parser.write(text);
  } catch (error) {
    if (error instanceof StreamReadError) {
      throw error;
    }
    throw new StreamReadError('XML that is not well-formed', { cause: error });
  }
}

/** The first child with this name and namespace. */
export function findChild(
  element: StreamElement,
  name: string,
  namespace: string,
): StreamElement | undefined {
  return element.children.find((child) => child.name === name && child.namespace === namespace);
}

/** Reads first-level elements from one socket, and writes to it. */
export interface StreamExchange {
  readonly write: (xml: string) => void;
  /** The next element; rejects when the stream ends or breaks. */
  readonly next: () => Promise<StreamElement>;
  /** Whether the peer has ended or broken the stream. */
  readonly hasEnded: () => boolean;
  /** Stops reading from the socket. True means that `next` has returned everything that was received. */
  readonly release: () => boolean;
}

const streamErrorsNamespace = 'urn:ietf:params:xml:ns:xmpp-streams';

/** Takes over a connected socket. The domain is for the error messages. */
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
    write: (xml) => {
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
