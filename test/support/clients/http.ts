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
import { hangMs } from '../system/wait.ts';

/** What a request consists of besides its URL. */
export interface RequestOptions {
  /** Default GET. */
  readonly method?: string;
  /** User and password for Basic authentication, or the header's whole value. */
  readonly auth?: readonly [user: string, password: string] | string;
  /** Content-Type. */
  readonly type?: string;
  readonly body?: string | Uint8Array;
  readonly headers?: OutgoingHttpHeaders;
  /** PEM text of the CA to trust, for https. */
  readonly ca?: string;
  /** False for a connection that only this request uses. */
  readonly agent?: Agent | false;
  /** Deadline of the whole exchange; default `hangMs`. */
  readonly timeoutMs?: number;
}

/** A request to a gateway in the same process. */
export interface LoopbackRequest extends RequestOptions {
  /** Default `/`. */
  readonly path?: string;
}

/** An HTTP response that was read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The body as a JSON object; throws when it is not one. */
  json(): Record<string, unknown>;
}

// Not the URL class: it would resolve dot segments.
const urlPattern = /^(?<scheme>https?):\/\/(?<host>[^/:]+):(?<port>\d+)(?<target>.*)$/s;

/** The value of an Authorization header for Basic authentication (RFC 7617), in UTF-8. */
export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function headersOf({ auth, type, body, headers }: RequestOptions): OutgoingHttpHeaders {
  const isChunked = Object.keys(headers ?? {}).some((name) => /^transfer-encoding$/i.test(name));
  return {
    ...(body === undefined || isChunked ? {} : { 'content-length': Buffer.byteLength(body) }),
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
    path: parts['target'] || '/',
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
  return buildAnswer(response.statusCode ?? 0, response.headers, body);
}

/** An answer from its parts. */
export function buildAnswer(
  status: number,
  headers: IncomingHttpHeaders,
  body: string,
): HttpAnswer {
  return { status, headers, body, json: () => parseObject(body) };
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
    const { timeoutMs = hangMs } = options;
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

/** `request` with POST and, by default, JSON. */
export function post(url: string, options: RequestOptions = {}): Promise<HttpAnswer> {
  return request(url, { method: 'POST', type: 'application/json', ...options });
}

/** `request` to a path on a loopback port, on a connection that only it uses. */
export function send(
  port: number,
  { path = '/', ...options }: LoopbackRequest,
): Promise<HttpAnswer> {
  return request(`http://127.0.0.1:${port}${path}`, { agent: false, ...options });
}
