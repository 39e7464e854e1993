import { basic } from '../build/support/clients/http.js';
import { apiAccount } from '../build/support/gateway/gateway.js';
import { idTemplate } from './samples.mjs';
import { bot } from './site.mjs';

const to = 'bob@example.org';
const path = '/api/1.0/xmppdomains/example.org/gateway/messages';
const api = basic(apiAccount.username, apiAccount.password);

/** Text without anything to escape. */
function text(bytes) {
  return 'Disk 93 percent full on db-1, since 4 minutes ago. '
    .repeat(bytes / 50 + 1)
    .slice(0, bytes);
}

function stanza(bytes, sender) {
  return `<message id='${idTemplate}' from='${sender}' to='${to}' type='chat'><body>${text(bytes)}</body></message>`;
}

function httpPost(target, body, authorization) {
  const head = [
    `POST ${target} HTTP/1.1`,
    'Host: 127.0.0.1',
    ...(authorization === undefined ? [] : [`Authorization: ${authorization}`]),
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

function messageJson(bytes) {
  return JSON.stringify({
    to,
    body: text(bytes),
    message_attributes: { id: idTemplate },
  });
}

function sendStanzaJson(bytes) {
  const from = 'alice@example.org';
  return JSON.stringify({ from, to, stanza: stanza(bytes, from) });
}

/** The head of a request that goes on as long as there are lines. */
const linesHead = [
  `POST ${path}/alice HTTP/1.1`,
  'Host: 127.0.0.1',
  `Authorization: ${api}`,
  'Content-Type: application/x-ndjson',
  'Transfer-Encoding: chunked',
  '\r\n',
].join('\r\n');

const botBasic = basic(bot.username, bot.password);
const ejabberdBasic = basic(`${bot.username}@example.org`, bot.password);

/** Ways to send a message: without HTTP, one in each request, or as the lines of a single request. */
export const contenders = {
  ceiling: {
    title: 'component without HTTP (the ceiling)',
    blast: (bytes) => stanza(bytes, 'alice@example.org'),
  },
  api: {
    title: 'gateway, URL of API accounts',
    target: ({ gateway }) => gateway,
    request: (bytes) => httpPost(`${path}/alice`, messageJson(bytes), api),
  },
  bulk: {
    title: 'gateway, many in one request',
    target: ({ gateway }) => gateway,
    request: () => linesHead,
    line: (bytes) => `${messageJson(bytes)}\n`,
  },
  user: {
    title: 'gateway, URL of XMPP users',
    target: ({ gateway }) => gateway,
    request: (bytes) => httpPost(path, messageJson(bytes), botBasic),
  },
  before: {
    title: 'another build, URL of API accounts',
    needs: 'against',
    target: ({ before }) => before,
    request: (bytes) => httpPost(`${path}/alice`, messageJson(bytes), api),
  },
  bulkBefore: {
    title: 'another build, many in one request',
    needs: 'against',
    target: ({ before }) => before,
    request: () => linesHead,
    line: (bytes) => `${messageJson(bytes)}\n`,
  },
  naive: {
    title: 'naive Koa + send(), confirms nothing',
    target: ({ naive }) => naive,
    request: (bytes) => httpPost('/messages/alice', messageJson(bytes), api),
  },
  ejabberd: {
    title: "ejabberd's HTTP API, by IP address",
    needs: 'ejabberd',
    target: ({ server }) => ({ port: server.adminPort }),
    request: (bytes) => httpPost('/api/send_stanza', sendStanzaJson(bytes)),
  },
  ejabberdBasic: {
    title: "ejabberd's HTTP API, Basic",
    needs: 'ejabberd',
    target: ({ server }) => ({ port: server.adminPort }),
    request: (bytes) => httpPost('/api/send_stanza', sendStanzaJson(bytes), ejabberdBasic),
  },
};
