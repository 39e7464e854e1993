import { describe, expect, test } from 'vitest';
import { comparable, createStreamParser, parseStanza, type Stanza, text } from './stanza.ts';

const header = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='urn:s'>";

function parseInPieces(stream: string, length: number): Stanza[] {
  const stanzas: Stanza[] = [];
  const parse = createStreamParser({ onStanza: (stanza) => stanzas.push(stanza) });
  for (let start = 0; start < stream.length; start += length) {
    parse(stream.slice(start, start + length));
  }
  return stanzas;
}

describe('createStreamParser', () => {
  const sent = [
    "<message to='a>b' id='1'><body>x > y &gt; z 😀</body></message>",
    '<presence/>',
    "<a:iq xmlns:a='urn:a'><![CDATA[<presence/>]]></a:iq>",
  ];

  test.each([1, 2, 7, 10_000])(
    'gives the exact text of each stanza, %i code units at a time',
    (length) => {
      const stanzas = parseInPieces(`${header}\n ${sent.join(' \n')}`, length);
      expect(stanzas.map(({ xml }) => xml)).toEqual(sent);
      expect(stanzas.map(({ root }) => text(root))).toEqual(['x > y > z 😀', '', '<presence/>']);
    },
  );

  test.each([
    '<message><b:body/></message>',
    "<message a='1' a='2'/>",
    '<message>&nbsp;</message>',
    '<message></presence>',
    '<message>\u0001</message>',
  ])('refuses %s', (xml) => {
    expect(() => parseInPieces(header + xml, 1000)).toThrow(/./);
  });
});

describe('parseStanza', () => {
  test('knows equal infosets, however they are written', () => {
    const one = parseStanza(
      `<message a="1" b='&#50;'><p:x xmlns:p="urn:x" p:y="z"/>a&amp;b</message>`,
    );
    const other = parseStanza(
      `<message b='2' a='1'><x xmlns='urn:x' xmlns:q='urn:x' q:y='z'></x><![CDATA[a&b]]></message>`,
    );
    expect(one).toEqual(other);
  });

  test.each([
    ["<message><x xmlns='urn:x'/></message>", '<message><x/></message>'],
    ["<message a='1'/>", "<message a='2'/>"],
    ["<message xml:lang='en'/>", "<message lang='en'/>"],
    ['<message>a </message>', '<message>a</message>'],
    ["<message xmlns='jabber:component:accept'/>", '<message/>'],
  ])('tells %s from %s', (one, other) => {
    expect(parseStanza(one)).not.toEqual(parseStanza(other));
  });
});

test('comparable drops what servers add and ejabberd does not keep, and no more', () => {
  const arrived = parseStanza(
    "<message xml:lang='en' id='1'><x xmlns='urn:x'/><stanza-id xmlns='urn:xmpp:sid:0' id='9'/><subject>s</subject><body>b</body></message>",
  );
  const sent = parseStanza(
    "<message id='1'> <body>b</body><subject>s</subject><x xmlns='urn:x'/></message>",
  );
  expect(comparable(arrived)).toEqual(comparable(sent));
  expect(comparable(arrived).children).toHaveLength(3);
});
