import { beforeEach, describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import type { Message } from '../../../../src/core/message/message.ts';
import { type HttpAnswer, send } from '../../../support/clients/http.ts';
import {
  basic,
  buildReceipt,
  startTestGateway,
  type TestGateway,
  userPath,
} from '../test-gateway.ts';

let gateway: TestGateway;
/** Answers of the delivery by recipient; all others accept. */
const refusals = new Map<string, GatewayError | Error>();
let sent: Message[];

const rooms = new Set(['ops@rooms.example.org', 'dev@rooms.example.org']);

beforeEach(async () => {
  refusals.clear();
  sent = [];
  gateway = await startTestGateway({
    isForRoom: async ({ to }) => rooms.has(to.toString()),
    deliver: async (message) => {
      const refusal = refusals.get(message.to.toString());
      if (refusal !== undefined) throw refusal;
      sent.push(message);
      return buildReceipt(message);
    },
  });
});

function post(
  body: string,
  { type = 'application/json', query = '', headers = {} }: PostOptions = {},
): Promise<HttpAnswer> {
  const all = { Authorization: basic('bot'), 'Content-Type': type, ...headers };
  return send(gateway.port, { method: 'POST', path: userPath + query, headers: all, body });
}

interface PostOptions {
  readonly type?: string;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const form = 'application/x-www-form-urlencoded';
const text = 'text/plain';

/** What was sent, as `type recipient subject|body`. */
function summary(): string[] {
  return sent.map(({ to, type, children }) => {
    const texts = children.map((child) =>
      typeof child === 'string'
        ? ''
        : `${child.name}=${child.children.filter((each) => typeof each === 'string').join('')}`,
    );
    return [type, to.toString(), ...texts].join(' ');
  });
}

describe('the easy forms', () => {
  it.each<[string, string, PostOptions, string]>([
    [
      'flat JSON',
      '{"to": "bob@example.org", "body": "x", "subject": "s", "type": "headline"}',
      {},
      'headline bob@example.org body=x subject=s',
    ],
    [
      'a form',
      'to=bob%40example.org&body=Disk+93%25+full&subject=s',
      { type: form },
      'chat bob@example.org body=Disk 93% full subject=s',
    ],
    [
      'plain text',
      'two\nlines\n',
      { type: text, query: '?to=bob@example.org&subject=a%20b&type=normal' },
      'normal bob@example.org body=two\nlines\n subject=a b',
    ],
    [
      'a template',
      '{"a": 1}',
      { query: '?template=grafana&to=bob@example.org' },
      'chat bob@example.org body=grafana: {"a":1}',
    ],
    [
      'a room',
      '{"to": "ops@rooms.example.org", "body": "x"}',
      {},
      'groupchat ops@rooms.example.org body=x',
    ],
    [
      'a room in a form',
      'to=ops@rooms.example.org&body=x',
      { type: form },
      'groupchat ops@rooms.example.org body=x',
    ],
    [
      'a room with a type',
      '{"to": "ops@rooms.example.org", "body": "x", "type": "chat"}',
      {},
      'chat ops@rooms.example.org body=x',
    ],
    [
      'a room with a type in the attributes',
      '{"to": "ops@rooms.example.org", "body": "x", "message_attributes": {"type": "normal"}}',
      {},
      'normal ops@rooms.example.org body=x',
    ],
    [
      'an invitation through a room',
      `{"to": "ops@rooms.example.org", "extra_elements": "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob@example.org'/></x>"}`,
      {},
      'normal ops@rooms.example.org x=',
    ],
    [
      'XML to a room, which is left as it is',
      '<message to="ops@rooms.example.org"><body>x</body></message>',
      { type: 'application/xml' },
      ' ops@rooms.example.org body=x',
    ],
  ])('%s', async (_, body, options, expected) => {
    const answer = await post(body, options);
    expect([answer.status, answer.body]).toEqual([200, expect.stringMatching(/\}\n$/)]);
    expect(summary()).toEqual([expected]);
  });

  it.each<[string, PostOptions, readonly string[]]>([
    ['to=bob&body=x', { type: form }, ['/to']],
    ['body=x', { type: form }, ['/to']],
    ['to=bob@example.org&body=%00', { type: form }, ['/body']],
    ['x', { type: text }, ['/to']],
    ['x', { type: text, query: '?to=bob%ff@example.org' }, ['/to']],
    ['x', { type: text, query: '?to=bob@example.org&type=error' }, ['/type']],
    [
      '{"to": "bob@example.org", "type": "chat", "message_attributes": {"type": "normal"}}',
      {},
      ['/type'],
    ],
    ['{"to": "bob@example.org", "id": "1", "message_attributes": {"id": "2"}}', {}, ['/id']],
    ['{"to": "bob@example.org", "subject": 1}', {}, ['/subject']],
    ['{"to": "bob@example.org", "from": "alice@example.org"}', {}, ['/from']],
    ['{"to": null}', {}, ['/to']],
    ['{"to": []}', {}, ['/to']],
    ['{"to": ["bob@example.org", "bob", 7, "BOB@example.org"]}', {}, ['/to/1', '/to/2', '/to/3']],
    [
      '{"to": ["bob@example.org"], "message_attributes": {"to": "bob@example.org"}}',
      {},
      ['/message_attributes/to'],
    ],
    [
      JSON.stringify({ to: Array.from({ length: 101 }, (_, i) => `u${i}@example.org`) }),
      {},
      ['/to'],
    ],
  ])('%s is refused', async (body, options, pointers) => {
    const answer = await post(body, options);
    const problem = answer.json();
    expect(problem).toMatchObject({ status: 422, code: 'invalid-message' });
    expect((problem['errors'] as { pointer: string }[]).map(({ pointer }) => pointer)).toEqual(
      pointers,
    );
    expect(problem['detail']).toContain(pointers[0]);
    expect(sent).toEqual([]);
  });

  it.each([form, text])('%s from a foreign page is refused', async (type) => {
    const headers = { Origin: 'https://evil.example' };
    const answer = await post('to=bob@example.org&body=x', { type, headers, query: '' });
    expect(answer.json()).toMatchObject({ status: 403, code: 'cross-origin' });
    expect(sent).toEqual([]);
  });
});

describe('a list of recipients', () => {
  const to = ['bob@example.org', 'carol@example.net', 'dave@example.org'];
  const list = JSON.stringify({ to, body: 'x' });
  const bounce = new GatewayError('bounced', 'No such user.', {
    stanzaError: { condition: 'item-not-found', type: 'cancel', text: undefined },
  });
  const down = new GatewayError('xmpp-unavailable', 'Nothing was sent.');

  it('gets 200 and a receipt for each when all are accepted', async () => {
    const answer = await post(list);
    expect(answer.status).toBe(200);
    const body = answer.json();
    expect(body).toMatchObject({ status: 'success', message: expect.stringContaining('all 3') });
    const results = body['results'] as Record<string, unknown>[];
    expect(results).toEqual(
      to.map((address) => ({
        status: 200,
        message: 'The XMPP server accepted the message.',
        id: expect.any(String),
        from: 'bot@example.org',
        to: address,
        mode: 'plain',
        confirmed: 'server',
      })),
    );
    expect(new Set(results.map(({ id }) => id)).size).toBe(3);
    expect(sent.map(({ to: address }) => address.toString())).toEqual(to);
    expect(gateway.logLines).toContainEqual(
      expect.objectContaining({ msg: 'request', status: 200, code: 'ok', recipients: 3 }),
    );
  });

  it('gets 207 and what became of each otherwise', async () => {
    refusals.set('carol@example.net', bounce);
    const answer = await post(JSON.stringify({ to, body: 'x', id: '7' }));
    expect(answer.status).toBe(207);
    const body = answer.json();
    expect(body).toMatchObject({ status: 'partial', message: expect.stringContaining('2 of 3') });
    expect(body['results']).toMatchObject([
      { status: 200, to: 'bob@example.org', id: '7' },
      {
        status: 404,
        to: 'carol@example.net',
        code: 'bounced',
        condition: 'item-not-found',
        type: '/problems/bounced',
        detail: 'No such user.',
      },
      { status: 200, to: 'dave@example.org', id: '7' },
    ]);
    expect(gateway.logLines).toContainEqual(
      expect.objectContaining({ msg: 'request', status: 207, code: 'partial', recipients: 3 }),
    );
  });

  it('is one of a form, too', async () => {
    const answer = await post('to=bob@example.org&to=ops@rooms.example.org&body=x', { type: form });
    expect(answer.json()['results']).toHaveLength(2);
    expect(summary()).toEqual([
      'chat bob@example.org body=x',
      'groupchat ops@rooms.example.org body=x',
    ]);
  });

  it('may have one recipient only', async () => {
    const answer = await post('{"to": ["bob@example.org"], "body": "x"}');
    expect(answer.json()['results']).toHaveLength(1);
  });

  it('reports a bug after all others were sent', async () => {
    refusals.set('bob@example.org', new Error('a bug'));
    const answer = await post(list);
    expect(answer.json()).toMatchObject({ status: 500, code: 'internal' });
    expect(sent).toHaveLength(2);
  });

  it('shows all stanzas in a dry run', async () => {
    const answer = await post(list, { query: '?dry_run=true' });
    expect(answer.headers['content-type']).toBe('application/xml-external-parsed-entity');
    expect(answer.body.match(/<message /g)).toHaveLength(3);
    expect(sent).toEqual([]);
  });

  const key = { 'Idempotency-Key': 'k' };

  it('is sent once to each with one key, whatever failed at first', async () => {
    refusals.set('carol@example.net', down);
    refusals.set('dave@example.org', bounce);
    const first = (await post(list, { headers: key })).json()['results'];
    expect(first).toMatchObject([{ status: 200 }, { status: 503 }, { status: 404 }]);
    refusals.clear();
    const second = (await post(list, { headers: key })).json()['results'] as object[];
    expect(second).toMatchObject([{ status: 200 }, { status: 200 }, { status: 404 }]);
    expect([second[0], second[2]]).toEqual([(first as object[])[0], (first as object[])[2]]);
    expect(sent.map((message) => message.to.toString())).toEqual([
      'bob@example.org',
      'carol@example.net',
    ]);
    const ids = sent.map(({ id }) => id);
    expect(new Set(ids).size).toBe(2);
    expect(sent[0]?.children.at(-1)).toMatchObject({ name: 'origin-id' });
  });

  it.each([
    ['another text', JSON.stringify({ to, body: 'y' })],
    ['others', JSON.stringify({ to: ['erin@example.org'], body: 'x' })],
    ['one recipient', JSON.stringify({ to: 'bob@example.org', body: 'x' })],
  ])('keeps its key from %s', async (_, other) => {
    await post(list, { headers: key });
    const answer = await post(other, { headers: key });
    expect(answer.json()).toMatchObject({ code: 'idempotency-mismatch' });
    expect(sent).toHaveLength(3);
  });
});

describe('what one key stands for', () => {
  const headers = { 'Idempotency-Key': 'k' };

  it.each<[string, PostOptions, PostOptions]>([
    [
      'plain text',
      { type: text, query: '?to=bob@example.org' },
      { type: text, query: '?to=carol@example.org' },
    ],
    [
      'a template',
      { query: '?template=grafana&to=bob@example.org' },
      { query: '?template=grafana&to=bob@example.org&subject=s' },
    ],
  ])('includes the query of %s', async (_, first, second) => {
    expect((await post('"hi"', { ...first, headers })).status).toBe(200);
    expect((await post('"hi"', { ...first, headers })).headers['idempotency-replayed']).toBe(
      'true',
    );
    const other = await post('"hi"', { ...second, headers });
    expect(other.json()).toMatchObject({ status: 422, code: 'idempotency-mismatch' });
  });

  it('is answered from the store before anything is asked or measured again', async () => {
    const answer = await post('{"to": "ops@rooms.example.org", "body": "x"}', { headers });
    rooms.clear();
    const again = await post('{"to": "ops@rooms.example.org", "body": "x"}', { headers });
    rooms.add('ops@rooms.example.org').add('dev@rooms.example.org');
    expect(again.body).toBe(answer.body);
  });
});

describe('a list', () => {
  it('does not show more in a dry run than a few bodies', async () => {
    const to = Array.from({ length: 100 }, (_, index) => `user-${index}@example.org`);
    const body = JSON.stringify({ to, body: 'x'.repeat(4000) });
    const answer = await post(body, { query: '?dry_run=true' });
    expect(answer.json()).toMatchObject({ status: 413, code: 'too-large' });
  });

  it('begins no further message when the gateway stops or the time is over', async () => {
    const stopping = new AbortController();
    for (const own of [{ stopping: stopping.signal }, { confirmTimeoutMs: -1 }]) {
      stopping.abort();
      gateway = await startTestGateway(own);
      const results = (await post('{"to": ["bob@example.org"], "body": "x"}')).json()['results'];
      expect(results).toMatchObject([{ status: 503, code: 'xmpp-unavailable' }]);
      expect(gateway.delivered).toEqual([]);
    }
  });
});
