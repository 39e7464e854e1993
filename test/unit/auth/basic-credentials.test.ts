import { describe, expect, test } from 'vitest';
import { parseBasicCredentials } from '../../../src/auth/basic-credentials.ts';

const encode = (text: string | Buffer): string => Buffer.from(text).toString('base64');

describe('parseBasicCredentials', () => {
  test.each([
    // The examples of RFC 7617 §2 and §2.1.
    ['Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==', 'Aladdin', 'open sesame'],
    ['Basic dGVzdDoxMjPCow==', 'test', '123£'],
    ['basic dGVzdDoxMjPCow==', 'test', '123£'],
    ['BASIC   dGVzdDoxMjPCow==', 'test', '123£'],
    ['Basic dGVzdDoxMjPCow', 'test', '123£'],
    ['Basic dGVzdDoxMjPCow=', 'test', '123£'],
    [`Basic ${encode('a:b:c:')}`, 'a', 'b:c:'],
    [`Basic ${encode('alice@example.org:🐈')}`, 'alice@example.org', '🐈'],
    [`Basic ${encode('\ufeffalice:pw')}`, '\ufeffalice', 'pw'],
    [`Basic ${encode(' a : b ')}`, ' a ', ' b '],
  ])('reads %s', (header, username, password) => {
    expect(parseBasicCredentials(header)).toEqual({ username, password });
  });

  test('distinguishes a missing header from a malformed one', () => {
    expect(parseBasicCredentials(undefined)).toBe('missing');
    expect(parseBasicCredentials('')).toBe('malformed');
  });

  test.each([
    'Basic',
    'Basic ',
    'Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==',
    'BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==',
    'Basic\tQWxhZGRpbjpvcGVuIHNlc2FtZQ==',
    'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ== x',
    'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==, Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==',
    'Basic QWxhZGRp=bjpvcGVuIHNlc2FtZQ==',
    'Basic dGVzdDox-_==',
    'Basic a:b',
    'Basic QWxha',
    'Basic ====',
    ...[
      'no colon',
      ':',
      'user:',
      ':password',
      'us\u0000er:password',
      'user:pass\u0000',
      'user:pass\r\nX: y',
      'user:a\u001fb',
      'user:a\u007fb',
      'user:a\u0085b',
      'us\u009fer:b',
    ].map((text) => `Basic ${encode(text)}`),
  ])('refuses %j', (header) => {
    expect(parseBasicCredentials(header)).toBe('malformed');
  });

  test.each([
    // Latin-1, over-long and surrogate sequences are not UTF-8.
    `Basic ${encode(Buffer.from('user:caf\u00e9', 'latin1'))}`,
    `Basic ${encode(Buffer.from([0x61, 0x3a, 0xc0, 0x80]))}`,
    `Basic ${encode(Buffer.from([0x61, 0x3a, 0xed, 0xa0, 0x80]))}`,
    `Basic ${encode(Buffer.from('m\u00fcller:\u0000', 'latin1'))}`,
  ])('finds that %j is not UTF-8', (header) => {
    expect(parseBasicCredentials(header)).toBe('not-utf8');
  });
});
