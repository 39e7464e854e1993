import {
  type Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions as NodeRequestOptions,
  type OutgoingHttpHeaders,
  request as requestHttp,
} from 'node:http';
import { request as requestHttps } from 'node:https';
import { connect } from 'node:net';

/** What a request consists of besides its URL. */
export interface RequestOptions {
  /** Default GET. */
  readonly method?: string;
  /** The exact request target, instead of the URL's. */
  readonly target?: string;
  /** User and password for Basic authentication, or the header's whole value. */
  readonly auth?: readonly [user: string, password: string] | string;
  /** Content-Type. */
  readonly type?: string;
  readonly body?: string | Buffer;
  readonly headers?: OutgoingHttpHeaders;
  /** PEM text of the CA to trust, for https. */
  readonly ca?: string;
  readonly agent?: Agent;
  /** Deadline of the whole exchange; default 40,000, longer than the gateway's own. */
  readonly timeoutMs?: number;
}

/** An HTTP response that was read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The body as a JSON object; throws when it is none. */
  json(): Record<string, unknown>;
}

// Not the URL class: it would resolve dot segments.
const urlPattern = /^(?<scheme>https?):\/\/(?<host>[^/:]+):(?<port>\d+)(?<target>.*)$/s;

/** The value of an Authorization header for Basic authentication (RFC 7617), in UTF-8. */
export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function headersOf({ auth, type, body, headers }: RequestOptions): OutgoingHttpHeaders {
  return {
    ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    ...(type === undefined ? {} : { 'content-type': type }),
    ...(auth === undefined
      ? {}
      : { authorization: typeof auth === 'string' ? auth : basic(auth[0], auth[1]) }),
    ...headers,
  };
}

function openRequest(url: string, options: RequestOptions): ClientRequest {
  const parts = urlPattern.exec(url)?.groups;
  if (parts === undefined) throw new Error(`expected http(s)://host:port/…, got ${url}`);
  const target: NodeRequestOptions & { ca?: string } = {
    host: parts['host'],
    port: Number(parts['port']),
    method: options.method ?? 'GET',
    path: options.target ?? (parts['target'] || '/'),
    headers: headersOf(options),
    agent: options.agent,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  };
  return parts['scheme'] === 'https' ? requestHttps(target) : requestHttp(target);
}

async function readAnswer(response: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString('utf8');
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body,
    json: () => parseObject(body),
  };
}

function parseObject(body: string): Record<string, unknown> {
  const value: unknown = JSON.parse(body);
  if (typeof value !== 'object' || value === null) {
    throw new Error(`expected a JSON object, got ${body}`);
  }
  return { ...value };
}

/** Sends a request whose path is exactly as written (no normalisation) and reads the answer. */
export function request(url: string, options: RequestOptions = {}): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = openRequest(url, options);
    const { timeoutMs = 40_000 } = options;
    const deadline = setTimeout(
      () => outgoing.destroy(new Error(`expected an answer from ${url} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    outgoing.once('close', () => clearTimeout(deadline));
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      readAnswer(response).then(resolve, reject);
    });
    outgoing.end(options.body);
  });
}

/** `request` with POST and, unless told otherwise, JSON. */
export function post(url: string, options: RequestOptions = {}): Promise<HttpAnswer> {
  return request(url, { method: 'POST', type: 'application/json', ...options });
}

/** Writes bytes to a loopback port and returns what came until the peer closed or time was up. */
export function rawRequest(
  port: number,
  bytes: string | Buffer,
  timeoutMs = 2000,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    const deadline = setTimeout(() => socket.destroy(), timeoutMs);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // A reset ends the answer; only a connection that never was is a failure.
      if (error.code === 'ECONNREFUSED') reject(error);
    });
    socket.once('close', () => {
      clearTimeout(deadline);
      resolve(Buffer.concat(chunks).toString('utf8'));
    });
  });
}
