import { basic } from '../support/clients/http.ts';
import { apiAccount } from '../support/gateway/gateway.ts';
import type { Corpus, Notation } from './corpus.ts';
import { mutateBody } from './mutate.ts';
import { mutateForm } from './mutate-form.ts';
import { createRandom, type Random } from './random.ts';
import {
  headerFields,
  methods,
  pathTokens,
  queries,
  templateNames,
  usernames,
} from './request-dictionary.ts';

/** One request of the fuzzer. */
export interface FuzzRequest {
  readonly index: number;
  /** The request as it is written to the connection. */
  readonly bytes: Buffer;
  /** The sender of its message; undefined when URL or credentials were changed. */
  readonly sender: string | undefined;
}

/** The user who posts to the URL of the XMPP users. */
export const bot = { username: 'bot', password: 'bot-secret' } as const;

const domain = 'example.org';
const base = `/api/1.0/xmppdomains/${domain}/gateway/messages`;
const contentTypes: Readonly<Record<Notation, readonly string[]>> = {
  json: ['application/json', 'application/json', 'Application/JSON; charset="utf-8"'],
  xml: ['application/xml', 'text/xml', 'application/xmpp+xml', 'text/xml;charset=UTF-8'],
  form: ['application/x-www-form-urlencoded', 'application/x-www-form-urlencoded;charset=UTF-8'],
  text: ['text/plain', 'text/plain; charset=utf-8'],
};
/** The two forms with the most ways to go wrong are the most frequent. */
const notations: readonly Notation[] = ['json', 'json', 'xml', 'xml', 'form', 'text'];
/** The senders that the API account uses. */
export const localparts = ['alice', 'carol', 'a+b', 'x_1'];

/** Replaces or inserts text, but no line ends, which would begin another header field or request. */
function changeText(text: string, put: readonly string[], random: Random): string {
  const start = random.int(text.length + 1);
  const end = random.oneIn(2) ? start : start + random.int(5);
  const piece = random.oneIn(3) ? String.fromCharCode(random.int(256)) : random.pick(put);
  return (text.slice(0, start) + piece + text.slice(end)).replaceAll(/[\r\n]/g, ' ');
}

/** Whether a field determines where the request ends; this fuzzer leaves those alone. */
function isFraming(field: string): boolean {
  return /^\s*(?:content-length|transfer-encoding)/i.test(field);
}

function changeFields(fields: readonly string[], random: Random): string[] {
  const changed = [...fields];
  const index = random.int(changed.length);
  const field = changed[index] ?? '';
  const put = random.oneIn(2)
    ? random.pick(headerFields)
    : changeText(field, [' ', '\t', ':', ',', '"', '\u0000', 'é', 'x'.repeat(20_000)], random);
  changed.splice(index, random.int(2), put);
  return changed.filter((it) => !isFraming(it));
}

interface Url {
  readonly path: string;
  readonly sender: string | undefined;
  readonly authorization: string;
}

function chooseUrl(random: Random): Url {
  const isApi = random.oneIn(2);
  const localpart = isApi ? random.pick(localparts) : bot.username;
  const authorization = isApi
    ? basic(apiAccount.username, apiAccount.password)
    : basic(bot.username, bot.password);
  const url = isApi ? `${base}/${localpart}` : base;
  if (isApi && random.oneIn(10)) {
    return { path: `${base}/${random.pick(usernames)}`, sender: undefined, authorization };
  }
  if (random.oneIn(30)) {
    return { path: changeText(url, pathTokens, random), sender: undefined, authorization };
  }
  return { path: url, sender: `${localpart}@${domain}`, authorization };
}

/** A query for a body in that notation, with its question mark; most need none. */
function chooseQuery(notation: Notation, random: Random): string {
  const hasTemplate = notation === 'json' && random.oneIn(8);
  if (notation !== 'text' && !hasTemplate && !random.oneIn(30)) return '';
  const fields = random.pick(queries);
  let query = hasTemplate ? `template=${random.pick(templateNames)}&${fields}` : fields;
  for (let changes = random.int(3); changes > 0; changes -= 1) query = mutateForm(query, random);
  // In UTF-8, as the rest of a head goes byte by byte; a line end would begin a header field.
  return `?${Buffer.from(query)
    .toString('latin1')
    .replaceAll(/[\r\n]/g, ' ')}`;
}

/** Builds the requests of a run; the n-th does not depend on the outcome of others. */
export function createRequests(corpus: Corpus, seed: number): (index: number) => FuzzRequest {
  return (index) => {
    const random = createRandom(seed, index);
    const notation = random.pick(notations);
    const body = mutateBody(corpus, notation, random);
    const { path, sender, authorization } = chooseUrl(random);
    const query = chooseQuery(notation, random);
    const announced = random.oneIn(40) ? random.pick(notations) : notation;
    const fields = [
      'Host: 127.0.0.1',
      `Authorization: ${authorization}`,
      `Content-Type: ${random.pick(contentTypes[announced])}`,
    ];
    const isTampered = random.oneIn(25);
    const head = [
      `${random.oneIn(60) ? random.pick(methods) : 'POST'} ${path}${query} HTTP/1.1`,
      ...(isTampered ? changeFields(fields, random) : fields),
      `Content-Length: ${body.length}`,
    ];
    return {
      index,
      bytes: Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), body]),
      sender: isTampered ? undefined : sender,
    };
  };
}
