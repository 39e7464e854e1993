import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { comparable, parseStanza } from '../support/clients/stanza.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { servers } from '../support/servers/servers.ts';

describe.each(servers)('messages on $kind', ({ kind, start }) => {
  let site: GatewaySite;

  beforeAll(async () => {
    site = await startGatewaySite(start);
  });
  afterAll(() => site?.stop());

  const urls = [
    { url: 'the API URL', sender: 'alice', send: (...it: Sent) => site.postAs('alice', ...it) },
    { url: 'the user URL', sender: 'bot', send: (...it: Sent) => site.postAsBot(...it) },
  ];
  type Sent = [body: string, type?: string];

  /** Expects a 200 and, at Bob's session, exactly that stanza. */
  async function expectArrival(
    url: (typeof urls)[number],
    sent: Sent,
    id: string,
    expected: string,
  ): Promise<void> {
    const answer = await url.send(...sent);
    const receipt = JSON.stringify({
      status: 'success',
      message: 'The XMPP server accepted the message.',
      id,
      from: `${url.sender}@example.org`,
      to: 'bob@example.org',
      mode: 'plain',
      confirmed: 'server',
    });
    expect(answer.body).toBe(`${receipt}\n`);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toContain('application/json');
    const { root } = await site.bob.waitForMessage(id);
    expect(comparable(root)).toEqual(comparable(parseStanza(expected)));
  }

  describe.each(urls)('through $url', (url) => {
    test('the JSON example arrives', () =>
      expectArrival(
        url,
        [
          JSON.stringify({
            to: 'bob@example.org',
            message_attributes: { id: `json-${url.sender}` },
            body: 'Hello, this is a test message.',
            extra_elements: '<subject>This is a message subject</subject>',
          }),
        ],
        `json-${url.sender}`,
        `<message to="bob@example.org" from="${url.sender}@example.org" id="json-${url.sender}" type="chat"><body>Hello, this is a test message.</body><subject>This is a message subject</subject></message>`,
      ));

    test('the same as an XML stanza arrives', () =>
      expectArrival(
        url,
        [
          `<?xml version="1.0"?>
<message xmlns="jabber:client" to="Bob@Example.org" from="mallory@example.org" id="xml-${url.sender}">
  <body>Hello, this is a test message.</body><subject>This is a message subject</subject>
</message>`,
          'application/xml; charset="UTF-8"',
        ],
        `xml-${url.sender}`,
        `<message to="bob@example.org" from="${url.sender}@example.org" id="xml-${url.sender}">${whiteSpace('\n  ')}<body>Hello, this is a test message.</body><subject>This is a message subject</subject>${whiteSpace('\n')}</message>`,
      ));

    test('characters of one to four bytes arrive in both forms', async () => {
      const text = 'a ß Ω ж 中 \u{1F600} \u{10FFFD} "\'<&>]]> \u00a0';
      const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
      const attributes = `to="bob@example.org" from="${url.sender}@example.org"`;
      await expectArrival(
        url,
        [
          JSON.stringify({
            to: 'bob@example.org',
            message_attributes: { id: `u-json-${url.sender}` },
            body: text,
          }),
        ],
        `u-json-${url.sender}`,
        `<message ${attributes} id="u-json-${url.sender}" type="chat"><body>${escaped}</body></message>`,
      );
      await expectArrival(
        url,
        [
          `<message to="bob@example.org" id="u-xml-${url.sender}" type="chat"><body>${escaped}</body></message>`,
          'text/xml',
        ],
        `u-xml-${url.sender}`,
        `<message ${attributes} id="u-xml-${url.sender}" type="chat"><body>${escaped}</body></message>`,
      );
    });

    test('namespaces arrive as they were meant', () =>
      expectArrival(
        url,
        [
          JSON.stringify({
            to: 'bob@example.org',
            message_attributes: { id: `ns-${url.sender}`, type: 'headline' },
            body: 'x',
            extra_elements: `<a xmlns="urn:a" b="1'&quot;"><b/><c xmlns="urn:c" xml:space="preserve"> t </c><d xmlns=""/><p:q xmlns:p="urn:p" p:r="2"><s/></p:q></a>`,
          }),
        ],
        `ns-${url.sender}`,
        `<message to="bob@example.org" from="${url.sender}@example.org" id="ns-${url.sender}" type="headline"><body>x</body><a xmlns="urn:a" b="1'&quot;"><b/><c xmlns="urn:c" xml:space="preserve"> t </c><d xmlns=""/><p:q xmlns:p="urn:p" p:r="2"><s/></p:q></a></message>`,
      ));
  });

  test('without an id get one', async () => {
    const answer = await site.postAs('alice', '{"to": "bob@example.org", "body": "no id"}');
    const { id } = answer.json() as { id: string };
    await site.bob.waitForMessage(id);
    expect(id).toMatch(/^[!-~]{10,}$/);
  });

  test('come from the normalised sender and go to the normalised recipient', async () => {
    const body = '{"to": "BOB@EXAMPLE.ORG/Any Resource", "message_attributes": {"id": "norm"}}';
    const answer = await site.postAs('%EF%BC%A1lice', body);
    expect(answer.json()).toMatchObject({
      from: 'alice@example.org',
      to: 'bob@example.org/Any Resource',
    });
  });

  test('to a user that does not exist', async () => {
    const answer = await site.postAs('alice', '{"to": "nobody@example.org", "body": "x"}');
    if (kind === 'ejabberd') {
      // ejabberd routes the bounce to the sender's bare address, where it is dropped.
      expect(answer.status).toBe(200);
      return;
    }
    expect(answer.status).toBe(404);
    expect(answer.json()).toMatchObject({
      type: '/problems/bounced',
      code: 'bounced',
      status: 404,
      condition: 'service-unavailable',
      error_type: 'cancel',
      detail: expect.stringMatching(/^nobody@example\.org cannot be reached: it does not exist, /),
    });
  });

  test('with a resource that the server prepares are matched to their bounces', async () => {
    const answer = await site.postAs('alice', '{"to": "nobody@example.org/ＲＥＳ", "body": "x"}');
    expect(answer.status).toBe(kind === 'prosody' ? 404 : 200);
  });

  test('needed one component stream', () => {
    expect(site.server.componentHandshakes()).toBe(1);
  });

  /** ejabberd drops text directly inside a message. */
  function whiteSpace(text: string): string {
    return kind === 'prosody' ? text : '';
  }
});
