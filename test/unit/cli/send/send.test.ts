import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createServer as createTlsServer } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sendCommand } from '../../../../src/cli/send/send.ts';
import { run } from '../run.ts';

interface Seen {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Answer {
  readonly status: number;
  readonly body?: object | string;
  readonly retryAfter?: string;
  readonly location?: string;
}

/** Starts a gateway that gives these answers in order; `undefined` closes the connection. */
async function startScript(
  answers: readonly (Answer | undefined)[],
): Promise<{ url: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const answerNext = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    seen.push({ headers: req.headers, body: await text(req) });
    const answer = answers[Math.min(seen.length, answers.length) - 1];
    if (answer === undefined) {
      req.socket.destroy();
      return;
    }
    if (answer.retryAfter !== undefined) res.setHeader('Retry-After', answer.retryAfter);
    if (answer.location !== undefined) res.setHeader('Location', answer.location);
    res.statusCode = answer.status;
    const { body = {} } = answer;
    res.end(typeof body === 'string' ? body : `${JSON.stringify(body)}\n`);
  };
  const server = createServer((req, res) => void answerNext(req, res));
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

// There is no file with settings below /dev/null.
const env = { XMPP_GATEWAY_PASSWORD: 'pä:ss', HOME: '/dev/null' };
const names = ['--user', 'bot@example.org', '--to', 'bob@example.org'];
const send = (url: string, ...args: string[]) =>
  run(sendCommand, ['--url', url, ...names, ...args], { env });
const success = { status: 200, body: { status: 'success', id: 'm1' } };

test('posts JSON with the credentials in UTF-8, and prints the id', async () => {
  const { url, seen } = await startScript([success]);
  expect(await send(url, 'two', 'words')).toEqual({ code: 0, out: 'm1\n', err: '' });
  const [{ headers, body }] = seen as [Seen];
  const basic = Buffer.from(String(headers.authorization).replace('Basic ', ''), 'base64');
  expect(basic.toString('utf8')).toBe('bot@example.org:pä:ss');
  expect(headers['content-type']).toBe('application/json');
  expect(headers['idempotency-key']).toMatch(/^[0-9a-f-]{36}$/);
  expect(JSON.parse(body)).toEqual({ to: 'bob@example.org', body: 'two words' });
});

test.each([
  [
    'answers',
    { status: 503, body: { code: 'xmpp-unavailable' }, retryAfter: '1' },
    '503 xmpp-unavailable',
  ],
  ['throttled', { status: 429, body: { code: 'too-many-requests' } }, '429 too-many-requests'],
  ['in progress', { status: 409, body: { code: 'idempotency-in-progress' } }, '409 idempotency'],
  ['fate unknown', { status: 504, body: { code: 'delivery-unknown' } }, '504 delivery-unknown'],
  ['a proxy’s page', { status: 502, body: '<html>' }, '502'],
  ['no time given', { status: 503, retryAfter: '0' }, '503'],
  ['cut', undefined, 'no answer from http://127.0.0.1:'],
])('tries again with the same key: %s', async (_what, first, said) => {
  const { url, seen } = await startScript([first, success]);
  const { code, out, err } = await send(url, 'hi');
  expect([code, out]).toEqual([0, 'm1\n']);
  expect(err).toMatch(/\nTrying again in 1 s\.\n$/);
  expect(err).toContain(said);
  expect(seen).toHaveLength(2);
  expect(new Set(seen.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  expect(new Set(seen.map(({ body }) => body)).size).toBe(1);
});

test('says what is wrong where, once', async () => {
  const detail = '/to: Expected a JID.';
  const errors = [
    { pointer: '/to', detail: 'Expected a JID.' },
    { pointer: '/type', detail: 'Expected another.' },
  ];
  const { url } = await startScript([
    { status: 422, body: { code: 'invalid-message', detail, errors } },
  ]);
  const err = '422 invalid-message: /to: Expected a JID.\n  /type: Expected another.\n';
  expect(await send(url, 'hi')).toEqual({ code: 1, out: '', err });
});

test.each<[number, string, string]>([
  [
    401,
    'unauthenticated',
    'An API account needs --from (or from in the file); an XMPP user must not have it.',
  ],
  [403, 'sender-refused', 'The sender is --from (or from in the file), or else --user.'],
])('%i %s: says which options name the sender', async (status, code, hint) => {
  const { url } = await startScript([{ status, body: { code } }]);
  const err = `${status} ${code}\n  ${hint}\n`;
  expect(await send(url, 'hi')).toEqual({ code: 77, out: '', err });
});

test('a text that looks like an option needs a --', async () => {
  await expect(send('http://127.0.0.1:1', '-5 degrees')).rejects.toThrow(
    "Unknown option '-5': put -- before a text that begins with -",
  );
});

test.each([{}, '<html>', '"success"'])(
  'does not count a 200 that is not from a gateway: %j',
  async (body) => {
    const { url, seen } = await startScript([{ status: 200, body }]);
    const { code, out, err } = await send(url, 'hi');
    expect([code, out, seen.length]).toEqual([1, '', 1]);
    expect(err).toBe('200, but the answer is not from a gateway: check the URL\n');
  },
);

test.each<[Answer, number, string]>([
  [{ status: 400 }, 1, ': check the URL'],
  [{ status: 404 }, 1, ': check the URL'],
  [{ status: 405, body: '' }, 1, ': check the URL'],
  [{ status: 302 }, 1, ': check the URL'],
  [{ status: 413 }, 1, ', perhaps from a proxy: see its log'],
  [{ status: 500 }, 76, ', perhaps from a proxy: see its log'],
  [{ status: 503, retryAfter: '100' }, 75, ', perhaps from a proxy: see its log'],
])('says that a page is not from a gateway: %j', async (answer, code, end) => {
  const { url } = await startScript([{ body: '<html>', ...answer }]);
  const result = await send(url, 'hi');
  expect([result.code, result.out]).toEqual([code, '']);
  const [line] = result.err.split('\n');
  expect(line).toBe(`${answer.status}, but the answer is not from a gateway${end}`);
});

test.each([
  ['https://gw.example.org/', 'https://gw.example.org/: give that URL'],
  [
    'https://gw.example.org/gw/api/1.0/xmppdomains/example.org/gateway/messages',
    'https://gw.example.org/gw/: give that URL',
  ],
  ['/login?next=%2F', 'URL/login?next=%2F: check the URL'],
])('says where a redirect leads: %s', async (location, said) => {
  const { url } = await startScript([{ status: 301, location, body: '<html>' }]);
  const err = `301: redirected to ${said.replace('URL/', `${url}/`)}\n`;
  expect(await send(url, 'hi')).toEqual({ code: 1, out: '', err });
});

test('does not wait beyond --timeout', async () => {
  const { url, seen } = await startScript([{ status: 503, retryAfter: '100' }]);
  const { code, err } = await send(url, '--timeout', '5', 'hi');
  expect([code, seen.length]).toEqual([75, 1]);
  expect(err).toContain('Nothing was sent. Try again later.');
});

test('76 when the answer does not come in time', async () => {
  const server = createServer(() => {});
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const { code, err } = await send(`http://127.0.0.1:${port}`, '--timeout', '1', 'hi');
  expect(code).toBe(76);
  expect(err).toMatch(/: none within 1 s\n.*--idempotency-key [0-9a-f-]{36}\n$/);
});

test('75 when TLS is not set up in time: the request cannot have been sent', async () => {
  const server = createTcpServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { code, err } = await send(`https://127.0.0.1:${port}`, '--timeout', '1', 'hi');
  expect(code).toBe(75);
  expect(err).toMatch(/: none within 1 s\nNothing was sent/);
});

test('does not try again https:// where the gateway speaks HTTP', async () => {
  const { url, seen } = await startScript([success]);
  const other = url.replace('http:', 'https:');
  const err = `no answer from ${other}: the gateway does not speak HTTPS there: try http://\n`;
  expect(await send(other, 'hi')).toEqual({ code: 64, out: '', err });
  expect(seen).toEqual([]);
});

test('does not try again with a certificate that is not trusted', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'xmg-send-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const options = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -batch';
  const files = ['-subj', '/CN=localhost', '-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', ...options.split(' '), ...files], { stdio: 'pipe' });
  const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const { code, err } = await send(`https://127.0.0.1:${port}`, 'hi');
  expect(code).toBe(64);
  expect(err).toMatch(
    /: the certificate of the gateway is not trusted: self-signed certificate: name its CA in NODE_EXTRA_CA_CERTS\n$/,
  );
});

test('replaces control characters, which could manipulate the terminal', async () => {
  const detail = '\u001b[2Jwiped\u009b';
  const { url } = await startScript([{ status: 422, body: { code: 'invalid-message', detail } }]);
  const { code, err } = await send(url, 'hi');
  expect([code, err]).toEqual([1, '422 invalid-message: \ufffd[2Jwiped\ufffd\n']);
});

describe('several recipients', () => {
  const alice = { status: 200, id: 'a1', to: 'alice@example.org', mode: 'client' };
  const bob = { status: 200, id: 'b1', to: 'bob@example.org', mode: 'client' };
  const problem = (status: number, code: string, detail: string) => ({ status, code, detail });
  const gone = problem(404, 'bounced', 'No such user.');
  const later = problem(503, 'xmpp-unavailable', 'The stream is down.');
  const answer = (...results: object[]) => {
    const isComplete = results.every((result) => Reflect.get(result, 'status') === 200);
    return {
      status: isComplete ? 200 : 207,
      body: { status: isComplete ? 'success' : 'partial', message: 'Done.', results },
      retryAfter: '1',
    };
  };
  const sendTwice = (url: string, ...args: string[]) =>
    send(url, '--to', 'Alice@example.org', ...args);

  test('are a list, and an id for each is printed', async () => {
    const { url, seen } = await startScript([answer(bob, alice)]);
    const out = 'bob@example.org b1\nAlice@example.org a1\n';
    expect(await sendTwice(url, 'hi')).toEqual({ code: 0, out, err: '' });
    expect(JSON.parse(seen[0]?.body ?? '')).toEqual({
      to: ['bob@example.org', 'Alice@example.org'],
      body: 'hi',
    });
  });

  test('who are refused get a line each, with what is wrong where', async () => {
    const errors = [{ pointer: '/to/1', detail: 'Not a JID.' }];
    const wrong = { ...problem(422, 'invalid-message', 'Not a message.'), errors };
    const { url, seen } = await startScript([answer(gone, wrong)]);
    expect(await sendTwice(url, 'hi')).toEqual({
      code: 1,
      out: '',
      err: `bob@example.org: 404 bounced: No such user.
Alice@example.org: 422 invalid-message: Not a message.
  /to/1: Not a JID.
`,
    });
    expect(seen).toHaveLength(1);
  });

  test('are tried again together, with the same key, while one may be', async () => {
    const { url, seen } = await startScript([answer(bob, later), answer(bob, alice)]);
    expect(await sendTwice(url, 'hi')).toEqual({
      code: 0,
      out: 'bob@example.org b1\nAlice@example.org a1\n',
      err: `Alice@example.org: 503 xmpp-unavailable: The stream is down.\nTrying again in 1 s.\n`,
    });
    expect(new Set(seen.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
    expect(new Set(seen.map(({ body }) => body)).size).toBe(1);
  });

  test.each([
    [problem(503, 'bounced', 'No room.')],
    [problem(504, 'delivery-unknown', 'Silence.')],
    [problem(409, 'idempotency-in-progress', 'Wait.')],
  ])('are tried again after %j', async (first) => {
    const { url, seen } = await startScript([answer(first, alice), answer(bob, alice)]);
    expect((await sendTwice(url, 'hi')).code).toBe(0);
    expect(seen).toHaveLength(2);
  });

  test.each([
    ['all', answer(later, later), 75, 'Nothing was sent. Try again later.'],
    ['one', answer(bob, later), 75, 'To send it to those who do not have it, repeat this with'],
    ['a bounce', answer(bob, { ...gone, status: 503 }), 1, 'To send it to those'],
    ['unknown', answer(later, { ...later, status: 504 }), 76, 'The message may have arrived.'],
  ])('when the time is up: %s', async (_what, last, code, said) => {
    const { url } = await startScript([{ ...last, retryAfter: '100' }]);
    const result = await sendTwice(url, 'hi');
    expect(result.code).toBe(code);
    expect(result.err).toContain(said);
  });

  test('stay as they are when a later request fails as a whole', async () => {
    const wrongKey = { status: 401, body: problem(401, 'unauthenticated', 'Who?') };
    const { url } = await startScript([
      { ...answer(bob, gone, later) },
      { status: 503, body: later, retryAfter: '1' },
      wrongKey,
    ]);
    const { code, out, err } = await sendTwice(url, '--to', 'carol@example.org', 'hi');
    expect([code, out]).toEqual([77, 'bob@example.org b1\n']);
    expect(err).toBe(`carol@example.org: 503 xmpp-unavailable: The stream is down.
Trying again in 1 s.
503 xmpp-unavailable: The stream is down.
Trying again in 1 s.
Alice@example.org: 404 bounced: No such user.
401 unauthenticated: Who?
  An API account needs --from (or from in the file); an XMPP user must not have it.
`);
  });

  test('of whom one was refused and then accepted', async () => {
    const { url } = await startScript([answer(gone, later), answer(bob, alice)]);
    expect((await sendTwice(url, 'hi')).code).toBe(0);
  });

  test('a refusal of the whole request is said once', async () => {
    const { url } = await startScript([
      { status: 403, body: problem(403, 'permission-missing', 'No.') },
    ]);
    const err = '403 permission-missing: No.\n';
    expect(await sendTwice(url, 'hi')).toEqual({ code: 77, out: '', err });
  });

  test('--json prints the last answer', async () => {
    const { url } = await startScript([answer(bob, gone)]);
    const { code, out } = await sendTwice(url, '--json', 'hi');
    expect([code, out]).toEqual([1, `${JSON.stringify(answer(bob, gone).body)}\n`]);
  });

  test.each([
    [200, { status: 'success', id: 'x' }],
    [200, { status: 'success', results: [bob] }],
    [207, { results: [bob, alice, bob] }],
    [207, '<html>'],
  ])('%i %j is not the answer of a gateway', async (status, body) => {
    const { url } = await startScript([{ status, body }]);
    const err = `${status}, but the answer is not from a gateway: check the URL\n`;
    expect(await sendTwice(url, 'hi')).toEqual({ code: 1, out: '', err });
  });
});

describe('wrong usage', () => {
  const url = 'http://127.0.0.1:1';
  test.each([
    [['hi'], '--to JID is missing'],
    [['--to', 'bob@example.org', 'hi'], 'url, user are missing: give them as --url, --user'],
    [['--url', url, ...names, '--user', 'b', 'hi'], 'expected --user once, got it twice'],
    [['--url', url, ...names, '--from', '@', 'hi'], 'from: '],
    [['--url', url, ...names, '--timeout', '0', 'hi'], 'expected --timeout'],
    [['--url', url, ...names, '--wait', '61', 'hi'], 'expected --wait'],
    [['--url', url, ...names, '--wait', '0', 'hi'], 'expected --wait'],
    [['--url', url, ...names, '--idempotency-key', 'a b', 'hi'], 'as --idempotency-key'],
    [['--url', url, ...names, ''], 'expected a text, got none'],
    [['--url', url, ...names], 'expected a text, got none'],
  ])('%j', async (args, sentence) => {
    await expect(run(sendCommand, args, { env })).rejects.toThrow(sentence);
  });

  test.each([
    [['gr\ufffdn'], 'expected a text'],
    [['--subject', 'gr\ufffdn', 'hi'], 'expected --subject'],
    [['--to', 'gr\ufffdn@example.org', 'hi'], 'expected --to'],
  ])('an argument that Node could not decode: %j', async (args, sentence) => {
    const way = ' in UTF-8, got another encoding (iconv -f latin1 -t utf-8)';
    await expect(send(url, ...args)).rejects.toThrow(`${sentence}${way}`);
  });

  test('another encoding on stdin', async () => {
    const input = Buffer.from('grün', 'latin1');
    await expect(run(sendCommand, ['--url', url, ...names], { env, input })).rejects.toThrow(
      'expected a text in UTF-8, got another encoding (iconv -f latin1 -t utf-8)',
    );
  });

  test('no password, and no terminal to ask on', async () => {
    const given = { env: { HOME: '/dev/null' } };
    await expect(run(sendCommand, ['--url', url, ...names, 'hi'], given)).rejects.toThrow(
      'password is missing: give it in the environment (XMPP_GATEWAY_PASSWORD) or in /dev/null/',
    );
  });
});

test.each([
  ['its client has it', 'recipient', 0, ''],
  ['no receipt came', 'server', 79, "sent, but no receipt of the recipient's client came.\n"],
])('--wait: %s', async (_, confirmed, code, err) => {
  const { url, seen } = await startScript([
    { status: 200, body: { status: 'success', id: 'm1', confirmed } },
  ]);
  expect(await send(url, '--wait', '20', 'hi')).toEqual({ code, out: 'm1\n', err });
  expect(seen[0]?.headers['prefer']).toBe('wait=20');
});

test('--wait with several recipients: who has no receipt, and worse codes first', async () => {
  const receipt = { status: 200, id: 'm1', confirmed: 'recipient' };
  const results = [receipt, { ...receipt, confirmed: 'remote' }];
  const both = ['--to', 'carol@example.org', '--wait', '1', 'hi'];
  const { url } = await startScript([{ status: 200, body: { status: 'success', results } }]);
  const { code, err } = await send(url, ...both);
  expect(code).toBe(79);
  expect(err).toBe("carol@example.org: sent, but no receipt of the recipient's client came.\n");
  const refused = [results[1], { status: 404, code: 'bounced' }];
  const other = await startScript([{ status: 207, body: { results: refused } }]);
  expect((await send(other.url, ...both)).code).toBe(1);
});
