import { describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import { parseMediaType } from '../../../../src/http/request/media-type.ts';

describe('parseMediaType', () => {
  it.each([
    ['application/json', 'json'],
    ['Application/JSON', 'json'],
    ['application/json;charset=utf-8', 'json'],
    ['application/json; charset=UTF-8', 'json'],
    ['application/json ; Charset="utf-8"', 'json'],
    ['application/json; charset="utf\\-8"', 'json'],
    ['application/json;', 'json'],
    ['application/json; profile="a;b=c\\"d"; charset=utf-8', 'json'],
    ['application/xml', 'xml'],
    ['text/xml; charset=utf-8', 'xml'],
    ['application/xmpp+xml', 'xml'],
  ])('%s is %s', (contentType, notation) => {
    expect(parseMediaType({ 'content-type': contentType })).toBe(notation);
  });

  it.each([
    undefined,
    '',
    'json',
    'text/html',
    'multipart/form-data; boundary=x',
    'multipart/form-data; boundary=x',
    'application/problem+json',
    'application/json, application/xml',
    'application/json; charset=iso-8859-1',
    'application/json; charset=utf8',
    'application/json; charset=utf-16',
    'application/json; charset=utf-8; charset=latin1',
    'application/json; charset=',
    'application/json; charset',
    'application/json; charset="utf-8',
    'application/json; =utf-8',
    'application/json; charset = utf-8',
    'application/json charset=utf-8',
    `application/json; a="${'\\'.repeat(20_000)}`,
  ])('%s is refused', (contentType) => {
    expect(refusalOf({ 'content-type': contentType })).toBe('unsupported-media-type');
  });

  it.each([undefined, 'text/html', 'application/xml', 'application/json; charset=latin1'])(
    'advises only what is accepted, for %s',
    (contentType) => {
      const headers = { 'content-type': contentType };
      expect(() => parseMediaType(headers, ['application/json'])).toThrow(
        / Send application\/json, in UTF-8\.$/,
      );
      expect(() => parseMediaType({ 'content-type': 'text/html' })).toThrow(/ text\/plain,/);
    },
  );

  it.each(['gzip', 'identity', 'br', ''])('Content-Encoding %j is refused', (encoding) => {
    const headers = { 'content-type': 'application/json', 'content-encoding': encoding };
    expect(refusalOf(headers)).toBe('unsupported-media-type');
  });
});

it.each([
  ['multipart/form-data; boundary=x', 'With curl use -d or --data-urlencode, not -F.'],
  ['json', 'Did you mean application/json?'],
  ['text/JSON; charset=utf-8', 'Did you mean application/json?'],
  ['plain', 'Did you mean text/plain?'],
  ['text/html', 'Send application/json,'],
])('%s: %s', (contentType, hint) => {
  expect(() => parseMediaType({ 'content-type': contentType })).toThrow(
    ` is not supported. ${hint}`,
  );
});

function refusalOf(headers: Parameters<typeof parseMediaType>[0]): string {
  try {
    return parseMediaType(headers);
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error);
  }
}
