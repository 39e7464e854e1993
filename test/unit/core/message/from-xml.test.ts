import { describe, expect, test } from 'vitest';
import { parseMessageFromXml } from '../../../../src/core/message/from-xml.ts';
import { serializeMessage } from '../../../../src/core/message/message.ts';
import { context } from '../message-context.ts';
import { refusalOf } from '../refusal.ts';

function send(text: string): string {
  return serializeMessage(parseMessageFromXml(text, context), context.limits).xml;
}

const head = 'to="user@host.example" from="myuser@example.org" id="made-up"';

describe('sends', () => {
  test.each([
    ["<message to='user@host.example'/>", `<message ${head}/>`],
    [
      "<message xmlns='' to='user@host.example'><body/></message>",
      `<message ${head}><body/></message>`,
    ],
    [
      "<c:message xmlns:c='jabber:client' to='user@host.example'><c:body>x</c:body><subject/></c:message>",
      `<message ${head}><body>x</body><subject/></message>`,
    ],
    [
      "<?xml version='1.0' encoding='UTF-8'?>\n<message to='USER@Host.Example' from='a@b' type='headline' id='7'/>\n",
      '<message to="user@host.example" from="myuser@example.org" id="7" type="headline"/>',
    ],
    ["<message to='user@host.example' from='not an address'/>", `<message ${head}/>`],
    [
      "<message xml:lang='no language!' to='user@host.example' foo='1' xmlns:p='urn:p' p:to='2'/>",
      `<message ${head} xml:lang="no language!" foo="1" xmlns:p="urn:p" p:to="2"/>`,
    ],
    [
      "<message to='user@host.example'>\n <body/>\t<x xmlns='jabber:x:oob'><url>u</url></x>\n</message>",
      `<message ${head}>\n <body/>\t<x xmlns="jabber:x:oob"><url>u</url></x>\n</message>`,
    ],
    [
      "<message to='user@host.example'><a xml:lang='' xml:space='' xml:base='' xml:id=''/></message>",
      `<message ${head}><a xml:lang="" xml:space="" xml:base="" xml:id=""/></message>`,
    ],
    [
      "<message to='user@host.example'><private xmlns='urn:xmpp:carbons:2'/><iq/><error/></message>",
      `<message ${head}><private xmlns="urn:xmpp:carbons:2"/><iq/><error/></message>`,
    ],
    [
      "<message to='user@host.example'><f xmlns='urn:xmpp:forward:0'><received xmlns='urn:xmpp:carbons:2'/></f></message>",
      `<message ${head}><f xmlns="urn:xmpp:forward:0"><received xmlns="urn:xmpp:carbons:2"/></f></message>`,
    ],
    [
      "<message to='user@host.example' xmlns:unused='jabber:server'><event xmlns='urn:e'/></message>",
      `<message ${head}><event xmlns="urn:e"/></message>`,
    ],
  ])('%s', (text, expected) => {
    expect(send(text)).toBe(expected);
  });

  test('an id of 1023 bytes', () => {
    const id = `é${'x'.repeat(1021)}`;
    expect(parseMessageFromXml(`<message to='a@b.example' id='${id}'/>`, context).id).toBe(id);
  });
});

describe('calls malformed', () => {
  test.each([
    '',
    '{}',
    "<message to='a@b.example'>",
    "<message to='a@b.example'/><message to='a@b.example'/>",
    "<message to='a@b.example'><p:x/></message>",
    "<?xml version='1.1'?><message to='a@b.example'/>",
    "<message to='a@b.example'>\ud800<body/></message>",
  ])('%j', (text) => {
    const { code, detail } = refusalOf(() => parseMessageFromXml(text, context));
    expect(code).toBe('malformed-body');
    expect(detail).toMatch(/^The body is not well-formed XML: line \d/);
  });
});

/** A message with these children. */
function withChildren(children: string): string {
  return `<message to='user@host.example'>${children}</message>`;
}

describe('refuses', () => {
  test.each<[string, string[]]>([
    ['<presence/>', ['/presence']],
    ["<message xmlns='jabber:server' to='a@b.example'/>", ['/message']],
    ["<p:message xmlns:p='urn:p' to='a@b.example'/>", ['/p:message']],
    ['<message/>', ['/message/@to']],
    ["<message to=''/>", ['/message/@to']],
    ["<message to='@host.example'/>", ['/message/@to']],
    ["<message to='gateway.example.org'/>", ['/message/@to']],
    ["<message to='x@GATEWAY.example.org/y'/>", ['/message/@to']],
    ["<message to='a@b.example' type='error'/>", ['/message/@type']],
    ["<message to='a@b.example' type='Chat'/>", ['/message/@type']],
    ["<message to='a@b.example' type=''/>", ['/message/@type']],
    ["<message to='a@b.example' id=''/>", ['/message/@id']],
    [`<message to='a@b.example' id='${'x'.repeat(1024)}'/>`, ['/message/@id']],
    [`<message to='a@b.example' id='${'é'.repeat(512)}'/>`, ['/message/@id']],
    ["<message to='a@b.example' id='a&#9;b'/>", ['/message/@id']],
    ["<message to='a@b.example' id='a&#10;b'/>", ['/message/@id']],
    ["<message to='a@b.example' id='a&#13;b'/>", ['/message/@id']],
    [withChildren('text'), ['/message']],
    [withChildren('<body/>&#160;'), ['/message']],
    [withChildren('<![CDATA[x]]>'), ['/message']],
    [withChildren('<body><!-- x --></body>'), ['/message/body']],
    [withChildren('<body><?x?></body>'), ['/message/body']],
    [`<!DOCTYPE message>${withChildren('')}`, ['']],
    [withChildren('<\u0370/>'), ['/message/\u0370']],
    [withChildren("<x xmlns='urn:a&#10;b'/>"), ['/message/x']],
    [withChildren("<x xmlns='jabber:component:accept'/>"), ['/message/x']],
    [withChildren("<a xmlns='urn:a'><s:b xmlns:s='jabber:server'/></a>"), ['/message/a/s:b']],
    [withChildren("<s:error xmlns:s='http://etherx.jabber.org/streams'/>"), ['/message/s:error']],
    [withChildren("<x xmlns:s='jabber:server' s:a=''/>"), ['/message/x/@s:a']],
    ["<message to='a@b.example' xmlns:s='jabber:component:accept' s:to=''/>", ['/message/@s:to']],
    [withChildren('<a><xml:b/></a>'), ['/message/a/xml:b']],
    [withChildren("<a xml:foo=''/>"), ['/message/a/@xml:foo']],
    ["<message to='a@b.example' xml:foo=''/>", ['/message/@xml:foo']],
    [withChildren("<received xmlns='urn:xmpp:carbons:2'/>"), ['/message/received']],
    [withChildren("<c:sent xmlns:c='urn:xmpp:carbons:2'/>"), ['/message/c:sent']],
    [withChildren("<received xmlns=' urn:xmpp:carbons:2 '/>"), ['/message/received']],
    [withChildren("<result xmlns='urn:xmpp:mam:2'/>"), ['/message/result']],
    [withChildren("<result xmlns='urn:xmpp:mam:tmp'/>"), ['/message/result']],
    [withChildren("<fin xmlns='urn:xmpp:mam:0'/>"), ['/message/fin']],
    [withChildren("<event xmlns='http://jabber.org/protocol/pubsub#event'/>"), ['/message/event']],
    [withChildren("<privilege xmlns='urn:xmpp:privilege:2'/>"), ['/message/privilege']],
    [withChildren("<perm xmlns='urn:xmpp:privilege:1'/>"), ['/message/perm']],
    [withChildren("<delegation xmlns='urn:xmpp:delegation:2'/>"), ['/message/delegation']],
    [
      "<message type='error' id=''>x<received xmlns='urn:xmpp:carbons:2'/></message>",
      ['/message/@to', '/message/@type', '/message/@id', '/message', '/message/received'],
    ],
  ])('%s', (text, pointers) => {
    const refusal = refusalOf(() => parseMessageFromXml(text, context));
    expect(refusal).toMatchObject({ code: 'invalid-message', pointers });
  });

  test.each([
    ["<received xmlns='urn:xmpp:carbons:2'/>", 'only the server may send carbon copies'],
    ["<x xmlns='urn:xmpp:privilege:2'/>", 'the rights of the component'],
  ])('%s with the reason', (children, reason) => {
    const { detail } = refusalOf(() => parseMessageFromXml(withChildren(children), context));
    expect(detail).toContain(reason);
  });

  test('depth, where <message/> counts as 1', () => {
    const deepest = withChildren('<a>'.repeat(31) + '</a>'.repeat(31));
    const tooDeep = withChildren('<a>'.repeat(32) + '</a>'.repeat(32));
    expect(() => parseMessageFromXml(deepest, context)).not.toThrow();
    const { code, pointers } = refusalOf(() => parseMessageFromXml(tooDeep, context));
    expect(code).toBe('invalid-message');
    expect(pointers[0]).toMatch(/^\/message(\/a){32}$/);
  });
});
