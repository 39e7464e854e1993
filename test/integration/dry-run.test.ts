import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type HttpAnswer, post } from '../support/clients/http.ts';
import { comparable, parseStanza } from '../support/clients/stanza.ts';
import { apiAccount } from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { servers } from '../support/servers/servers.ts';

const message = {
  to: 'bob@example.org',
  message_attributes: { id: 'dry-1', 'xml:lang': 'de' },
  body: 'Grüße & <mehr>\n"\'',
  extra_elements: '<subject>S</subject><x:data xmlns:x="urn:x" x:a="1"><in/><p xmlns=""/></x:data>',
};

describe.each(servers)('a dry run on $kind', ({ start }) => {
  let site: GatewaySite;

  beforeAll(async () => {
    site = await startGatewaySite(start);
  });
  afterAll(() => site?.stop());

  const ask = (query: string, username = '/alice'): Promise<HttpAnswer> =>
    post(
      `${site.gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages${username}${query}`,
      {
        auth: username === '' ? ['bot', 'bot-secret'] : [apiAccount.username, apiAccount.password],
        body: JSON.stringify(message),
      },
    );

  test.each(['', '/alice'])('shows what arrives when it is sent (%s)', async (username) => {
    const preview = await ask('?dry_run=true', username);
    expect([preview.status, preview.headers['content-type']]).toEqual([200, 'application/xml']);
    await site.bob.settle();
    const before = site.bob.received.length;
    expect((await ask('?dry_run=false', username)).status).toBe(200);
    await site.bob.settle();
    const [arrived, ...others] = site.bob.received
      .slice(before)
      .filter(({ root }) => root.name === 'message');
    if (arrived === undefined) throw new Error('expected a message');
    expect(others).toEqual([]);
    expect(comparable(arrived.root)).toEqual(comparable(parseStanza(preview.body)));
  });

  test('needs no XMPP server, but for passwords that are not remembered', async () => {
    const user = await ask('?dry_run=true', '');
    const api = await ask('?dry_run=true');
    await site.server.halt();
    expect((await ask('', '')).status).toBeGreaterThanOrEqual(503);
    expect((await ask('?dry_run=true', '')).body).toBe(user.body);
    expect((await ask('?dry_run=true')).body).toBe(api.body);
    expect(api.status).toBe(200);
  });
});
