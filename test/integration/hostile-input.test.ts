import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, post } from '../support/clients/http.ts';
import { comparable, find, parseStanza, text } from '../support/clients/stanza.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { servers } from '../support/servers/servers.ts';

const to = 'to="bob@example.org"';
const message = (inside: string, attributes = ''): string =>
  `<message ${to} ${attributes}>${inside}</message>`;
const nested = (levels: number): string =>
  `${'<a xmlns="urn:a">'.repeat(levels)}${'</a>'.repeat(levels)}`;

const repeated = (namespaceBytes: number, count: number, tag = '<a/>'): string =>
  `<w xmlns="${'n'.repeat(namespaceBytes)}">${tag.repeat(count)}</w>`;

/** XML that would close the component stream of one server or the other, or do worse. */
const refusedXml: readonly (readonly [what: string, body: string | Buffer, status: number])[] = [
  ['a control character', message('<body>\u0001</body>'), 400],
  ['a control character as a reference', message('<body>&#1;</body>'), 400],
  ['U+FFFE', message('<body>\ufffe</body>'), 400],
  ['U+FFFF as a reference', message('<body>&#xFFFF;</body>'), 400],
  ['ill-formed UTF-8', Buffer.from(message('<body>\xff</body>'), 'latin1'), 400],
  ['an encoded surrogate', Buffer.from(message('<body>\xed\xa0\x80</body>'), 'latin1'), 400],
  ['a bad attribute name', message('<body 1a="x"/>'), 400],
  ['a duplicate attribute', message('<body a="1" a="2"/>'), 400],
  ['a duplicate expanded name', message('<x xmlns:p="u" xmlns:q="u" p:a="1" q:a="2"/>'), 400],
  ['an undeclared prefix', message('<p:x/>'), 400],
  ['an undeclared prefix of an attribute', message('<body p:x="1"/>'), 400],
  ['an undefined entity', message('<body>&nbsp;</body>'), 400],
  ['a raw ampersand', message('<body>a & b</body>'), 400],
  ['an unclosed element', `<message ${to}><body>`, 400],
  ['two roots', `${message('')}${message('')}`, 400],
  ['text around the root', `x${message('')}`, 400],
  ['an encoding', `<?xml version="1.0" encoding="ISO-8859-1"?>${message('')}`, 400],
  ['XML 1.1', `<?xml version="1.1"?>${message('')}`, 400],
  ['nothing', '', 400],
  ['a DOCTYPE', `<!DOCTYPE message [<!ENTITY a "b">]>${message('<body>&a;</body>')}`, 422],
  ['a comment', message('<!-- x -->'), 422],
  ['a processing instruction', message('<?x y?>'), 422],
  // Both servers would write it as <foo xmlns='…XML/1998/namespace'/>, which no client can read.
  ['an element of the xml namespace', message('<xml:foo/>'), 422],
  ['an emoji as a name', message('<\u{1F600}/>'), 422],
  ['a name of the 5th edition: U+0370', message('<x xmlns="u" \u0370="1"/>'), 422],
  ['a name of the 5th edition: U+2C00', message('<\u2c00/>'), 422],
  ['a name of the 5th edition: U+200C', message('<a\u200c/>'), 422],
  ['a name that expat does not know: U+0132', message('<\u0132/>'), 422],
  ['a name that expat does not know: U+0221', message('<\u0221/>'), 422],
  ['a name that expat does not know: U+10000', message('<\u{10000}/>'), 422],
  ['LF in a namespace name', message('<x xmlns="urn:a&#10;b"/>'), 422],
  ['too deep a tree', message(nested(40)), 422],
  ['3,000 levels', message(nested(3000)), 422],
  ['10,000 levels', message(nested(10_000)), 422],
  ['no to', '<message><body>x</body></message>', 422],
  ['an empty to', '<message to=""><body>x</body></message>', 422],
  ['a malformed to', '<message to="a b@example.org"/>', 422],
  ['a to in the component', '<message to="x@gateway.example.org"/>', 422],
  ['another stanza', `<iq ${to} type="get"/>`, 422],
  ['another namespace', `<message xmlns="jabber:server" ${to}/>`, 422],
  ['the component namespace', message('<x xmlns="jabber:component:accept"/>'), 422],
  ['the server namespace inside', message('<a xmlns="u"><x xmlns="jabber:server"/></a>'), 422],
  ['a stream', message('<s:stream xmlns:s="http://etherx.jabber.org/streams"/>'), 422],
  ['type error', message('', 'type="error"'), 422],
  ['an unknown type', message('', 'type="shout"'), 422],
  ['text in the message', message('hello'), 422],
  ['a tab in the id', message('', 'id="a&#9;b"'), 422],
  ['a privilege', message('<privilege xmlns="urn:xmpp:privilege:2"/>'), 422],
  ['a delegation', message('<delegation xmlns="urn:xmpp:delegation:2"/>'), 422],
  ['a carbon copy', message('<received xmlns="urn:xmpp:carbons:2"/>'), 422],
  ['a sent carbon copy', message('<p:sent xmlns:p="urn:xmpp:carbons:2"/>'), 422],
  ['an archive result', message('<result xmlns="urn:xmpp:mam:2"/>'), 422],
  ['a pubsub event', message('<event xmlns="http://jabber.org/protocol/pubsub#event"/>'), 422],
  ['a body over the limit', message(`<body>${'x'.repeat(300_000)}</body>`), 413],
  ['a stanza over the limit', message(`<body>${'>'.repeat(100_000)}</body>`), 413],
  // The first kept Prosody busy for 104 s and wrote 1.8 GB into its archive, the second for 5 s.
  ['a long namespace around 30,000 elements', message(repeated(60_000, 30_000)), 422],
  ['50,000 elements', message(repeated(5, 50_000)), 422],
  ['400 elements of 5 attributes', message(repeated(5, 400, '<a a="" b="" c="" d="" e=""/>')), 422],
  ['a namespace of 513 bytes', message(repeated(513, 1)), 422],
  ['an expanded size over the limit', message(repeated(512, 505, '<a b="" c=""/>')), 413],
  ['a body of line ends', message(`<body>${'\n'.repeat(200_000)}</body>`), 413],
  ['an unclosed comment', `<message ${to}><!--${'-'.repeat(200_000)}`, 400],
];

/** Legal XML that one server or the other would choke on: it arrives as it is. */
const acceptedXml: readonly (readonly [what: string, inside: string])[] = [
  ['an xml attribute', '<x xmlns="urn:x" xml:space="preserve" xml:base="urn:b" xml:id="i"/>'],
  ['an un-prefixed child of a prefixed payload', '<p:x xmlns:p="urn:p"><y/></p:x>'],
  [
    'a message in a message',
    '<forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client" to="x@example.org"><body>f</body></message></forwarded>',
  ],
  ['no namespace', '<x xmlns=""><y/></x>'],
  ['quotes', `<x xmlns="urn:x" a="'&quot;&lt;&gt;&amp;"/>`],
  ['CDATA', '<x xmlns="urn:x"><![CDATA[<&>]]></x>'],
  ['30 levels', nested(30)],
];

/** Sender names in the URL, percent-encoded: refused, or the localpart that they mean. */
const senderTricks: readonly (readonly [encoded: string, localpart: string | undefined])[] = [
  ['juliet%40other.example', undefined],
  ['juliet%40other.example%2Fx', undefined],
  ['juliet@other.example', undefined],
  ['a%2Fb', undefined],
  ['a%252Fb', 'a%2fb'],
  ['%00', undefined],
  ['a%00', undefined],
  ['a%0A', undefined],
  ['a%20b', undefined],
  ['a%C2%A0', undefined],
  ['%E2%80%8B', undefined],
  ['a%E2%80%8Blice', undefined],
  ['a%C2%ADlice', undefined],
  ['%C2%AD', undefined],
  ['a%EF%BB%BF', undefined],
  ['a%E2%80%AEb', undefined],
  ['%EF%BF%BE', undefined],
  ['%F0%9F%98%80', undefined],
  ['%FF', undefined],
  ['%', undefined],
  ['%2', undefined],
  ['.', undefined],
  ['..', undefined],
  ['%2E', undefined],
  ['%2e%2E', undefined],
  ['a%22b', undefined],
  ['a%26b', undefined],
  ['a%27b', undefined],
  ['a%3Ab', undefined],
  ['a%3Cb', undefined],
  ['ALICE', 'alice'],
  ['%EF%BC%A1%EF%BC%AC%EF%BC%A9%EF%BC%A3%EF%BC%A5', 'alice'],
  ['Stra%C3%9Fe', 'strasse'],
  ['J%C3%BCrgen', 'jürgen'],
  ['Ju%CC%88rgen', 'jürgen'],
  ['a+b', 'a+b'],
  ['a%2Bb', 'a+b'],
  ['%E1%8E%A0', '\u13a0'],
  ['%D0%96%D1%83%D0%BA', 'жук'],
];

describe.each(servers)('hostile input on $kind', ({ kind, start }) => {
  let site: GatewaySite;

  beforeAll(async () => {
    site = await startGatewaySite(start);
  });
  afterAll(() => site?.stop());

  const problemOf = (answer: HttpAnswer) => answer.json() as { code: string; detail: string };

  test.each(refusedXml)('%s is refused', async (_what, body, status) => {
    const answer = await site.postAs('alice', body, 'application/xml');
    expect(answer.status, answer.body).toBe(status);
    const code = { 400: 'malformed-body', 413: 'too-large', 422: 'invalid-message' }[status];
    expect(problemOf(answer).code).toBe(code);
  });

  test.each(acceptedXml)('%s arrives as it is', async (what, inside) => {
    const id = `ok ${what}`;
    const answer = await site.postAs('alice', message(inside, `id="${id}"`), 'application/xml');
    expect(answer.status, answer.body).toBe(200);
    const { root } = await site.bob.waitForMessage(id);
    const expected = `<message ${to} from="alice@example.org" id="${id}">${inside}</message>`;
    expect(comparable(root)).toEqual(comparable(parseStanza(expected)));
  });

  test('a client may ask for no carbon copies', async () => {
    // Prosody takes the element out on the way (XEP-0280 §9).
    const body = message('<private xmlns="urn:xmpp:carbons:2"/>', 'id="private"');
    expect((await site.postAs('alice', body, 'application/xml')).status).toBe(200);
    await site.bob.waitForMessage('private');
  });

  test('white space in attribute values arrives as the server keeps it', async () => {
    const inside = '<x xmlns="urn:x" a="1&#9;2&#10;3&#13;4"/>';
    const body = message(inside, 'id="white"');
    const answer = await site.postAs('alice', body, 'application/xml');
    expect(answer.status).toBe(200);
    const { root } = await site.bob.waitForMessage('white');
    const kept = kind === 'prosody' ? '1 2 3 4' : '1\t2\n3\r4';
    expect(JSON.stringify(root)).toContain(JSON.stringify(kept));
  });

  test.each([
    ['ASCII', 'x'.repeat(250_000)],
    ['lines', `${'x'.repeat(79)}\n`.repeat(3125)],
    ['Chinese', '中'.repeat(56_000)],
  ])('a large body arrives: %s', async (what, body) => {
    const id = `large ${what}`;
    const json = { to: 'bob@example.org', body, message_attributes: { id } };
    const answer = await site.postAs('alice', JSON.stringify(json));
    expect(answer.status, answer.body).toBe(200);
    const { root } = await site.bob.waitForMessage(id);
    const arrived = find(root, 'body');
    expect(arrived === undefined ? undefined : text(arrived)).toBe(body);
  });

  test('names in JSON cannot inject elements', async () => {
    const answers = await Promise.all(
      ['x="1"><body>', 'a:b', 'xmlns:x', '1', '', ' ', 'a\u0370', '\u{1F600}', 'a\u0000'].map(
        (name) =>
          site.postAs(
            'alice',
            JSON.stringify({ to: 'bob@example.org', message_attributes: { [name]: '1' } }),
          ),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 422));
  });

  test.each([
    ['not JSON', '{', 400],
    ['a lone surrogate', '{"to": "bob@example.org", "body": "\\ud800"}', 422],
    ['a control character', '{"to": "bob@example.org", "body": "\\u0001"}', 422],
    ['a duplicate key', '{"to": "bob@example.org", "to": "eve@example.org"}', 422],
    ['__proto__', '{"to": "bob@example.org", "__proto__": {"body": "x"}}', 422],
    ['an array', '[]', 422],
    ['100,000 brackets', '['.repeat(100_000), 400],
    ['a tag in extra_elements', '{"to": "bob@example.org", "extra_elements": "</message>"}', 422],
    [
      'a stanza in extra_elements',
      '{"to": "bob@example.org", "extra_elements": "<x xmlns=\'jabber:component:accept\'/>"}',
      422,
    ],
    [
      'a long namespace around 30,000 elements in extra_elements',
      JSON.stringify({ to: 'bob@example.org', extra_elements: repeated(60_000, 30_000) }),
      422,
    ],
    [
      '50,000 elements in extra_elements',
      JSON.stringify({ to: 'bob@example.org', extra_elements: repeated(5, 50_000) }),
      422,
    ],
    [
      'an expanded size over the limit in extra_elements',
      JSON.stringify({
        to: 'bob@example.org',
        extra_elements: repeated(512, 505, '<a b="" c=""/>'),
      }),
      413,
    ],
    [
      'depth in extra_elements',
      `{"to": "bob@example.org", "extra_elements": ${JSON.stringify(nested(5000))}}`,
      422,
    ],
  ])('JSON with %s is refused', async (_what, body, status) => {
    expect((await site.postAs('alice', body)).status).toBe(status);
  });

  test.each(senderTricks)('the user name %s', async (encoded, localpart) => {
    const id = `sender ${encoded}`;
    const body = JSON.stringify({ to: 'bob@example.org', message_attributes: { id } });
    const answer = await site.postAs(encoded, body);
    if (localpart === undefined) {
      expect(answer.status, answer.body).toBe(404);
      expect(problemOf(answer).code).toBe('not-found');
      return;
    }
    expect(answer.status, answer.body).toBe(200);
    const { root } = await site.bob.waitForMessage(id);
    expect(root.attributes['from']).toBe(`${localpart}@example.org`);
    expect(answer.json()).toMatchObject({ from: `${localpart}@example.org` });
  });

  test.each([
    'Juliet',
    'juliet@other.example',
    'bot@example.org/x',
    'b\u200bot',
    'bot@',
    '@',
    ' bot',
  ])('the Basic user name %j does not log in as somebody else', async (username) => {
    const { gateway } = site;
    const answer = await post(`${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages`, {
      auth: [username, 'bot-secret'],
      type: 'application/json',
      body: '{"to": "bob@example.org"}',
    });
    expect([401, 429]).toContain(answer.status);
  });

  test('the component stream never closed', async () => {
    const last = await site.postAs('alice', '{"to": "bob@example.org", "body": "still here"}');
    expect(last.status).toBe(200);
    expect(site.server.componentHandshakes()).toBe(1);
    const ready = site.gateway.logLines().filter(({ msg }) => msg === 'component stream ready');
    expect(ready).toHaveLength(1);
    const senders = site.bob.received
      .map(({ root }) => root)
      .filter(({ name }) => name === 'message')
      .map(({ attributes }) => attributes['from'] ?? '');
    expect(senders.filter((from) => !/^[^@/]+@example\.org$/.test(from))).toEqual([]);
    // The elements of the messages that were refused for their cost.
    const payloads = site.bob.received.filter(({ root }) => find(root, 'w') !== undefined);
    expect(payloads).toEqual([]);
  });
});
