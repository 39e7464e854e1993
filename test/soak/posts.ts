import type { RequestOptions } from 'node:http';
import { basic } from '../support/clients/http.ts';
import { apiAccount } from '../support/gateway/gateway.ts';

/** One request, and the status it must get on each server. */
export interface Post {
  readonly bytes: Buffer;
  readonly status: { readonly prosody: number; readonly ejabberd: number };
  /** Does the message reach the recipient when it is accepted? */
  readonly arrives: boolean;
}

/** The user who posts to the URL of the XMPP users. */
export const bot = { username: 'bot', password: 'bot-secret' } as const;

const base = '/api/1.0/xmppdomains/example.org/gateway/messages';
const api = basic(apiAccount.username, apiAccount.password);
const user = basic(bot.username, bot.password);
const text = 'Disk 93 % full on db-1. '.repeat(4);

interface Draft {
  readonly method?: string;
  readonly path?: string;
  readonly authorization?: string;
  readonly type?: string;
  readonly body: string;
}

function build({
  method = 'POST',
  path = `${base}/alice`,
  authorization = api,
  ...rest
}: Draft): Buffer {
  const { type = 'application/json', body } = rest;
  const head = [
    `${method} ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    ...(authorization === '' ? [] : [`Authorization: ${authorization}`]),
    `Content-Type: ${type}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** A headline, which both servers deliver and neither archives. */
function buildMessage(id: string): string {
  return JSON.stringify({
    to: 'bob@example.org',
    body: text,
    message_attributes: { id, type: 'headline' },
  });
}

function goodJson(id: string): Draft {
  return { body: buildMessage(id) };
}

function goodXml(id: string): Draft {
  const body = `<message to="bob@example.org" type="headline" id="${id}"><body>${text}</body></message>`;
  return { path: base, authorization: user, type: 'application/xml', body };
}

const good = { prosody: 200, ejabberd: 200 };
const to = '"to": "bob@example.org"';

/** Refused requests, each for another reason; ejabberd does not return headlines to nobody. */
const refusals: readonly (readonly [draft: Draft, status: number, onEjabberd?: number])[] = [
  [{ body: '{' }, 400],
  [{ type: 'text/xml', body: '<message to="bob@example.org"><body></message>' }, 400],
  [{ authorization: '', body: `{${to}}` }, 401],
  [{ path: `${base}/a%40b`, body: `{${to}}` }, 404],
  [{ body: `{"to": "nobody@example.org", "body": "x"}` }, 404, 200],
  [{ method: 'PUT', body: `{${to}}` }, 405],
  [{ body: `{${to}, "body": "${'<'.repeat(70_000)}"}` }, 413],
  [{ type: 'text/html', body: 'x' }, 415],
  [{ body: `{${to}, "body": null, "x": 1}` }, 422],
  [{ path: base, authorization: user, type: 'text/xml', body: '<iq to="bob@example.org"/>' }, 422],
];

const refused: readonly Post[] = refusals.map(([draft, prosody, ejabberd = prosody]) => ({
  bytes: build(draft),
  status: { prosody, ejabberd },
  arrives: false,
}));

/** One request in this number is refused. */
const refusalInterval = 20;

/** The n-th request. */
export function buildPost(index: number): Post {
  const refusal = refused[(index / refusalInterval) % refused.length];
  if (refusal !== undefined) return refusal;
  const draft = index % 3 === 0 ? goodXml(`soak-${index}`) : goodJson(`soak-${index}`);
  return { bytes: build(draft), status: good, arrives: true };
}

/** A request whose lines come from `buildLine`. */
export function buildLinesHead(): RequestOptions {
  const headers = { authorization: api, 'content-type': 'application/x-ndjson' };
  return { method: 'POST', path: `${base}/alice`, headers };
}

/** The n-th line; its id begins with `line-`. */
export function buildLine(index: number): string {
  return `${buildMessage(`line-${index}`)}\n`;
}
