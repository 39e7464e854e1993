import { beforeEach, describe, expect, it } from 'vitest';
import { GatewayError } from '../../../../src/core/errors.ts';
import { type HttpAnswer, type LoopbackRequest, send } from '../../../support/clients/http.ts';
import { connectRaw } from '../../../support/clients/http-connection.ts';
import { createSignal } from '../signal.ts';
import {
  apiPath,
  basic,
  buildReceipt,
  goodHeaders,
  startTestGateway,
  type TestGateway,
  userPath,
} from '../test-gateway.ts';

const json = { to: 'user@host.example', body: 'Hello', message_attributes: { id: '1234' } };
const good = { method: 'POST', path: userPath, headers: goodHeaders, body: JSON.stringify(json) };
const xml = "<message to='user@host.example' id='1234'><body>Hello</body></message>";

let gateway: TestGateway;

beforeEach(async () => {
  gateway = await startTestGateway();
});

function post(request: LoopbackRequest): Promise<HttpAnswer> {
  return send(gateway.port, { ...good, ...request });
}

function codeOf(answer: HttpAnswer): string {
  return answer.status === 200 ? 'ok' : JSON.parse(answer.body).code;
}

describe('a good message', () => {
  it.each([
    ['JSON on the user URL', {}, 'bot@example.org'],
    ['JSON on the API URL', { path: apiPath }, 'juliet@example.org'],
    [
      'XML on the user URL',
      { headers: { ...goodHeaders, 'Content-Type': 'text/xml; charset="utf-8"' }, body: xml },
      'bot@example.org',
    ],
    ['?format=json', { path: `${userPath}?format=json` }, 'bot@example.org'],
    ['an empty query', { path: `${userPath}?` }, 'bot@example.org'],
  ])('%s', async (_, request, from) => {
    const answer = await post(request);
    expect(answer.status).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
    });
    expect(answer.headers['content-length']).toBe(String(Buffer.byteLength(answer.body)));
    expect(JSON.parse(answer.body)).toEqual({
      status: 'success',
      message: 'The XMPP server accepted the message.',
      id: '1234',
      from,
      to: 'user@host.example',
      mode: 'plain',
      confirmed: 'server',
    });
    const [stanza] = gateway.delivered;
    expect(gateway.delivered).toHaveLength(1);
    expect(stanza?.from.toString()).toBe(from);
    expect(stanza?.xml).toContain('<body>Hello</body>');
  });

  it('gets an id if it has none', async () => {
    const answer = await post({ body: JSON.stringify({ to: 'user@host.example' }) });
    const { id } = JSON.parse(answer.body);
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(gateway.delivered[0]?.id).toBe(id);
  });

  it('is answered only once it was delivered', async () => {
    const confirmed = createSignal();
    const { port } = await startTestGateway({
      deliver: (message) => confirmed.told.then(() => buildReceipt(message)),
    });
    let isAnswered = false;
    const answer = send(port, good).then((received) => {
      isAnswered = true;
      return received;
    });
    // Another complete round trip happens meanwhile.
    await post({});
    expect(isAnswered).toBe(false);
    confirmed.tell();
    expect((await answer).status).toBe(200);
  });
});

function messages(fqdn: string, rest = ''): string {
  return `/api/1.0/xmppdomains/${fqdn}/gateway/messages${rest}`;
}

describe('the URL', () => {
  it.each([
    [messages('EXAMPLE.org'), 'bot@example.org'],
    [messages('example%2Eorg'), 'bot@example.org'],
    [messages('b%C3%BCcher.example'), 'bot@bücher.example'],
    [messages('xn--bcher-kva.example'), 'bot@bücher.example'],
    [messages('example.org', '/Juliet'), 'juliet@example.org'],
    [messages('example.org', '/j%C3%BCliet'), 'jüliet@example.org'],
    [messages('example.org', '/%EF%BC%AAuliet'), 'juliet@example.org'],
  ])('%s sends as %s', async (path, from) => {
    expect(JSON.parse((await post({ path })).body)).toMatchObject({ from });
  });

  it.each([
    '/',
    '//',
    '/api/1.0/xmppdomains/example.org/gateway',
    messages('example.org', '/'),
    messages('example.org', '/juliet/'),
    messages('example.org', '/juliet/x'),
    messages('example.org', '//juliet'),
    messages(''),
    messages('example.org/x'),
    `/${messages('example.org')}`,
    '/API/1.0/xmppdomains/example.org/gateway/messages',
    '/api/1.0/xmppdomains/example.org/gateway/Messages',
    '/api/1x0/xmppdomains/example.org/gateway/messages',
    '/api/1.0/./xmppdomains/example.org/gateway/messages',
    '/api/1.0/x/../xmppdomains/example.org/gateway/messages',
    '/api/1.0/xmppdomains/example.org/gateway/%6dessages',
    '/api%2F1.0/xmppdomains/example.org/gateway/messages',
    messages('example.org', '/.'),
    messages('example.org', '/..'),
    messages('example.org', '/%2e%2E'),
    messages('example.org', '/%2e'),
    messages('example.org', '/%EF%BC%8E'),
    messages('example.org', '/%E2%80%A5'),
    messages('example.org', '/%'),
    messages('example.org', '/%ff'),
    messages('example.org', '/%c0%ae'),
    messages('example.org', '/%2Fx'),
    messages('example.org', '/juliet%40other.example'),
    messages('example.org', '/juliet@other.example%2Fx'),
    messages('example.org', '/%00'),
    messages('example.org', '/juliet%0A'),
    messages('example.org', '/a%20b'),
    messages('example.org', `/${'x'.repeat(1100)}`),
    messages('%ff'),
    messages('example.org', '/juliet;x=1%2F'),
  ])('%s is not found, whoever asks', async (path) => {
    expect(codeOf(await post({ path, headers: {} }))).toBe('not-found');
    expect(codeOf(await post({ path }))).toBe('not-found');
  });

  it.each(['other.example', 'example.org.', 'sub.example.org', 'example.org%20', '..', '%2e%2e'])(
    'domain %s',
    async (fqdn) => {
      const code = codeOf(await post({ path: messages(fqdn), headers: {} }));
      expect(code).toBe(fqdn === 'example.org.' ? 'unauthenticated' : 'unknown-domain');
    },
  );

  it.each([
    ['http://gw.example', 'ok'],
    ['HTTPS://GW.example', 'ok'],
    ['http://other.example', 'not-found'],
    ['http://gw.example@other.example', 'not-found'],
    ['http://gw.example:81', 'not-found'],
  ])('absolute-form of %s: %s', async (origin, code) => {
    const raw = await connectRaw(gateway.port);
    const body = JSON.stringify(json);
    raw.write(
      `POST ${origin}${userPath} HTTP/1.1\r\nHost: gw.example\r\nContent-Length: ${body.length}\r\n` +
        `Authorization: ${goodHeaders.Authorization}\r\nContent-Type: application/json\r\n\r\n${body}`,
    );
    expect(codeOf(await raw.answer())).toBe(code);
    raw.destroy();
  });

  it.each(['*', 'example.org', `${userPath}#x`, `${userPath}\\`, `${userPath}/j\xfcliet`])(
    'target %j never gets further',
    async (target) => {
      const raw = await connectRaw(gateway.port);
      raw.write(Buffer.from(`OPTIONS ${target} HTTP/1.1\r\nHost: h\r\n\r\n`, 'latin1'));
      const { status } = await raw.answer();
      expect([400, 404]).toContain(status);
      raw.destroy();
    },
  );

  it.each([
    '?format=xml',
    '?format=JSON',
    '?format=json&format=json',
    '?x',
    '?dry_run=1',
    '?format=json&x=1',
    '??',
  ])('query %s is refused', async (query) => {
    const answer = await post({ path: `${userPath}${query}` });
    expect(answer.status).toBe(422);
    expect(codeOf(answer)).toBe('invalid-message');
    expect(gateway.delivered).toHaveLength(0);
  });
});

describe('the method', () => {
  const others = [
    'GET',
    'HEAD',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'PROPFIND',
    'M-SEARCH',
  ];

  it.each(others.flatMap((method) => [userPath, apiPath].map((path) => [method, path] as const)))(
    '%s %s',
    async (method, path) => {
      const answer = await send(gateway.port, { method, path });
      expect(answer).toMatchObject({ status: 405, headers: { allow: 'POST' } });
      expect(answer.body === '').toBe(method === 'HEAD');
    },
  );
});

describe('the order of refusals', () => {
  const tooBig = ' '.repeat(10_001);
  const steps: readonly (readonly [string, LoopbackRequest])[] = [
    ['not-found', { path: `${userPath}/%ff?x`, method: 'GET', headers: {}, body: tooBig }],
    ['method-not-allowed', { path: '/api/1.0/xmppdomains/x.example/gateway/messages/a?x' }],
    ['unknown-domain', { method: 'POST' }],
    ['unauthenticated', { path: `${userPath}/romeo?x` }],
    ['too-many-requests', { headers: { Authorization: basic('pest') } }],
    ['sender-not-allowed', { headers: { Authorization: basic('bot') } }],
    ['unsupported-media-type', { path: `${apiPath}?x` }],
    ['too-large', { headers: goodHeaders }],
    ['malformed-body', { body: '{' }],
    ['invalid-message', { body: '{}' }],
    ['invalid-message', { body: good.body }],
    ['overloaded', { path: apiPath }],
  ];

  it.each(steps.map(([code], index) => [code, index] as const))('%s (%i)', async (code, index) => {
    const { port } = await startTestGateway({
      deliver: () => Promise.reject(new GatewayError('overloaded', 'Too much.')),
    });
    const request = Object.assign({}, ...steps.slice(0, index + 1).map(([, part]) => part));
    expect(codeOf(await send(port, request))).toBe(code);
  });

  it.each([
    ['permission-missing', { headers: { Authorization: basic('stranger') } }],
    [
      'domain-not-allowed',
      {
        path: '/api/1.0/xmppdomains/xn--bcher-kva.example/gateway/messages/juliet',
        headers: { Authorization: basic('bot') },
      },
    ],
  ])('%s before the media type', async (code, request) => {
    expect(codeOf(await post({ ...request, body: tooBig }))).toBe(code);
  });

  it('does not read the body before the credentials are accepted', async () => {
    const raw = await connectRaw(gateway.port);
    raw.write(`POST ${userPath} HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n`);
    raw.write('Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n');
    const answer = await raw.answer();
    expect(answer).toMatchObject({
      status: 401,
      headers: { 'www-authenticate': 'Basic realm="example.org", charset="UTF-8"' },
    });
    raw.destroy();
  });
});

describe('the body', () => {
  it.each([
    ['no type', { Authorization: basic('bot') }, 'unsupported-media-type'],
    ['a page', { ...goodHeaders, 'Content-Type': 'text/html' }, 'unsupported-media-type'],
    ['compressed', { ...goodHeaders, 'Content-Encoding': 'gzip' }, 'unsupported-media-type'],
    [
      'another charset',
      { ...goodHeaders, 'Content-Type': 'text/xml; charset=x' },
      'unsupported-media-type',
    ],
  ])('%s', async (_, headers, code) => {
    expect(codeOf(await post({ headers }))).toBe(code);
  });

  it.each([
    ['empty', ''],
    ['cut off', '{"to":'],
    ['ill-formed UTF-8', Buffer.from('{"to":"a@b.example","body":"\xff"}', 'latin1')],
    ['UTF-16', Buffer.from('{"to":"a@b.example"}', 'utf16le')],
    ['XML', xml],
  ])('%s is malformed', async (_, body) => {
    expect(codeOf(await post({ body }))).toBe('malformed-body');
  });

  it('may begin with a byte order mark', async () => {
    expect(codeOf(await post({ body: `\ufeff${good.body}` }))).toBe('ok');
  });

  it('may be as long as the limit', async () => {
    expect(codeOf(await post({ body: good.body.padEnd(10_000) }))).toBe('ok');
    expect(codeOf(await post({ body: good.body.padEnd(10_001) }))).toBe('too-large');
  });

  it('may not make a stanza over the limit', async () => {
    const body = JSON.stringify({ ...json, body: 'x'.repeat(5_000) });
    expect(codeOf(await post({ body }))).toBe('too-large');
  });
});

describe('the outcome of the delivery', () => {
  it.each([
    [new GatewayError('xmpp-unavailable', 'Down.', { retryAfterSeconds: 2 }), 503, '2'],
    [new GatewayError('overloaded', 'Busy.'), 503, '5'],
    [new GatewayError('delivery-unknown', 'Who knows.'), 504, undefined],
    [new Error('a bug'), 500, undefined],
  ])('%s', async (error, status, retryAfter) => {
    const deliver = async () => {
      throw error;
    };
    const { port } = await startTestGateway({ deliver });
    const answer = await send(port, good);
    expect(answer.status).toBe(status);
    expect(answer.headers['retry-after']).toBe(retryAfter);
    expect(answer.body).not.toContain('a bug');
  });
});

describe('a dry run', () => {
  const stanza = (from: string, rest = '') =>
    `<message to="user@host.example" from="${from}" id="1234" type="chat"><body>Hello</body>${rest}</message>`;

  it.each([
    ['the user URL', userPath, 'bot@example.org'],
    ['the API URL', apiPath, 'juliet@example.org'],
  ])('shows the stanza on %s and sends nothing', async (_, path, from) => {
    const answer = await post({ path: `${path}?dry_run=true` });
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/xml', 'cache-control': 'no-store' },
      body: stanza(from),
    });
    expect(gateway.delivered).toEqual([]);
    expect(gateway.logLines).toEqual([expect.objectContaining({ code: 'ok', dryRun: true })]);
  });

  it('accepts format=json', async () => {
    const answer = await post({ path: `${userPath}?format=json&dry_run=true` });
    expect(answer.headers['content-type']).toBe('application/xml');
  });

  it('does not happen with dry_run=false', async () => {
    expect(JSON.parse((await post({ path: `${userPath}?dry_run=false` })).body).id).toBe('1234');
    expect(gateway.delivered).toHaveLength(1);
  });

  it.each<readonly [string, LoopbackRequest]>([
    ['unauthenticated', { headers: {} }],
    ['permission-missing', { headers: { ...goodHeaders, Authorization: basic('stranger') } }],
    ['sender-not-allowed', { path: `${userPath}/romeo?dry_run=true` }],
    ['malformed-body', { body: '{' }],
    ['invalid-message', { body: '{}' }],
    ['invalid-message', { headers: { ...goodHeaders, 'Idempotency-Key': 'a b' } }],
    ['too-large', { body: JSON.stringify({ ...json, body: 'x'.repeat(5_000) }) }],
  ])('is refused as %s like the message itself', async (code, request) => {
    expect(codeOf(await post({ path: `${userPath}?dry_run=true`, ...request }))).toBe(code);
  });

  it('shows the effect of a key without using it', async () => {
    const headers = { ...goodHeaders, 'Idempotency-Key': 'key-1' };
    const preview = await post({ path: `${userPath}?dry_run=true`, headers });
    const originId = '<origin-id xmlns="urn:xmpp:sid:0" id="1234"/>';
    expect(preview.body).toBe(stanza('bot@example.org', originId));
    const other = { ...good, body: JSON.stringify({ ...json, body: 'Other' }) };
    const sent = await post({ ...other, headers });
    expect(sent.status).toBe(200);
    expect(sent.headers['idempotency-replayed']).toBeUndefined();
    expect((await post({ path: `${userPath}?dry_run=true`, headers })).body).toBe(preview.body);
  });
});
