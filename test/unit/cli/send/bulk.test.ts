import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { sendCommand } from '../../../../src/cli/send/send.ts';
import { run } from '../run.ts';

type Message = Readonly<Record<string, unknown>>;

/** What the script makes of a line: an answer, the end of the answer, or no answer and no connection. */
type Reaction = Message | 'stop' | 'cut';

interface Script {
  readonly url: string;
  /** The lines of each request. */
  readonly seen: string[][];
}

/** Starts a gateway that answers each line as the script says; `request` counts from 1. */
async function startScript(
  react: (message: Message, line: number, request: number) => Reaction,
): Promise<Script> {
  const seen: string[][] = [];
  const answer = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const lines: string[] = [];
    seen.push(lines);
    const request = seen.length;
    const counts = { lines: 0, accepted: 0, refused: 0 };
    res.writeHead(207, { 'content-type': 'application/x-ndjson' });
    for await (const text of readLines(req)) {
      lines.push(text);
      const reaction = react(parse(text), lines.length, request);
      if (reaction === 'cut') {
        req.socket.destroy();
        return;
      }
      if (reaction === 'stop') break;
      counts.lines += 1;
      res.write(`${JSON.stringify({ line: lines.length, ...reaction })}\n`);
    }
    res.end(`${JSON.stringify(counts)}\n`);
  };
  return { url: await listen((req, res) => void answer(req, res)), seen };
}

/** Ends without an error when the connection does. */
async function* readLines(req: IncomingMessage): AsyncGenerator<string> {
  let kept = '';
  try {
    for await (const chunk of req) {
      const lines = (kept + String(chunk)).split('\n');
      kept = lines.pop() ?? '';
      yield* lines;
    }
  } catch {
    return;
  }
}

function parse(text: string): Message {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

async function listen(
  handler: (req: IncomingMessage, res: ServerResponse) => void,
): Promise<string> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const receipt = { status: 200, id: 'm1' };
const refusal = { status: 422, code: 'invalid-message', detail: 'Wrong.' };

// There is no file with settings below /dev/null.
const env = { XMPP_GATEWAY_PASSWORD: 'secret', HOME: '/dev/null' };
const send = (url: string, input: string, ...args: string[]) =>
  run(sendCommand, ['--url', url, '--user', 'bot@example.org', '--bulk', '-', ...args], {
    env,
    input,
  });
const named = ['--idempotency-key', 'run-1'];

function openFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'xmg-bulk-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const toBob = (body: string): string => JSON.stringify({ to: 'bob@example.org', body });
const ndjson = (...bodies: string[]): string => bodies.map((body) => `${toBob(body)}\n`).join('');

test('prints the counts, and on stderr the key of the run if it has none', async () => {
  const { url, seen } = await startScript(() => receipt);
  const first = await send(url, ndjson('a', 'b'));
  expect([first.code, first.out]).toEqual([0, '2 accepted, 0 refused\n']);
  const said = /^To send stdin again without duplicates, add: --idempotency-key (\S+)\n$/;
  const [, key = ''] = said.exec(first.err) ?? [];
  const second = await send(url, ndjson('a', 'b'), '--idempotency-key', key);
  expect(second).toEqual({ code: 0, out: '2 accepted, 0 refused\n', err: '' });
  expect(seen[1]).toEqual(seen[0]);
});

test('passes lines on as they are, with a key where there is none', async () => {
  const { url, seen } = await startScript(() => receipt);
  const lines = [
    '\ufeff{"to": "bob@example.org", "body": "1", "wait": 5 }\r',
    '',
    '{"to":"bob@example.org","body":"2","idempotency_key":"own"}',
    '{}',
    '{"to":"bob@example.org","body":"1e400","n":1e400}',
    'not JSON',
    '["a list"]',
    '\ufeff{"to": "bob@example.org", "body": "of another file"}',
  ];
  await send(url, lines.join('\n'), ...named);
  const key = /"idempotency_key":"[\w-]{43}"/;
  expect(seen[0]).toEqual([
    expect.stringMatching(
      /^\{"to": "bob@example.org", "body": "1", "wait": 5 ,"idempotency_key":"[\w-]{43}"\}$/,
    ),
    lines[2],
    expect.stringMatching(new RegExp(`^\\{${key.source}\\}$`)),
    expect.stringMatching(/"n":1e400,"idempotency_key"/),
    'not JSON',
    '["a list"]',
    expect.stringMatching(
      /^\{"to": "bob@example.org", "body": "of another file","idempotency_key"/,
    ),
  ]);
});

test('a key depends on the run, the line and the text', async () => {
  const { url, seen } = await startScript(() => receipt);
  const keysOf = async (input: string, key: string): Promise<unknown[]> => {
    await send(url, input, '--idempotency-key', key);
    return (seen.at(-1) ?? []).map((line) => parse(line)['idempotency_key']);
  };
  const first = await keysOf(ndjson('a', 'a', 'b'), 'run-1');
  expect(new Set(first).size).toBe(3);
  const corrected = await keysOf(ndjson('a', 'a', 'c'), 'run-1');
  expect(corrected.slice(0, 2)).toEqual(first.slice(0, 2));
  expect(corrected[2]).not.toBe(first[2]);
  expect(await keysOf(ndjson('a'), 'run-2')).not.toEqual(first.slice(0, 1));
  expect(await keysOf(`to,body\nbob@example.org,a\n`, 'run-1')).not.toEqual(first.slice(0, 1));
});

test('refusals: the first with their reasons, all by kind, and in a file as they were', async () => {
  const { url } = await startScript(({ body }) => (body === 'good' ? receipt : refusal));
  const rejects = join(openFolder(), 'rejects.ndjson');
  const bad = Array.from({ length: 12 }, (_, index) => ` ${toBob(`bad ${index}`)}\r\n`);
  const input = `${bad.join('')}${ndjson('good')}`;
  const { code, out, err } = await send(url, input, '--rejects', rejects, ...named);
  expect([code, out]).toEqual([65, '1 accepted, 12 refused\n']);
  expect(err).toContain(
    'line 10: 422 invalid-message: Wrong.\nand 2 more; in all 12 × 422 invalid-message\n',
  );
  expect(err).not.toContain('line 11:');
  expect(readFileSync(rejects, 'utf8')).toBe(bad.join(''));
});

test('of several recipients, only those who were refused are in the file', async () => {
  const results = [
    { status: 200, id: 'm1', to: 'a@b' },
    { ...refusal, to: 'c@d' },
  ];
  const { url } = await startScript(() => ({ status: 207, results }));
  const rejects = join(openFolder(), 'rejects.ndjson');
  const line = '{"to": ["a@b", "c@d"], "body": "x", "idempotency_key": "own"}\n';
  const { code, err } = await send(url, line, '--rejects', rejects, ...named);
  expect([code, err]).toEqual([65, expect.stringContaining('line 1: c@d: 422 invalid-message')]);
  expect(readFileSync(rejects, 'utf8')).toBe('{"to":["c@d"],"body":"x"}\n');
});

test('without refusals there is no file', async () => {
  const { url } = await startScript(() => receipt);
  const rejects = join(openFolder(), 'rejects.ndjson');
  expect((await send(url, ndjson('a'), '--rejects', rejects, ...named)).code).toBe(0);
  expect(() => readFileSync(rejects)).toThrow('ENOENT');
});

test('the empty file that a killed run has left is used, and only we can read it', async () => {
  const { url } = await startScript(() => refusal);
  const rejects = join(openFolder(), 'rejects.ndjson');
  writeFileSync(rejects, '', { mode: 0o644 });
  expect((await send(url, ndjson('a'), '--rejects', rejects, ...named)).code).toBe(65);
  expect(readFileSync(rejects, 'utf8')).toBe(ndjson('a'));
  expect(statSync(rejects).mode & 0o777).toBe(0o600);
});

test('stops at a message that may have been sent, which is none to correct', async () => {
  const failure = { status: 500, code: 'internal', detail: 'A bug.' };
  const { url } = await startScript(
    ({ body }) =>
      new Map<unknown, Message>([
        ['a', refusal],
        ['b', failure],
      ]).get(body) ?? receipt,
  );
  const rejects = join(openFolder(), 'rejects.ndjson');
  const input = ndjson('a', 'b', 'c');
  const { code, out, err } = await send(url, input, '--rejects', rejects, ...named);
  expect([code, out]).toEqual([76, '1 accepted, 1 refused\n']);
  expect(err).toContain(`line 2: 500 internal: A bug.
Stopped: stdin is done up to line 1. To go on, add: --skip 1 --idempotency-key run-1, and another name for --rejects.`);
  expect(readFileSync(rejects, 'utf8')).toBe(ndjson('a'));
});

test('--json prints the answers, with their lines in the file, and the counts', async () => {
  const { url } = await startScript(({ body }) => (body === 'good' ? receipt : refusal));
  const input = `\n${toBob('bad')}\n\n${toBob('good')}\n`;
  const { out } = await send(url, input, '--json', ...named);
  expect(out.trim().split('\n').map(parse)).toEqual([
    { line: 2, ...refusal },
    { line: 4, ...receipt },
    { lines: 2, accepted: 1, refused: 1 },
  ]);
});

test.each([
  ['503', { status: 503, code: 'xmpp-unavailable' }, 1],
  ['504', { status: 504, code: 'delivery-unknown' }, 1],
  ['409', { status: 409, code: 'idempotency-in-progress' }, 1],
  ['a bounce that says wait', { status: 503, code: 'bounced' }, 1],
  ['a lost connection', 'cut' as const, 2],
  ['a gateway that stops', 'stop' as const, 2],
])('sends again, with the same key: %s', async (_what, reaction, requests) => {
  const tried = new Set<unknown>();
  const { url, seen } = await startScript(({ body }) => {
    if (body !== 'b' || tried.has(body)) return receipt;
    tried.add(body);
    return reaction;
  });
  const { code, out, err } = await send(url, ndjson('a', 'b', 'c'), ...named);
  expect([code, out]).toEqual([0, '3 accepted, 0 refused\n']);
  expect(err).toContain('Trying again');
  expect(seen).toHaveLength(requests);
  const ofB = seen.flat().filter((line) => parse(line)['body'] === 'b');
  expect(ofB).toHaveLength(2);
  expect(new Set(ofB).size).toBe(1);
});

test.each([
  ['not sent', { status: 503, code: 'xmpp-unavailable' }, 75],
  ['perhaps sent', { status: 504, code: 'delivery-unknown' }, 76],
  ['cut again and again', 'cut' as const, 76],
])('gives up after the timeout, and says how to go on: %s', async (_what, reaction, expected) => {
  const { url } = await startScript(({ body }) => (body === 'b' ? reaction : receipt));
  const input = ndjson('a', 'b', 'c');
  const { code, err } = await send(url, input, '--timeout', '1', ...named);
  expect([code, err]).toEqual([
    expected,
    expect.stringMatching(
      /Stopped: stdin is done up to line 1\. To go on, add: --skip 1 --idempotency-key run-1\n$/,
    ),
  ]);
});

test('a message that the server returns for too long is refused, and the others are sent', async () => {
  const bounce = { status: 503, code: 'bounced', detail: 'Full.' };
  const { url } = await startScript(({ body }) => (body === 'b' ? bounce : receipt));
  const { code, out, err } = await send(url, ndjson('a', 'b', 'c'), '--timeout', '1', ...named);
  expect([code, out]).toEqual([65, '2 accepted, 1 refused\n']);
  expect(err).toContain('line 2: 503 bounced: Full.\n');
});

test('goes on after the lines to skip, with the same keys', async () => {
  const { url, seen } = await startScript(() => receipt);
  await send(url, ndjson('a', 'b', 'c'), ...named);
  const { out } = await send(url, ndjson('a', 'b', 'c'), '--skip', '1', ...named);
  expect(out).toBe('2 accepted, 0 refused\n');
  expect(seen[1]).toEqual(seen[0]?.slice(1));
});

test.each([
  [401, { code: 'unauthenticated' }, 77, '401 unauthenticated'],
  [404, { code: 'unknown-domain' }, 1, '404 unknown-domain'],
  [200, { status: 'success', id: 'm1' }, 1, 'the answer is not from a gateway'],
])('a request that is answered with %i as a whole', async (status, body, expected, said) => {
  const url = await listen((_req, res) => {
    res.writeHead(status).end(JSON.stringify(body));
  });
  const { code, out, err } = await send(url, ndjson('a', 'b'), ...named);
  expect([code, out]).toEqual([expected, '0 accepted, 0 refused\n']);
  expect(err).toContain(said);
  expect(err).toContain('Stopped: stdin is done up to line 0.');
});

test('a gateway that is not there', async () => {
  const { code, err } = await send('http://127.0.0.1:1', ndjson('a'), '--timeout', '1', ...named);
  expect([code, err]).toEqual([75, expect.stringContaining('no answer: connect ECONNREFUSED')]);
});

test('CSV: what is not a message is not sent', async () => {
  const { url, seen } = await startScript(() => receipt);
  const rejects = join(openFolder(), 'rejects.csv');
  const rows = ['bob@example.org,', ',text', 'bob@example.org,a,b'];
  const input = `\ufeffto,body\r\n\r\n"bob@example.org","a ""b""\r\nc"\r\n${rows.join('\r\n')}`;
  const { code, err } = await send(url, input, '--rejects', rejects, ...named);
  expect(code).toBe(65);
  expect(err).toBe(
    [
      'line 5: expected body, got an empty field',
      'line 6: expected to, got an empty field',
      'line 7: expected 2 fields, got 3',
      `Correct the refused messages in ${rejects}, then send that file.\n`,
    ].join('\n'),
  );
  expect(seen.flat().map(parse)).toEqual([
    { to: 'bob@example.org', body: 'a "b"\r\nc', idempotency_key: expect.any(String) },
  ]);
  expect(readFileSync(rejects, 'utf8')).toBe(`\ufeffto,body\r\n${rows.join('\r\n')}\n`);
});

test.each([
  ['a quote inside', 'to,body\na@b,ok\nc@d,a "quote"\n', 'Invalid Opening Quote'],
  ['a quote without its end', 'to,body\na@b,ok\nc@d,"text\n', 'Quote Not Closed'],
])('CSV with %s is sent up to there', async (_what, input, said) => {
  const { url } = await startScript(() => receipt);
  const { code, err } = await send(url, input, ...named);
  expect([code, err]).toEqual([65, expect.stringContaining(said)]);
  expect(err).toMatch(
    /not CSV after line 2: .*\nStopped: stdin is done up to line 2\. To go on, add: --skip 2 /,
  );
});

test('text that is not UTF-8', async () => {
  const { url, seen } = await startScript(() => refusal);
  const folder = openFolder();
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), Buffer.from(content, 'latin1'));
    return join(folder, name);
  };
  const sendFile = (name: string) =>
    run(sendCommand, ['--url', url, '--user', 'bot@example.org', '--bulk', name, ...named], {
      env,
    });
  const csv = await sendFile(file('a.csv', 'to,body\na@b,\u00e4\n'));
  expect(csv.err).toContain('line 2: expected text in UTF-8\n');
  // The gateway says it of NDJSON.
  const json = await sendFile(file('a.ndjson', '{"to":"a@b","body":"\u00e4"}\n'));
  expect(json.err).toContain('line 1: 422');
  expect(seen).toEqual([[expect.not.stringContaining('idempotency_key')]]);
});

test.each([
  ['', 'expected messages, stdin is empty'],
  ['\n \n', 'expected messages, stdin is empty'],
  [
    'name,text\na,b\n',
    'CSV with a header that has to and body, got stdin with the first line "name,text"',
  ],
  ['to;body\na;b\n', 'got stdin with the first line "to;body"'],
  ['[]\n', 'expected NDJSON (lines that begin with {) or CSV'],
  [
    'to,body,nmae\n',
    'expected only the columns to, body, subject, type, id, idempotency_key in stdin, got "nmae"',
  ],
  ['to,body,to\n', 'expected each column of stdin once, got to,body,to'],
  ['to,"body\n', 'Quote Not Closed'],
])('refuses the input %j', async (input, said) => {
  await expect(send('http://127.0.0.1:1', input)).rejects.toThrow(said);
});

test('a file that cannot be used', async () => {
  const folder = openFolder();
  writeFileSync(join(folder, 'there'), ndjson('a'));
  mkdirSync(join(folder, 'folder'));
  const sendFile = (name: string, ...args: string[]) =>
    run(
      sendCommand,
      [
        '--url',
        'http://127.0.0.1:1',
        '--user',
        'bot@example.org',
        '--bulk',
        join(folder, name),
        ...args,
      ],
      { env },
    );
  await expect(sendFile('missing')).rejects.toThrow('missing: ENOENT: no such file or directory');
  await expect(sendFile('folder')).rejects.toThrow('folder cannot be read: EISDIR');
  const there = join(folder, 'there');
  await expect(sendFile('there', '--rejects', there)).rejects.toThrow('it exists already');
  await expect(sendFile('there', '--rejects', join(folder, 'no', 'x'))).rejects.toThrow('ENOENT');
  expect(readFileSync(there, 'utf8')).toBe(ndjson('a'));
});

test.each([
  [['--bulk', '-', '--to', 'bob@example.org'], 'expected --bulk or --to, got both'],
  [['--bulk', '-', '--type', 'chat'], 'expected --bulk or --type, got both'],
  [['--bulk', '-', '--subject', 'x'], 'expected --bulk or --subject, got both'],
  [['--bulk', '-', '--id', 'x'], 'expected --bulk or --id, got both'],
  [['--bulk', '-', 'text'], 'expected --bulk or a text, got both'],
  [['--bulk', '-', '--skip', 'x'], 'expected a number of lines as --skip, got "x"'],
  [['--to', 'bob@example.org', '--rejects', 'x', 'text'], 'expected --rejects only with --bulk'],
  [['--to', 'bob@example.org', '--skip', '1', 'text'], 'expected --skip only with --bulk'],
])('refuses %j', async (args, said) => {
  const call = ['--url', 'http://127.0.0.1:1', '--user', 'bot@example.org', ...args];
  await expect(run(sendCommand, call, { env })).rejects.toThrow(said);
});
