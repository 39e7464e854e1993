import type { IncomingHttpHeaders } from 'node:http';
import { GatewayError } from '../../core/errors.ts';
import { quote } from '../../core/text.ts';

/** The notations of a message. */
export type Notation = 'json' | 'xml';

const notations = new Map<string, Notation>([
  ['application/json', 'json'],
  ['application/xml', 'xml'],
  ['text/xml', 'xml'],
  ['application/xmpp+xml', 'xml'],
]);

/** The media types that the gateway reads, in lower case and without parameters. */
export const mediaTypes: readonly string[] = [...notations.keys()];

// RFC 9110 §5.6.6: parameter = token "=" ( token / quoted-string ), blanks around the semicolon
const parameter =
  /[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w-]+)|"((?:[^"\\]|\\.)*)"))?/y;

/** Finds the notation that the headers announce; anything but plain UTF-8 is `unsupported-media-type`. */
export function parseMediaType(headers: IncomingHttpHeaders): Notation {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined) {
    throw unsupported(`Expected a body without Content-Encoding, got ${quote(encoding)}.`);
  }
  const contentType = headers['content-type'];
  if (contentType === undefined) throw unsupported(`Expected a Content-Type, got none.${wayOut}`);
  return notations.get(contentType) ?? parseContentType(contentType);
}

const wayOut = ` Send ${mediaTypes.join(', ')}, in UTF-8.`;

function parseContentType(contentType: string): Notation {
  const semicolon = contentType.indexOf(';');
  const end = semicolon === -1 ? contentType.length : semicolon;
  const notation = notations.get(contentType.slice(0, end).trim().toLowerCase());
  if (notation === undefined) {
    throw unsupported(`Content-Type ${quote(contentType)} is not supported.${wayOut}`);
  }
  checkParameters(contentType, end);
  return notation;
}

function checkParameters(contentType: string, start: number): void {
  let end = start;
  while (end < contentType.length) {
    parameter.lastIndex = end;
    const match = parameter.exec(contentType);
    if (match === null) {
      throw unsupported(`Content-Type ${quote(contentType)} has malformed parameters.${wayOut}`);
    }
    const [, name, token, quoted] = match;
    const value = token ?? quoted?.replaceAll(/\\(.)/g, '$1');
    if (name?.toLowerCase() === 'charset' && value?.toLowerCase() !== 'utf-8') {
      throw unsupported(`Expected charset utf-8, got ${quote(value ?? '')}.${wayOut}`);
    }
    end = parameter.lastIndex;
  }
}

function unsupported(detail: string): GatewayError {
  return new GatewayError('unsupported-media-type', detail);
}
