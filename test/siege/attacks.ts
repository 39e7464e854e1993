/** What a crowd of clients does to a gateway. */
export interface Attack {
  readonly name: string;
  readonly connections: number;
  readonly port?: 'http' | 'metrics';
  readonly tls?: boolean;
  /** What each connection sends, again after each complete set of answers. */
  readonly bytes: () => Buffer;
  /** Number of answers to these bytes; 0 for requests that never end. */
  readonly answers: number;
  /** How the answers are read: at once, not at all, or 1 KiB a second. */
  readonly reads: 'all' | 'none' | 'slowly';
  /** Closes the sending half after the bytes. */
  readonly closesHalf?: boolean;
}

const path = '/api/1.0/xmppdomains/example.org/gateway/messages/alice';
const crlf = '\r\n';

/** Credentials of the API account that `siege` configures. */
export const credentials = { username: 'alerts', password: 'alerts-secret' } as const;

function authorize(password: string): string {
  const encoded = Buffer.from(`${credentials.username}:${password}`).toString('base64');
  return `Authorization: Basic ${encoded}`;
}

const good = authorize(credentials.password);
const body = JSON.stringify({ to: 'bob@example.org', body: 'x'.repeat(100) });

function get(target: string, ...lines: readonly string[]): string {
  return [`GET ${target} HTTP/1.1`, 'Host: h', ...lines, '', ''].join(crlf);
}

function post(...lines: readonly string[]): string {
  const own = ['Host: h', 'Content-Type: application/json', ...lines];
  return [`POST ${path} HTTP/1.1`, ...own, '', ''].join(crlf);
}

function message(authorization: string): string {
  return post(authorization, `Content-Length: ${body.length}`) + body;
}

const repeat =
  (text: string, count: number, before = '') =>
  (): Buffer =>
    Buffer.from(before + text.repeat(count));

const document = get('/openapi.json');
const live = get('/livez');
const halfBody = 256 * 1024;

function halfOf(authorization: string): () => Buffer {
  return repeat('x', halfBody - 1, post(authorization, `Content-Length: ${halfBody}`));
}

const large = { connections: 1000, answers: 600, reads: 'none' } as const;

/** The attacks; each gets a new gateway. */
export const attacks: readonly Attack[] = [
  {
    name: '20: 300 messages in one write',
    connections: 20,
    bytes: repeat(message(good), 300),
    answers: 300,
    reads: 'all',
  },
  { ...large, name: '1000: large answers not read, pipelined', bytes: repeat(live, 600, document) },
  { ...large, name: 'the same, openapi.json only', bytes: repeat(document, 600) },
  { ...large, name: 'the same over TLS', tls: true, bytes: repeat(live, 600, document) },
  { ...large, name: 'the same, half-closed', closesHalf: true, bytes: repeat(document, 600) },
  {
    ...large,
    name: 'the same with credentials',
    bytes: repeat(message(good), 600, document.repeat(20)),
  },
  {
    name: '100: 2000 pipelined /livez, read',
    connections: 100,
    bytes: repeat(live, 2000),
    answers: 2000,
    reads: 'all',
  },
  {
    name: '100: 50 paths of 15,000 slashes, read',
    connections: 100,
    bytes: repeat(get(`/a${'/'.repeat(15_000)}x`), 50),
    answers: 50,
    reads: 'all',
  },
  {
    name: '100: 50 with 15,000 commas to accept, read',
    connections: 100,
    bytes: repeat(get('/', `Accept: ${','.repeat(15_000)}`), 50),
    answers: 50,
    reads: 'all',
  },
  {
    name: '100: 500 wrong passwords, read',
    connections: 100,
    bytes: repeat(message(authorize('wrong')), 500),
    answers: 500,
    reads: 'all',
  },
  {
    name: '1000: one /livez each, read',
    connections: 1000,
    bytes: repeat(live, 1),
    answers: 1,
    reads: 'all',
  },
  {
    name: '1000: openapi.json, read',
    connections: 1000,
    bytes: repeat(document, 1),
    answers: 1,
    reads: 'all',
  },
  {
    name: '1000: 1 KiB/s of a large answer',
    connections: 1000,
    bytes: repeat(document, 1),
    answers: 1,
    reads: 'slowly',
  },
  {
    name: 'the same over TLS, 1 KiB/s',
    connections: 1000,
    tls: true,
    bytes: repeat(document, 1),
    answers: 1,
    reads: 'slowly',
  },
  {
    name: '3000: half bodies, no credentials',
    connections: 3000,
    bytes: halfOf('X: y'),
    answers: 0,
    reads: 'all',
  },
  {
    name: '3000: half bodies, credentials',
    connections: 3000,
    bytes: halfOf(good),
    answers: 0,
    reads: 'all',
  },
  {
    name: '1000: half bodies, credentials',
    connections: 1000,
    bytes: halfOf(good),
    answers: 0,
    reads: 'all',
  },
  {
    name: '200: chunks of one byte, credentials',
    connections: 200,
    bytes: repeat(`1${crlf}x${crlf}`, 40_000, post(good, 'Transfer-Encoding: chunked')),
    answers: 0,
    reads: 'all',
  },
  {
    name: '200: lines in chunks of one byte, credentials',
    connections: 200,
    bytes: repeat(
      `1${crlf}\n${crlf}`,
      40_000,
      post(good, 'Transfer-Encoding: chunked').replace('application/json', 'application/x-ndjson'),
    ),
    answers: 0,
    reads: 'all',
  },
  {
    name: '1000: heads of 15 KiB without end',
    connections: 1000,
    bytes: repeat(`X-Y: ${'z'.repeat(143)}${crlf}`, 99, `GET /livez HTTP/1.1${crlf}Host: h${crlf}`),
    answers: 0,
    reads: 'all',
  },
  {
    name: '1000: pipelined heads of 15 KiB, not read',
    connections: 1000,
    bytes: repeat(get('/openapi.json', ...Array<string>(95).fill(`X-Y: ${'z'.repeat(143)}`)), 30),
    answers: 30,
    reads: 'none',
  },
  {
    name: '100: 300 pipelined /metrics, read',
    connections: 100,
    port: 'metrics',
    bytes: repeat(get('/metrics'), 300),
    answers: 300,
    reads: 'all',
  },
  {
    name: '1000: 300 pipelined /metrics, not read',
    connections: 1000,
    port: 'metrics',
    bytes: repeat(get('/metrics'), 300),
    answers: 300,
    reads: 'none',
  },
];
