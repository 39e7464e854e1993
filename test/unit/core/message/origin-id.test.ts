import { expect, test } from 'vitest';
import { parseMessageFromXml } from '../../../../src/core/message/from-xml.ts';
import { serializeMessage } from '../../../../src/core/message/message.ts';
import { withOriginId } from '../../../../src/core/message/origin-id.ts';
import { context } from '../message-context.ts';

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
