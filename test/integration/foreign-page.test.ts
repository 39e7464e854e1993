import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { find, type Stanza, text } from '../support/clients/stanza.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { startBrowser, type TestBrowser } from '../support/system/browser.ts';
import { freePort } from '../support/system/ports.ts';
import { waitUntil } from '../support/system/wait.ts';

let site: GatewaySite;
let browser: TestBrowser;
/** One page goes everywhere: Chromium does not always close one that is leaving for another. */
let page: Page;
let foreign: Server;
let foreignPort: number;

beforeAll(async () => {
  [site, browser, foreignPort] = await Promise.all([
    startGatewaySite(startProsody),
    startBrowser(),
    freePort(),
  ]);
  foreign = createServer((request, response) => {
    // Then the Origin of a form is null.
    const policy = request.url === '/anonymous' ? 'no-referrer' : 'strict-origin';
    response.writeHead(200, { 'Content-Type': 'text/html', 'Referrer-Policy': policy });
    response.end('<!doctype html><title>A foreign page</title><body>');
  }).listen(foreignPort, '127.0.0.1');
  await once(foreign, 'listening');
  page = await browser.browser.newPage();
  await logIn();
});
afterAll(async () => {
  await browser?.stop();
  foreign?.closeAllConnections();
  foreign?.close();
  await site?.stop();
});

function messageUrl(): string {
  return `${site.gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages`;
}

/** Waits until the page shows an answer of the URL for messages. */
async function waitForAnswer(): Promise<void> {
  await page.waitForURL(({ pathname }) => pathname === new URL(messageUrl()).pathname);
}

/** The browser remembers the credentials of a form of the gateway's own that was sent with them. */
async function logIn(): Promise<void> {
  await page.goto(`${site.gateway.url}/livez`);
  await run("makeForm({ action: url.replace('//', '//bot:bot-secret@') }).submit()");
  await waitForAnswer();
  expect(JSON.parse(await page.innerText('body'))).toMatchObject({ status: 'success' });
}

/**
 * Starts a script in the page, which has what it takes to send a message. It is not waited for,
 * because it may take the page elsewhere.
 */
async function run(script: string): Promise<void> {
  await page.evaluate(`setTimeout(() => {
    const url = ${JSON.stringify(messageUrl())};
    const query = url + '?to=bob@example.org';
    const fields = new URLSearchParams({ to: 'bob@example.org', body: 'from a page' });
    const json = '{"to": "bob@example.org", "body": "from a page"}';
    const create = (name, members) => Object.assign(document.createElement(name), members);
    const makeForm = (members) => {
      const form = create('form', { method: 'post', action: url, ...members });
      for (const [name, value] of fields) form.append(create('input', { name, value }));
      document.body.append(form);
      return form;
    };
    const post = (to, options) =>
      fetch(to, { method: 'POST', credentials: 'include', ...options }).catch(String);
    ${script}
  })`);
}

type Line = Readonly<Record<'method' | 'status' | 'code', unknown>>;

/** How the gateway answered the requests to the URL for messages so far. */
function answers(): Line[] {
  return site.gateway
    .logLines()
    .filter(({ msg, route }) => msg === 'request' && route === 'user')
    .map(({ method, status, code }) => ({ method, status, code }));
}

async function messagesAtBob(): Promise<Stanza[]> {
  await site.bob.settle();
  return site.bob.received.filter(({ root }) => root.name === 'message');
}

const refused = { method: 'POST', status: 403, code: 'cross-origin' };
/** The browser asks first, and the gateway does not permit it. */
const asked = { method: 'OPTIONS', status: 405, code: 'method-not-allowed' };

const attempts: readonly {
  readonly name: string;
  readonly script: string;
  /** It does not open the answer as a page. */
  readonly inPage?: true;
  readonly fate: Line;
}[] = [
  { name: 'a form', script: 'makeForm({}).submit()', fate: refused },
  {
    name: 'a form in plain text',
    script: "makeForm({ enctype: 'text/plain', action: query }).submit()",
    fate: refused,
  },
  {
    name: 'a form in a frame',
    script: `document.body.append(create('iframe', { name: 'frame' }));
      makeForm({ target: 'frame' }).submit()`,
    inPage: true,
    fate: refused,
  },
  {
    name: 'fetch of plain text, without CORS',
    script: "void post(query, { mode: 'no-cors', body: 'x' })",
    inPage: true,
    fate: refused,
  },
  {
    name: 'fetch of a form, with CORS',
    script: 'void post(url, { body: fields })',
    inPage: true,
    fate: refused,
  },
  {
    name: 'fetch of JSON',
    script: "void post(url, { headers: { 'Content-Type': 'application/json' }, body: json })",
    inPage: true,
    fate: asked,
  },
  {
    name: 'a beacon with a form',
    script: 'navigator.sendBeacon(url, fields)',
    inPage: true,
    fate: refused,
  },
];

describe.each([
  ['another site', 'localhost', ''],
  ['another port of the same host', '127.0.0.1', ''],
  ['another site that hides its origin', 'localhost', 'anonymous'],
])('a page of %s', (_, host, path) => {
  // What the page hides is the Origin of its forms.
  const made = attempts.filter(({ inPage }) => path === '' || !inPage);
  test.each(made)('sends nothing by $name', async ({ script, inPage, fate }) => {
    await page.goto(`http://${host}:${foreignPort}/${path}`);
    const before = answers().length;
    const { length } = await messagesAtBob();
    // Where the browser has credentials, it gives them only after a 401.
    const isFinal = ({ status }: Line): boolean => status !== 401;
    const fates = (): Line[] => answers().slice(before).filter(isFinal);
    await run(script);
    await waitUntil(() => fates().length > 0, { label: 'an answer of the gateway' });
    expect(fates()).toEqual([fate]);
    expect((await messagesAtBob()).slice(length)).toEqual([]);
    if (!inPage) await waitForAnswer();
  });
});

test('a page of the gateway sends a form', async () => {
  await page.goto(`${site.gateway.url}/livez`);
  await run('makeForm({}).submit()');
  await waitForAnswer();
  const { id } = JSON.parse(await page.innerText('body'));
  const body = find((await site.bob.waitForMessage(id)).root, 'body');
  expect(body && text(body)).toBe('from a page');
});
