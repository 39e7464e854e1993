import type { IncomingHttpHeaders } from 'node:http';
import { GatewayError } from '../../core/errors.ts';
import { quote } from '../../core/text.ts';

/** The notations that a body can be in. */
export type Notation = 'json' | 'xml' | 'form' | 'text' | 'lines';

const notations = new Map<string, Notation>([
  ['application/json', 'json'],
  ['application/x-www-form-urlencoded', 'form'],
  ['application/x-ndjson', 'lines'],
  ['application/jsonl', 'lines'],
  ['text/plain', 'text'],
  ['application/xml', 'xml'],
  ['text/xml', 'xml'],
  ['application/xmpp+xml', 'xml'],
]);

/** All media types that a message can have. */
export const mediaTypes: readonly string[] = [...notations.keys()];

// RFC 9110 §5.6.6: parameter = token "=" ( token / quoted-string ), with blanks around the semicolon.
const parameter =
  /[ \t]*;[ \t]*(?:([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w-]+)|"((?:[^"\\]|\\.)*)"))?/y;

/**
 * Finds the notation that the headers announce; throws `unsupported-media-type` for all but plain UTF-8 of
 * an accepted media type.
 */
export function parseMediaType(
  headers: IncomingHttpHeaders,
  accepted: readonly string[] = mediaTypes,
): Notation {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined) {
    throw unsupported(`Expected a body without Content-Encoding, got ${quote(encoding)}.`);
  }
  const contentType = headers['content-type'];
  const advice = ` Send ${accepted.join(', ')}, in UTF-8.`;
  if (contentType === undefined) throw unsupported(`Expected a Content-Type, got none.${advice}`);
  const semicolon = contentType.indexOf(';');
  const end = semicolon === -1 ? contentType.length : semicolon;
  const type = contentType.slice(0, end).trim().toLowerCase();
  const notation = accepted.includes(type) ? notations.get(type) : undefined;
  if (notation === undefined) {
    throw unsupported(
      `Content-Type ${quote(contentType)} is not supported.${describeMeantType(type, accepted)}${advice}`,
    );
  }
  checkParameters(contentType, end, advice);
  return notation;
}

/** Says what is probably meant by a type that is not accepted. */
function describeMeantType(type: string, accepted: readonly string[]): string {
  if (type === 'multipart/form-data') {
    return ' With curl use -d or --data-urlencode, not -F.';
  }
  const subtype = type.replace(/^.*\//, '');
  const meant = accepted.find((known) => known.endsWith(`/${subtype}`));
  return meant === undefined ? '' : ` Did you mean ${meant}?`;
}

function checkParameters(contentType: string, start: number, advice: string): void {
  let end = start;
  while (end < contentType.length) {
    parameter.lastIndex = end;
    const match = parameter.exec(contentType);
    if (match === null) {
      throw unsupported(`Content-Type ${quote(contentType)} has malformed parameters.${advice}`);
    }
    const [, name, token, quoted] = match;
    const value = token ?? quoted?.replaceAll(/\\(.)/g, '$1');
    if (name?.toLowerCase() === 'charset' && value?.toLowerCase() !== 'utf-8') {
      throw unsupported(`Expected charset utf-8, got ${quote(value ?? '')}.${advice}`);
    }
    end = parameter.lastIndex;
  }
}

function unsupported(detail: string): GatewayError {
  return new GatewayError('unsupported-media-type', detail);
}
