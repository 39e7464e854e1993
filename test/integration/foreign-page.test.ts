import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { find, type Stanza, text } from '../support/clients/stanza.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { startBrowser } from '../support/system/browser.ts';
import { freePort } from '../support/system/ports.ts';
import { runChild } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

let site: GatewaySite;
let browser: Browser;
/** It has the credentials for the gateway, whatever page asks. */
let context: BrowserContext;
let foreign: Server;
let foreignPort: number;

beforeAll(async () => {
  [site, browser, foreignPort] = await Promise.all([
    startGatewaySite(startProsody),
    startBrowser(),
    freePort(),
  ]);
  context = await browser.newContext({
    httpCredentials: { username: 'bot', password: 'bot-secret' },
  });
  foreign = createServer((request, response) => {
    // Then the Origin of a form is null.
    const policy = request.url === '/anonymous' ? 'no-referrer' : 'strict-origin';
    response.writeHead(200, { 'Content-Type': 'text/html', 'Referrer-Policy': policy });
    response.end('<!doctype html><title>A foreign page</title><body>');
  }).listen(foreignPort, '127.0.0.1');
  await once(foreign, 'listening');
});
afterAll(async () => {
  await browser?.close();
  foreign?.close();
  await site?.stop();
});
afterEach(async () => {
  for (const page of context.pages()) await page.close();
});

async function openPage(url: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(url);
  return page;
}

function messageUrl(): string {
  return `${site.gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages`;
}

/** Runs a script in the page, which has what it takes to send a message. */
function run(page: Page, script: string): Promise<unknown> {
  return page.evaluate(`(async () => {
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
  })()`);
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
/** To parts of a page of another site, Chromium does not give credentials. */
const withheld = { method: 'POST', status: 401, code: 'unauthenticated' };
const unsupported = { method: 'POST', status: 415, code: 'unsupported-media-type' };

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
    name: 'a form with parts',
    script: "makeForm({ enctype: 'multipart/form-data' }).submit()",
    fate: unsupported,
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
    script: "post(query, { mode: 'no-cors', body: 'x' })",
    inPage: true,
    fate: refused,
  },
  {
    name: 'fetch of a form, without CORS',
    script: "post(url, { mode: 'no-cors', body: fields })",
    inPage: true,
    fate: refused,
  },
  {
    name: 'fetch of a form, with CORS',
    script: 'post(url, { body: fields })',
    inPage: true,
    fate: refused,
  },
  {
    name: 'fetch of JSON',
    script: "post(url, { headers: { 'Content-Type': 'application/json' }, body: json })",
    inPage: true,
    fate: asked,
  },
  {
    name: 'fetch with the credentials in a header',
    script:
      "post(url, { headers: { Authorization: 'Basic ' + btoa('bot:bot-secret') }, body: fields })",
    inPage: true,
    fate: asked,
  },
  {
    name: 'a beacon in plain text',
    script: "navigator.sendBeacon(query, 'x')",
    inPage: true,
    fate: refused,
  },
  {
    name: 'a beacon with a form',
    script: 'navigator.sendBeacon(url, fields)',
    inPage: true,
    fate: refused,
  },
  {
    name: 'a beacon in JSON',
    script: "navigator.sendBeacon(url, new Blob([json], { type: 'application/json' }))",
    inPage: true,
    fate: asked,
  },
  {
    name: 'XMLHttpRequest',
    script: `const request = new XMLHttpRequest();
      request.open('POST', url);
      request.withCredentials = true;
      request.send(fields)`,
    inPage: true,
    fate: refused,
  },
];

describe.each([
  ['another site', 'localhost', ''],
  ['another port of the same host', '127.0.0.1', ''],
  ['another site that hides its origin', 'localhost', 'anonymous'],
])('a page of %s', (_, host, path) => {
  test.each(attempts)('sends nothing by $name', async ({ script, inPage, fate }) => {
    const expected = inPage && fate === refused && host === 'localhost' ? withheld : fate;
    const before = answers().length;
    const { length } = await messagesAtBob();
    const isNew = ({ status }: Line): boolean => status !== 401 || expected === withheld;
    const fates = (): Line[] => answers().slice(before).filter(isNew);
    await run(await openPage(`http://${host}:${foreignPort}/${path}`), script);
    await waitUntil(() => fates().length > 0, { label: 'an answer of the gateway' });
    expect(fates()).toEqual([expected]);
    expect((await messagesAtBob()).slice(length)).toEqual([]);
  });
});

describe('what is not foreign sends a form', () => {
  async function bodyAtBob(answer: unknown): Promise<string | undefined> {
    const { id } = JSON.parse(String(answer));
    const body = find((await site.bob.waitForMessage(id)).root, 'body');
    return body && text(body);
  }

  test('from the page at /docs', async () => {
    const page = await openPage(`${site.gateway.url}/docs`);
    const script = 'return (await post(url, { body: fields })).text()';
    expect(await bodyAtBob(await run(page, script))).toBe('from a page');
  });

  test('from a page of the gateway by submitting it', async () => {
    const page = await openPage(`${site.gateway.url}/livez`);
    await run(page, 'makeForm({}).submit()');
    await page.waitForURL(messageUrl());
    expect(await bodyAtBob(await page.innerText('body'))).toBe('from a page');
  });

  test('from curl', async () => {
    const args = ['-sS', '-u', 'bot:bot-secret', '-d', 'to=bob@example.org', '-d', 'body=curl'];
    const { stdout } = await runChild({ file: 'curl', args: [...args, messageUrl()] });
    expect(await bodyAtBob(stdout)).toBe('curl');
  });
});
