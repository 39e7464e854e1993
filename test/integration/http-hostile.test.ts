import { readdirSync } from 'node:fs';
import { Agent } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { basic, type HttpAnswer, post, request } from '../support/clients/http.ts';
import { connectRaw, type RawConnection } from '../support/clients/http-connection.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { waitUntil } from '../support/system/wait.ts';

// The XMPP server has no part in this: one will do, and it must notice nothing.
let site: GatewaySite;
beforeAll(async () => {
  site = await startGatewaySite(startProsody, {
    components: ['gateway', 'second'].map((name) => ({
      domain: `${name}.example.org`,
      secret: 'secret',
    })),
  });
});
afterAll(() => site?.stop());

const path = '/api/1.0/xmppdomains/example.org/gateway/messages/alice';
const authorization = `Authorization: ${basic(apiAccount.username, apiAccount.password)}`;
const crlf = '\r\n';

let count = 0;
/** The body of a message with its own id. */
function newBody(prefix: string): string {
  count += 1;
  return JSON.stringify({
    to: 'bob@example.org',
    message_attributes: { id: `${prefix}-${count}` },
  });
}
const chunk = (text: string): string => `${text.length.toString(16)}${crlf}${text}${crlf}`;

/** The head of a good request, except for the framing of its body. */
function head(...lines: readonly string[]): string {
  const own = ['Host: gw', authorization, 'Content-Type: application/json'];
  return [`POST ${path} HTTP/1.1`, ...own, ...lines, '', ''].join(crlf);
}
function good(): string {
  const body = newBody('good');
  return head(`Content-Length: ${body.length}`) + body;
}
/** What a proxy in front would take for a part of another request's body. */
function smuggled(): string {
  const body = newBody('smuggled');
  return head(`Content-Length: ${body.length}`) + body;
}

async function exchange(bytes: string | Buffer): Promise<RawConnection> {
  const raw = await connectRaw(site.gateway.port);
  raw.write(bytes);
  return raw;
}

/** Requests whose end two parsers may see in different places. */
const ambiguous: readonly (readonly [what: string, status: number, request: () => string])[] = [
  [
    'CL.TE',
    400,
    () => `${head('Content-Length: 4', 'Transfer-Encoding: chunked')}0${crlf}${crlf}${smuggled()}`,
  ],
  [
    'TE.CL',
    400,
    () => `${head('Transfer-Encoding: chunked', 'Content-Length: 4')}${chunk(smuggled())}`,
  ],
  ['CL.CL', 400, () => `${head('Content-Length: 0', 'Content-Length: 9')}${smuggled()}`],
  ['CL twice', 400, () => `${head('Content-Length: 0', 'Content-Length: 0')}${smuggled()}`],
  ['a list of lengths', 400, () => `${head('Content-Length: 0, 0')}${smuggled()}`],
  ...['+0', '-0', '0x0', '1e1', '0 0', '"0"', '99999999999999999999', ''].map(
    (length) =>
      [
        `the length ${JSON.stringify(length)}`,
        400,
        () => `${head(`Content-Length: ${length}`)}${smuggled()}`,
      ] as const,
  ),
  ['a blank before the colon', 400, () => `${head('Content-Length : 0')}${smuggled()}`],
  ['a folded length', 400, () => `${head(`Content-Length:${crlf} 0`)}${smuggled()}`],
  ['a bare LF', 400, () => `${head('X: y\nContent-Length: 0')}${smuggled()}`],
  ['a bare CR', 400, () => `${head('X: y\rContent-Length: 0')}${smuggled()}`],
  ['a NUL', 400, () => `${head('X: y\0', 'Content-Length: 0')}${smuggled()}`],
  ['no colon', 400, () => `${head('X', 'Content-Length: 0')}${smuggled()}`],
  ...['identity', 'xchunked', 'chunked, identity', '"chunked"', '\x0bchunked'].map(
    (coding) =>
      [
        `the coding ${JSON.stringify(coding)}`,
        400,
        () => `${head(`Transfer-Encoding: ${coding}`)}0${crlf}${crlf}${smuggled()}`,
      ] as const,
  ),
  ['an empty coding', 400, () => `${head('Transfer-Encoding:')}0${crlf}${crlf}${smuggled()}`],
  [
    'a coding that we do not know',
    501,
    () => `${head('Transfer-Encoding: gzip, chunked')}0${crlf}${crlf}${smuggled()}`,
  ],
  [
    'two codings',
    400,
    () => `${head('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')}${smuggled()}`,
  ],
  [
    'chunks in HTTP/1.0',
    400,
    () =>
      `${head('Connection: keep-alive', 'Transfer-Encoding: chunked').replace('1.1', '1.0')}0${crlf}${crlf}${smuggled()}`,
  ],
  ...['-1', '0x1', '1 ', 'g', 'fffffffffffffffff'].map(
    (size) =>
      [
        `the chunk size ${JSON.stringify(size)}`,
        400,
        () => `${head('Transfer-Encoding: chunked')}${size}${crlf}x${crlf}${smuggled()}`,
      ] as const,
  ),
  [
    'a chunk that goes on',
    400,
    () => `${head('Transfer-Encoding: chunked')}1${crlf}xy${crlf}0${crlf}${crlf}${smuggled()}`,
  ],
  [
    'a flood of chunk extensions',
    413,
    () => `${head('Transfer-Encoding: chunked')}1;${'x'.repeat(20_000)}${crlf}x${crlf}`,
  ],
  ['two hosts', 400, () => `${head('Host: other', 'Content-Length: 0')}${smuggled()}`],
  [
    'two credentials',
    400,
    () => `${head('Authorization: Basic eDp5', 'Content-Length: 0')}${smuggled()}`,
  ],
  [
    'two media types',
    400,
    () => `${head('Content-Type: text/xml', 'Content-Length: 0')}${smuggled()}`,
  ],
  ['HTTP/0.9', 505, () => `GET /livez${crlf}${crlf}${smuggled()}`],
  ['HTTP/2.0', 505, () => `${head('Content-Length: 0').replace('/1.1', '/2.0')}${smuggled()}`],
  ['the preface of HTTP/2', 400, () => `PRI * HTTP/2.0${crlf}${crlf}SM${crlf}${crlf}`],
  ['a TLS handshake', 400, () => '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03'],
  ['a header flood', 431, () => `GET /livez HTTP/1.1${crlf}Host: h${`${crlf}X-Y: z`.repeat(5000)}`],
  [
    'a flood of the smallest headers',
    431,
    () => `${head(...Array<string>(3000).fill('a:'))}${smuggled()}`,
  ],
  [
    'one long header',
    431,
    () => `GET /livez HTTP/1.1${crlf}Host: h${crlf}X: ${'x'.repeat(70_000)}`,
  ],
  ['an over-long path', 431, () => head().replace(path, `/${'x'.repeat(70_000)}`)],
];

describe('a connection closes behind', () => {
  test.each(ambiguous)('%s: %i', async (_, status, build) => {
    const raw = await exchange(Buffer.from(build(), 'latin1'));
    const answer = await raw.answer();
    // Which one it is for a coding depends on how much of it the version of Node.js understands.
    expect(status === 400 ? [400, 501] : [status], answer.body).toContain(answer.status);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/problem+json',
      connection: 'close',
    });
    expect(await raw.closed).toBe('');
  });

  test('and nothing of what came with it was taken for a request', async () => {
    const raw = await exchange(good());
    expect((await raw.answer()).status).toBe(200);
    raw.destroy();
    await site.bob.waitForMessage(`good-${count}`);
    const ids = site.bob.received.map(({ root }) => root.attributes['id'] ?? '');
    expect(ids.filter((id) => id.startsWith('smuggled'))).toEqual([]);
  });
});

describe('a target', () => {
  const other = path.replace('alice', 'eve');
  test.each<[string, string, number]>([
    ['with its own host', `http://gw${path}`, 200],
    ['with another host', `http://evil.example${path}`, 404],
    ['with another port', `http://gw:81${path}`, 404],
    ['with a user', `http://x@gw${path}`, 404],
    ['with a fragment', `${path}#x`, 404],
    ['with a slash behind it', `${path}/`, 404],
    ['with two slashes', `/${path}`, 404],
    ['in another case', path.replace('api', 'API'), 404],
    ['with dot segments', path.replace('/alice', '/x/../alice'), 404],
    ['with encoded dot segments', path.replace('/alice', '/x/%2e%2e/alice'), 404],
    ['with dot segments that end elsewhere', `/livez/../..${other}`, 404],
    ['with a dot segment for the domain', path.replace('example.org', '..'), 404],
    ['with an encoded slash in the domain', path.replace('.org/', '.org%2F'), 404],
    ['with another domain behind an encoded slash', path.replace('.org', '.org%2Fx'), 404],
    ['with a backslash', path.replace('/alice', '\\alice'), 404],
    ['with a semicolon', path.replace('messages/', 'messages;a=b/'), 404],
    ['with its path encoded', path.replace('gateway', '%67ateway'), 404],
    ['with raw UTF-8', path.replace('alice', 'j\u00c3\u00bcrgen'), 400],
    ['with half an escape', path.replace('alice', 'a%2'), 404],
    ['with an over-long sequence', path.replace('alice', 'a%c0%af'), 404],
    ['with a twice encoded slash', path.replace('alice', 'a%252Fb'), 200],
    ['with a long user name', path.replace('alice', 'x'.repeat(14_000)), 404],
    ['with a user name of many escapes', path.replace('alice', '%41'.repeat(4000)), 404],
    ['that is none', '*', 404],
  ])('%s', async (_, target, status) => {
    const body = newBody('target');
    const raw = await exchange(
      Buffer.from(
        head(`Content-Length: ${body.length}`).replace(` ${path} `, ` ${target} `) + body,
        'latin1',
      ),
    );
    const answer = await raw.answer();
    expect(answer.status, answer.body).toBe(status);
    if (status === 404) expect(JSON.parse(answer.body)).toMatchObject({ status });
    raw.destroy();
  });
});

describe('a method', () => {
  test.each(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'M-SEARCH', 'PROPFIND'])(
    '%s is not one of the URL',
    async (method) => {
      const answer = await request(`${site.gateway.url}${path}`, { method });
      expect(answer.status).toBe(405);
      expect(answer.headers.allow).toBe('POST');
    },
  );

  test('HEAD has no body, and the connection goes on', async () => {
    const raw = await exchange(
      `HEAD ${path} HTTP/1.1${crlf}Host: h${crlf}${crlf}HEAD /livez HTTP/1.1${crlf}Host: h${crlf}${crlf}${good()}`,
    );
    expect(await raw.answer(true)).toMatchObject({ status: 405, headers: { allow: 'POST' } });
    expect(await raw.answer(true)).toMatchObject({ status: 200 });
    expect(await raw.answer()).toMatchObject({ status: 200 });
    raw.destroy();
  });

  test('CONNECT reaches nobody', async () => {
    const raw = await exchange(
      `CONNECT 127.0.0.1:${site.server.c2sPort} HTTP/1.1${crlf}Host: x${crlf}${crlf}`,
    );
    expect((await raw.answer()).status).toBe(404);
    expect(await raw.closed).toBe('');
  });
});

describe('Expect', () => {
  test('100-continue asks for the body only of whom may send it', async () => {
    const body = newBody('expect');
    const wanted = head(`Content-Length: ${body.length}`, 'Expect: 100-continue');
    const raw = await exchange(wanted);
    expect((await raw.answer()).status).toBe(100);
    raw.write(body);
    expect((await raw.answer()).status).toBe(200);
    raw.destroy();
    const stranger = await exchange(wanted.replace(authorization, 'X: y'));
    expect(await stranger.answer()).toMatchObject({
      status: 401,
      headers: { connection: 'close' },
    });
    stranger.destroy();
  });

  test('of anything else is refused', async () => {
    const raw = await exchange(head('Content-Length: 9', 'Expect: 200-ok'));
    expect((await raw.answer()).status).toBe(417);
    raw.destroy();
  });
});

test('100 pipelined messages are all answered, and arrive in their order', async () => {
  const first = count + 1;
  const raw = await exchange(Array.from({ length: 100 }, good).join(''));
  const ids: unknown[] = [];
  for (let index = 0; index < 100; index += 1) {
    const { status, body } = await raw.answer();
    expect(status, body).toBe(200);
    ids.push((JSON.parse(body) as { id: string }).id);
  }
  raw.destroy();
  expect(ids).toEqual(Array.from({ length: 100 }, (_, index) => `good-${first + index}`));
  await site.bob.waitForMessage(`good-${first + 99}`);
  const arrived = site.bob.received.map(({ root }) => root.attributes['id']);
  expect(arrived.slice(arrived.indexOf(ids[0] as string))).toEqual(ids);
});

describe('while slow clients hold more connections than there may be', () => {
  const maxFiles = 1256;
  /** Without the files that the gateway keeps for itself. */
  const limit = 1000;
  /** The first uses one connection for all requests, the second one for each. */
  const keeping = new Agent({ keepAlive: true, maxSockets: 1 });
  const opening = new Agent();
  const slow: RawConnection[] = [];
  let gateway: GatewayProcess;

  beforeAll(async () => {
    gateway = await startGatewayProcess({
      config: gatewayConfig(site.server, { component: { domain: 'second.example.org' } }),
      maxFiles,
    });
  });
  afterAll(async () => {
    keeping.destroy();
    for (const raw of slow) raw.destroy();
    await gateway?.stop();
  });

  const postOne = (agent: Agent): Promise<HttpAnswer> =>
    post(`${gateway.url}${path}`, {
      auth: [apiAccount.username, apiAccount.password],
      body: newBody('ordinary'),
      agent,
    });
  const openFiles = (): number => readdirSync(`/proc/${gateway.pid}/fd`).length;

  /** Nothing, half a head, half a body without credentials, and with them. */
  const starts = [
    '',
    `POST ${path} HTTP/1.1${crlf}Host: h`,
    `POST ${path} HTTP/1.1${crlf}Host: h${crlf}Content-Length: 9${crlf}${crlf}{`,
    `${head('Content-Length: 9')}{`,
  ];

  test('ordinary requests are served, and the slow ones come to an end', async () => {
    let most = 0;
    while (slow.length < 2 * limit) {
      const batch = Array.from({ length: 100 }, async (_, index) => {
        const raw = await connectRaw(gateway.port);
        raw.write(starts[index % starts.length] ?? '');
        return raw;
      });
      slow.push(...(await Promise.all(batch)));
      const answers = await Promise.all([postOne(opening), postOne(keeping)]);
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      most = Math.max(most, openFiles());
    }
    expect(most).toBeGreaterThan(limit);
    expect(most).toBeLessThan(limit + 100);
    const [silent, halfHead, unauthenticated] = [0, 1, 2].map((kind) =>
      slow.filter((_, index) => index % starts.length === kind),
    );
    await waitUntil(
      async () => {
        expect((await postOne(opening)).status).toBe(200);
        return [silent, halfHead, unauthenticated].flat().every((raw) => raw?.isClosed());
      },
      { label: 'the end of the slow connections', stepMs: 200 },
    );
  });
});

test('HTTP/1.1 without Host gets a problem, and a line in the log', async () => {
  const raw = await exchange(`GET /livez HTTP/1.1${crlf}${crlf}`);
  const answer = await raw.answer();
  expect(answer).toMatchObject({
    status: 400,
    headers: { 'content-type': 'application/problem+json', connection: 'close' },
  });
  await waitUntil(() => site.gateway.logLines().find(({ reason }) => reason === 'no Host header'), {
    label: 'the line of the request without Host',
  });
});

test('a client that closes its sending half gets its answer', async () => {
  const raw = await exchange(good());
  raw.end();
  expect((await raw.answer()).status).toBe(200);
  expect(await raw.closed).toBe('');
});

test('the component stream never noticed', () => {
  expect(site.server.componentHandshakes()).toBe(2);
  const lines = site.gateway.logLines();
  expect(lines.filter(({ status }) => status === 500)).toEqual([]);
  expect(lines.filter(({ msg }) => msg === 'component stream ready')).toHaveLength(1);
});
