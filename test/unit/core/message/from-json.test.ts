import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import { parseJson } from '../../../../src/core/json.ts';
import { describeUnknownField } from '../../../../src/core/message/from-json.ts';
import { serializeMessage } from '../../../../src/core/message/message.ts';
import { readFromStream } from '../infoset.ts';
import { context, readMessageFromJson } from '../message-context.ts';
import { refusalOf } from '../refusal.ts';

function send(value: unknown): string {
  return serializeMessage(readMessageFromJson(value, context), context.limits).xml;
}

function detail(value: unknown): string {
  return refusalOf(() => readMessageFromJson(value, context)).detail;
}

const to = 'user@host.example';
const head = `<message to="${to}" from="myuser@example.org" id="made-up" type="chat"`;

describe('sends', () => {
  test.each<[object, string]>([
    [{ to }, `${head}/>`],
    [{ to, body: '' }, `${head}><body/></message>`],
    [
      { to, body: 'a <b> & "c"\r\n' },
      `${head}><body>a &lt;b&gt; &amp; "c"&#xD;\n</body></message>`,
    ],
    [{ to, body: 'é€😀' }, `${head}><body>é€😀</body></message>`],
    [
      { to: 'USER@Host.Example', message_attributes: { to, from: 'x', xmlns: 'jabber:client' } },
      `${head}/>`,
    ],
    [{ to, message_attributes: { from: 7 } }, `${head}/>`],
    [
      { to, message_attributes: { id: 1234, type: 'headline' } },
      `<message to="${to}" from="myuser@example.org" id="1234" type="headline"/>`,
    ],
    [
      { to, message_attributes: { a: 1.5, b: -0, c: 1e21, d: true, e: false, 'xml:lang': 'de' } },
      `${head} a="1.5" b="0" c="1e+21" d="true" e="false" xml:lang="de"/>`,
    ],
    [
      { to, message_attributes: { constructor: '1', toString: '2', é: '3' } },
      `${head} constructor="1" toString="2" é="3"/>`,
    ],
    [
      JSON.parse(`{"to": "${to}", "message_attributes": {"__proto__": "1"}}`),
      `${head} __proto__="1"/>`,
    ],
    [
      { to, message_attributes: { a: '"\'\t\n\r<&>' } },
      `${head} a="&quot;&apos;&#x9;&#xA;&#xD;&lt;&amp;&gt;"/>`,
    ],
    [
      {
        to,
        body: 'x',
        body_attributes: { 'xml:lang': 'de', 'xml:id': 'i', xmlns: 'jabber:client' },
      },
      `${head}><body xml:lang="de" xml:id="i">x</body></message>`,
    ],
    [
      { to, body: 'x', extra_elements: '<subject>s</subject>\n<a xmlns="urn:a"><b/></a>' },
      `${head}><body>x</body><subject>s</subject>\n<a xmlns="urn:a"><b/></a></message>`,
    ],
    [{ to, extra_elements: '' }, `${head}/>`],
    [{ to, extra_elements: '<a xmlns=""/>' }, `${head}><a xmlns=""/></message>`],
    [
      { to, message_attributes: {}, extra_elements: ' <b xmlns="jabber:client"/>' },
      `${head}> <b/></message>`,
    ],
  ])('%j', (value, expected) => {
    expect(send(value)).toBe(expected);
  });
});

describe('refuses', () => {
  const attributes = (map: unknown): object => ({ to, message_attributes: map });
  const body = (map: unknown): object => ({ to, body: 'x', body_attributes: map });
  const extra = (text: unknown): object => ({ to, extra_elements: text });

  test.each<[unknown, string[]]>([
    [null, ['']],
    [[], ['']],
    ['x', ['']],
    [{}, ['/to']],
    [{ to: null }, ['/to']],
    [{ to: 1 }, ['/to']],
    [{ to: '' }, ['/to']],
    [{ to: 'a@b@c' }, ['/to']],
    [{ to: 'a\u0000@b.example' }, ['/to']],
    [{ to: 'gateway.example.org' }, ['/to']],
    [{ to: 'x@Gateway.Example.Org/r' }, ['/to']],
    [{ to, body: null }, ['/body']],
    [{ to, body: ['x'] }, ['/body']],
    [{ to, body: 'a\ud800' }, ['/body']],
    [{ to, body: '\u0000' }, ['/body']],
    [{ to, body: '\uffff' }, ['/body']],
    [{ to, Body: 'x' }, ['/Body']],
    [{ to, 'a/b~c': 'x' }, ['/a~1b~0c']],
    [{ to, constructor: 'x', toString: 'y' }, ['/constructor', '/toString']],
    [JSON.parse(`{"to": "${to}", "__proto__": {}}`), ['/__proto__']],
    [JSON.parse(`{"__proto__": {"to": "${to}"}}`), ['/__proto__', '/to']],
    [{ alerts: [], status: 'firing', version: '4' }, ['/alerts', '/status', '/version', '/to']],
    [{ text: 'x', type: 'chat' }, ['/text', '/to']],
    [{ Recipient: to, alerts: [] }, ['/Recipient', '/alerts', '/to']],
    [attributes(null), ['/message_attributes']],
    [attributes([]), ['/message_attributes']],
    [attributes('x'), ['/message_attributes']],
    [attributes({ a: null }), ['/message_attributes/a']],
    [attributes({ a: {} }), ['/message_attributes/a']],
    [attributes({ a: Number.POSITIVE_INFINITY }), ['/message_attributes/a']],
    [attributes({ a: '\ud800' }), ['/message_attributes/a']],
    [attributes({ from: null }), ['/message_attributes/from']],
    [attributes({ 'p:a': '' }), ['/message_attributes/p:a']],
    [attributes({ 'xml:foo': '' }), ['/message_attributes/xml:foo']],
    [attributes({ 'xmlns:p': 'urn:p' }), ['/message_attributes/xmlns:p']],
    [attributes({ xmlns: 'jabber:server' }), ['/message_attributes/xmlns']],
    [attributes({ '': '' }), ['/message_attributes/']],
    [attributes({ 'a b': '' }), ['/message_attributes/a b']],
    [attributes({ "a='1'/><x y": '' }), [`/message_attributes/a='1'~1><x y`]],
    [attributes({ '1a': '' }), ['/message_attributes/1a']],
    [attributes({ '\u0132': '' }), ['/message_attributes/\u0132']],
    [attributes({ '\ud800': '' }), ['/message_attributes/\ud800']],
    [attributes({ to: 'other@host.example' }), ['/message_attributes/to']],
    [attributes({ to: '@' }), ['/message_attributes/to']],
    [attributes({ type: 'error' }), ['/message_attributes/type']],
    [attributes({ type: true }), ['/message_attributes/type']],
    [attributes({ id: '' }), ['/message_attributes/id']],
    [attributes({ id: 'a\nb' }), ['/message_attributes/id']],
    [attributes({ id: 'x'.repeat(1024) }), ['/message_attributes/id']],
    [
      attributes(Object.fromEntries(Array.from({ length: 257 }, (_, index) => [`a${index}`, '']))),
      ['/message_attributes'],
    ],
    [body({ xmlns: 'urn:a' }), ['/body_attributes/xmlns']],
    [body({ a: null }), ['/body_attributes/a']],
    [{ to, body_attributes: {} }, ['/body_attributes']],
    [{ to, body_attributes: { 'xml:lang': 'de' } }, ['/body_attributes']],
    [extra(null), ['/extra_elements']],
    [extra(['<a/>']), ['/extra_elements']],
    [extra('<a>\ud800<b/></a>'), ['/extra_elements']],
    [extra('<a>'), ['/extra_elements']],
    [extra('text'), ['/extra_elements']],
    [extra('</message><message>'), ['/extra_elements']],
    [extra('<p:a/>'), ['/extra_elements']],
    [extra('<?xml version="1.0"?><a/>'), ['/extra_elements']],
    [extra('<!DOCTYPE a><a/>'), ['/extra_elements']],
    [extra('<!-- x -->'), ['/extra_elements']],
    [extra('<a/>'.repeat(2) + '<a>'.repeat(32) + '</a>'.repeat(32)), ['/extra_elements']],
    [extra('<sent xmlns="urn:xmpp:carbons:2"/>'), ['/extra_elements']],
    [extra('<a><b xmlns="jabber:server"/></a>'), ['/extra_elements']],
    [extra('<xml:a/>'), ['/extra_elements']],
    [extra('<a xml:foo=""/>'), ['/extra_elements']],
    [
      { body: 1, message_attributes: { type: 'x', a: null }, extra_elements: '<', x: 0 },
      [
        '/x',
        '/message_attributes/a',
        '/to',
        '/message_attributes/type',
        '/body',
        '/extra_elements',
      ],
    ],
  ])('%j', (value, pointers) => {
    const refusal = refusalOf(() => readMessageFromJson(value, context));
    expect(refusal).toMatchObject({ code: 'invalid-message', pointers });
  });

  test('with the reason', () => {
    expect(detail({ to, body: null })).toBe('/body: Expected a string, got null.');
    expect(detail({ to, type: null })).toBe('/type: Expected a string, got null.');
    expect(detail({ to, id: null })).toBe(
      '/id: Expected a string, a finite number or a boolean, got null.',
    );
    expect(detail({ to, message_attributes: { '1 a': 'x' } })).toBe(
      '/message_attributes/1 a: Expected a name of letters, digits, "-", "_" and ".", with a letter or "_" first, got "1 a".',
    );
    expect(detail({ to, message_attributes: { '\u0132': 'x' } })).toBe(
      '/message_attributes/\u0132: XMPP servers do not know all letters of the name "\u0132".',
    );
    expect(detail({ to: '' })).toBe(
      '/to: The recipient is not a valid address. The address is empty.',
    );
    expect(detail({ to: 'a@b.example,c@d.example' })).toBe(
      '/to: The recipient is not a valid address. Expected one address, got two. Give each address by itself: as a list in JSON, with to repeated in a form or in the URL, with --to repeated for send; XML takes one.',
    );
    expect(detail({ to, body: 'ab\u0007' })).toMatch(/BEL \(a control character\) at index 2\.$/);
    expect(detail({ to, body: '\u001b[31m' })).toMatch(/at index 0\. Remove the colour codes\.$/);
    expect(detail({ to, type: 'x' })).toMatch(/^\/type: Expected one of the types chat, normal, /);
    expect(detail({ alerts: [] })).toMatch(
      /^2 faults; the first: \/alerts: .* If this is the payload of a webhook, add \?template=NAME&to=… /,
    );
    expect(detail({ to, extra_elements: '<a>\n<b>' })).toMatch(
      /^\/extra_elements: Not well-formed XML.*line 2/,
    );
    expect(detail([{ to, body: 'x' }])).toBe(
      'Expected an object, got an array. Send one message, or one a line as Content-Type: application/x-ndjson.',
    );
    expect(detail({ to, extra_elements: '<!---->' })).toMatch(
      /^\/extra_elements: Refused: line 1.*comments/,
    );
  });
});

test.each([
  ['text', 'Did you mean body?'],
  ['Message', 'Did you mean body?'],
  ['BODY', 'Did you mean body?'],
  ['msg', 'Did you mean body?'],
  ['content', 'Did you mean body?'],
  ['jid', 'Did you mean to?'],
  ['recipient', 'Did you mean to?'],
  ['to[]', 'Did you mean to?'],
  ['title', 'Did you mean subject?'],
  ['From', 'The sender is the user in the URL, or who logs in, and cannot be given.'],
  ['idempotency_key', 'Send it as the header Idempotency-Key.'],
  ['lang', 'In JSON it is "xml:lang" in message_attributes.'],
  ['xml:lang', 'In JSON it is "xml:lang" in message_attributes.'],
  ['thread', 'In JSON write <thread>…</thread> into extra_elements.'],
  ['nick', 'The nick in a room is that of the sender, and cannot be given.'],
  ['other', 'Expected one of to, body. Or that.'],
  ['extra_elements', 'Expected one of to, body. Or that.'],
])('the field %s: %s', (name, advice) => {
  expect(describeUnknownField(name, ['to', 'body'], ' Or that.')).toBe(
    `The field "${name}" is unknown. ${advice}`,
  );
});

/** Rethrows anything but a GatewayError. */
function sendUnlessRefused(value: unknown): string | undefined {
  try {
    return send(value);
  } catch (error) {
    if (error instanceof GatewayError) return undefined;
    throw error;
  }
}

function isMessageOfSender(xml: string): boolean {
  const { name, attributes } = readFromStream(xml);
  const from = attributes.filter(([attribute]) => attribute === '{}from').join();
  return name === '{jabber:client}message' && from === '{}from,myuser@example.org';
}

test('every value is refused or becomes one message from the sender', () => {
  const name = fc.oneof(
    fc.constantFrom('to', 'body', 'message_attributes', 'body_attributes', 'extra_elements'),
    fc.string(),
  );
  const leaf = fc.oneof(fc.constantFrom(to, '<a/>', '<', 'id', 'type', 'chat'), fc.jsonValue());
  const map = fc.dictionary(
    fc.oneof(fc.constantFrom('a', 'id', 'xmlns', 'from'), fc.string()),
    leaf,
  );
  const value = fc
    .tuple(fc.dictionary(name, fc.oneof(leaf, map, fc.string({ unit: 'binary' }))), fc.boolean())
    .map(([fields, isAddressed]) => (isAddressed ? { ...fields, to } : fields));
  fc.assert(
    fc.property(value, (fields) => {
      const xml = sendUnlessRefused(parseJson(JSON.stringify(fields)));
      expect(xml === undefined || isMessageOfSender(xml)).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
