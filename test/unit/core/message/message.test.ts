import { expect, test } from 'vitest';
import { parseJson } from '../../../../src/core/json.ts';
import { parseMessageFromXml } from '../../../../src/core/message/from-xml.ts';
import { serializeMessage, withOriginId } from '../../../../src/core/message/message.ts';
import { readFromStream, readInfoset } from '../infoset.ts';
import { context, readMessageFromJson } from '../message-context.ts';
import { refusalOf } from '../refusal.ts';

const { limits } = context;

test('a stanza knows its addresses, its id and its length in bytes', () => {
  const message = readMessageFromJson({ to: 'User@host.example', body: '€' }, context);
  const stanza = serializeMessage(message, limits);
  expect(stanza.to.toString()).toBe('user@host.example');
  expect(stanza.from.toString()).toBe('myuser@example.org');
  expect(stanza.id).toBe('made-up');
  expect(stanza.bytes).toBe(Buffer.byteLength(stanza.xml));
  expect(stanza.bytes).toBe(stanza.xml.length + 2);
});

test('JSON and XML give the stanza that the documentation shows', () => {
  const json = `{"to": "user@host.example", "message_attributes": {"id": "1234"},
     "body": "Hello, this is a test message.",
     "extra_elements": "<subject>This is a message subject</subject>"}`;
  const shown = `<message to="user@host.example" from="myuser@example.org" id="1234" type="chat" xmlns="jabber:client"><body>Hello, this is a test message.</body><subject>This is a message subject</subject></message>`;
  const fromJson = serializeMessage(readMessageFromJson(parseJson(json), context), limits).xml;
  const fromXml = serializeMessage(parseMessageFromXml(shown, context), limits).xml;
  expect(fromJson).toBe(shown.replace(' xmlns="jabber:client"', ''));
  expect(fromXml).toBe(fromJson);
  expect(readFromStream(fromJson)).toEqual(readInfoset(shown));
});

test('the last byte allowed and the first refused', () => {
  const message = readMessageFromJson({ to: 'a@b.example', body: 'é' }, context);
  const { bytes } = serializeMessage(message, limits);
  expect(serializeMessage(message, { ...limits, stanzaBytes: bytes }).bytes).toBe(bytes);
  const refusal = refusalOf(() => serializeMessage(message, { ...limits, stanzaBytes: bytes - 1 }));
  expect(refusal).toMatchObject({ code: 'too-large', pointers: [] });
});

test('a privileged message is wrapped, and in jabber:client itself', () => {
  const json = { to: 'a@b.example', message_attributes: { id: `"'` }, body: 'hi' };
  const message = readMessageFromJson(json, context);
  const form = {
    mode: 'privileged',
    namespace: 'urn:xmpp:privilege:2',
    component: 'gateway.example.org',
    domain: 'example.org',
  } as const;
  const { xml, bytes, from } = serializeMessage(message, limits, form);
  expect(xml).toBe(
    `<message from='gateway.example.org' to='example.org' id='&quot;&apos;'><privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' to="a@b.example" from="myuser@example.org" id="&quot;&apos;" type="chat"><body>hi</body></message></forwarded></privilege></message>`,
  );
  expect(bytes).toBe(Buffer.byteLength(xml));
  expect(from.toString()).toBe('myuser@example.org');
});

test.each([
  ['is added', '', "<origin-id xmlns='urn:xmpp:sid:0' id='1'/>"],
  [
    'of another namespace does not count',
    "<origin-id xmlns='urn:x'/>",
    "<origin-id xmlns='urn:x'/><origin-id xmlns='urn:xmpp:sid:0' id='1'/>",
  ],
  [
    'of the caller stays',
    "<origin-id xmlns='urn:xmpp:sid:0' id='2'/>",
    "<origin-id xmlns='urn:xmpp:sid:0' id='2'/>",
  ],
])('an origin-id %s', (_, given, expected) => {
  const message = parseMessageFromXml(
    `<message to='a@b.example' id='1'>${given}</message>`,
    context,
  );
  const { xml } = serializeMessage(withOriginId(message), context.limits);
  expect(xml.replaceAll('"', "'")).toBe(
    `<message to='a@b.example' from='myuser@example.org' id='1'>${expected}</message>`,
  );
});
