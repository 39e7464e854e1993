import { describe, expect, test } from 'vitest';
import { parseMessageFromXml } from '../../../../src/core/message/from-xml.ts';
import {
  type Message,
  type MessageLimits,
  serializeMessage,
} from '../../../../src/core/message/message.ts';
import { context, readMessageFromJson } from '../message-context.ts';
import { refusalOf } from '../refusal.ts';

const { limits } = context;
type Read = (extra: string, limits: MessageLimits) => Message;

const readJson: Read = (extra, own) =>
  readMessageFromJson(
    { to: 'bob@example.org', body: 'b', extra_elements: extra },
    { ...context, limits: own },
  );
const readXml: Read = (extra, own) =>
  parseMessageFromXml(
    `<message to='bob@example.org' type='chat'><body>b</body>${extra}</message>`,
    {
      ...context,
      limits: own,
    },
  );

/** Each form of body, and its pointer to a fault in an element. */
const forms = [
  ['JSON', readJson, () => '/extra_elements'],
  ['XML', readXml, (path: string) => path],
] as const;

const attributes = (count: number): string =>
  Array.from({ length: count }, (_, index) => ` a${index}=''`).join('');

describe.each(forms)('in %s', (form, read, placeOf) => {
  test.each<
    [
      limit: string,
      Partial<MessageLimits>,
      right: string,
      wrong: string,
      path: string,
      told: string,
    ]
  >([
    [
      'elements, <message/> and <body/> counted',
      { elements: 10 },
      '<a/>'.repeat(8),
      '<a/>'.repeat(9),
      '/message/a',
      'more than 10 elements in total, including <message/>',
    ],
    [
      'elements in one another',
      { elements: 10 },
      `<a>${'<b/>'.repeat(7)}</a>`,
      `<a>${'<b/>'.repeat(8)}</a>`,
      '/message/a/b',
      'more than 10 elements in total',
    ],
    [
      'bytes of a namespace name',
      { namespaceBytes: 40 },
      `<a xmlns='${'é'.repeat(20)}'/>`,
      `<a xmlns='${'é'.repeat(20)}n'/>`,
      '/message/a',
      'a namespace name of 41 bytes, more than 40: "éé',
    ],
    [
      'bytes of the namespace name of a prefix that is not used',
      { namespaceBytes: 40 },
      `<a xmlns:p='${'n'.repeat(40)}'/>`,
      `<a xmlns:p='${'n'.repeat(41)}'/>`,
      '/message/a',
      'a namespace name of 41 bytes, more than 40',
    ],
  ])('%s: the last allowed and the first refused', (_limit, own, right, wrong, path, told) => {
    expect(() => read(right, { ...limits, ...own })).not.toThrow();
    const refusal = refusalOf(() => read(wrong, { ...limits, ...own }));
    expect(refusal).toMatchObject({ code: 'invalid-message', pointers: [placeOf(path)] });
    expect(refusal.detail).toContain(told);
  });

  test('attributes in total, including declarations: the last allowed and the first refused', () => {
    // On <message/>: to and type in XML.
    const around = form === 'XML' ? 2 : 0;
    const elements = `<a xmlns='urn:a'${attributes(3)}/><b${attributes(6)}/>`;
    const own = { ...limits, totalAttributes: 10 + around };
    expect(() => read(elements, own)).not.toThrow();
    const refusal = refusalOf(() => read(`${elements}<c c=''/>`, own));
    expect(refusal).toMatchObject({
      code: 'invalid-message',
      pointers: [placeOf('/message/c')],
    });
    expect(refusal.detail).toContain(
      `more than ${10 + around} attributes and namespace declarations in total`,
    );
  });

  test('expanded size: the last byte allowed and the first refused, with both sizes in the message', () => {
    const message = read(`<a xmlns='urn:a' b='c'>${'<d/>'.repeat(100)}</a>`, limits);
    const [, bytes] =
      /needs (\d+) bytes/.exec(
        refusalOf(() => serializeMessage(message, { ...limits, expandedBytes: 1 })).detail,
      ) ?? [];
    const expandedBytes = Number(bytes);
    expect(expandedBytes).toBeGreaterThan(100 * 'd urn:a'.length);
    expect(() => serializeMessage(message, { ...limits, expandedBytes })).not.toThrow();
    const tight = { ...limits, expandedBytes: expandedBytes - 1 };
    const { code, detail } = refusalOf(() => serializeMessage(message, tight));
    expect(code).toBe('too-large');
    expect(detail).toContain(`the limit of this gateway is ${expandedBytes - 1}`);
  });
});

test('the attributes of both maps count', () => {
  const json = {
    to: 'bob@example.org',
    body: 'b',
    message_attributes: { a: '1', b: '2' },
    body_attributes: { c: '3' },
  };
  const read = (totalAttributes: number) => () =>
    readMessageFromJson(json, { ...context, limits: { ...limits, totalAttributes } });
  expect(read(3)).not.toThrow();
  const { code, detail, pointers } = refusalOf(read(2));
  expect({ code, pointers }).toEqual({
    code: 'invalid-message',
    pointers: ['/message_attributes'],
  });
  expect(detail).toContain('at most 2 attributes in total, got 3');
  const extra = { ...json, extra_elements: "<x d=''/>" };
  const own = { ...context, limits: { ...limits, totalAttributes: 3 } };
  expect(refusalOf(() => readMessageFromJson(extra, own)).pointers).toEqual(['/extra_elements']);
});

const encrypted = (devices: number): string => {
  const key = "<key rid='1234567890' kex='true'>";
  return `<encrypted xmlns='urn:xmpp:omemo:2'><header sid='27183'><keys jid='bob@example.org'>${`${key}${'A'.repeat(232)}</key>`.repeat(devices)}</keys></header><payload>${'A'.repeat(2000)}</payload></encrypted>`;
};
const form = (fields: number): string =>
  `<x xmlns='jabber:x:data' type='form'>${"<field var='name' type='list-single' label='Name'><required/><value>one</value></field>".repeat(fields)}</x>`;
const html = (rows: number): string =>
  `<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>${"<p style='color: red'>a <strong>b</strong> <a href='https://example.org/'>c</a></p>".repeat(rows)}</body></html>`;

describe.each(forms)('ordinary in %s', (_form, read) => {
  test.each([
    ['OMEMO for 100 devices', encrypted(100)],
    ['a data form of 100 fields', form(100)],
    ['XHTML-IM of 100 paragraphs', html(100)],
    [
      'an invitation',
      "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@example.org'><reason>r</reason></invite></x>",
    ],
  ])('%s fits with room to spare', (_what, extra) => {
    const less = {
      ...limits,
      stanzaBytes: limits.stanzaBytes / 2,
      elements: 400,
      totalAttributes: limits.totalAttributes / 2,
      namespaceBytes: limits.namespaceBytes / 2,
      expandedBytes: limits.expandedBytes * 0.8,
    };
    expect(() => serializeMessage(read(extra, less), less)).not.toThrow();
  });
});

test.each([
  ['ASCII', 'x'.repeat(250_000)],
  ['lines', `${'x'.repeat(79)}\n`.repeat(3200)],
  ['Latin', 'é'.repeat(85_000)],
  ['Chinese', '中'.repeat(56_000)],
  ['emoji', '😀'.repeat(42_500)],
])('a large body is allowed: %s', (_what, body) => {
  const message = readMessageFromJson({ to: 'bob@example.org', body }, context);
  expect(() => serializeMessage(message, limits)).not.toThrow();
});

test.each([
  ['line ends', '\n'.repeat(70_000)],
  ['lines of one letter', 'x\n'.repeat(50_000)],
  ['quotes', '"'.repeat(250_000)],
  ['ampersands', '&'.repeat(50_000)],
  ['emoji', '😀'.repeat(30_000)],
])('a text of nothing but %s counts more than its bytes', (_what, body) => {
  const message = readMessageFromJson({ to: 'bob@example.org', body }, context);
  const own = { ...limits, expandedBytes: 300_000 };
  expect(refusalOf(() => serializeMessage(message, own)).code).toBe('too-large');
});
