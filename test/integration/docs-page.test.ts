import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { createServer, request as requestGateway, type Server } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { request } from '../support/clients/http.ts';
import { find, text } from '../support/clients/stanza.ts';
import { gatewayConfig, startGatewayProcess } from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startProsody } from '../support/servers/prosody.ts';
import {
  findBarriers,
  keepScreenshot,
  type ObservedPage,
  openPage,
  startBrowser,
  type TestBrowser,
} from '../support/system/browser.ts';
import { freePort } from '../support/system/ports.ts';
import { runChild } from '../support/system/processes.ts';

const dist = fileURLToPath(new URL('../../dist', import.meta.url));
const wide = { width: 1280, height: 900 };
const phone = { width: 375, height: 812 };

let site: GatewaySite;
let browser: TestBrowser;

beforeAll(async () => {
  [site, browser] = await Promise.all([startGatewaySite(startProsody), startBrowser()]);
});
afterAll(async () => {
  await browser?.stop();
  await site?.stop();
});

async function openDocs(
  options: BrowserContextOptions = {},
  url = `${site.gateway.url}/docs`,
): Promise<ObservedPage> {
  const opened = await openPage(browser, { viewport: wide, ...options });
  await opened.page.goto(url);
  return opened;
}

/** Waits until the page knows that the gateway is ready. */
async function untilReady(page: Page): Promise<void> {
  await page.locator('#state[data-state=ready]').waitFor();
}

async function fillIn(page: Page, body: string): Promise<void> {
  await untilReady(page);
  await page.getByLabel('User name').fill('bot');
  await page.getByLabel('Password').fill('bot-secret');
  await page.getByLabel('To', { exact: true }).fill('bob@example.org');
  await page.getByLabel('Text', { exact: true }).fill(body);
}

function click(page: Page, name: string): Promise<void> {
  return page.getByRole('button', { name, exact: true }).click();
}

async function waitForAnswer(page: Page, outcome: string): Promise<void> {
  await page.locator(`#answer[data-outcome=${outcome}]`).waitFor();
}

/** The code under the headline of an answer of that kind, as soon as there is one. */
async function answerOf(page: Page, outcome: string): Promise<string> {
  // In a closed <details> it has no inner text.
  return (await page.locator(`#answer[data-outcome=${outcome}] pre`).textContent()) ?? '';
}

async function bodyAtBob(id: unknown): Promise<string | undefined> {
  const body = find((await site.bob.waitForMessage(String(id))).root, 'body');
  return body && text(body);
}

/** The marked field, with the text below it. */
async function faultsOf(page: Page): Promise<string[][]> {
  await page.locator('.fault').first().waitFor();
  const fields = await page.locator('.field:has([aria-invalid])').all();
  return Promise.all(
    fields.map(async (field) => [
      await field.locator('label').innerText(),
      (await field.locator('.fault').innerText()).replace(' Why?', ''),
    ]),
  );
}

/** How the examples are run. */
const examples: readonly {
  readonly language: string;
  readonly toCommand: (code: string) => string[];
}[] = [
  {
    language: 'curl',
    // Nobody is there to type the password.
    toCommand: (code) => ['sh', '-c', code.replace('-u bot', '-sS -u bot:bot-secret')],
  },
  {
    language: 'send',
    toCommand: (code) => [
      'sh',
      '-c',
      code.replace('xmpp-message-gateway', () => `node ${join(dist, 'main.js')}`),
    ],
  },
  { language: 'Python', toCommand: (code) => ['python3', '-c', code] },
  { language: 'Node.js', toCommand: (code) => ['node', '--input-type=module', '-e', code] },
];

describe('the page at /docs', () => {
  test('previews a message and sends it', async () => {
    const { page, complaints, origins } = await openDocs();
    await fillIn(page, 'Disk 93 % full on db1 ⚠');
    await click(page, 'Preview');
    expect(await answerOf(page, 'preview')).toContain('<body>Disk 93 % full on db1 ⚠</body>');
    await site.bob.settle();
    expect(site.bob.received.filter(({ root }) => root.name === 'message')).toEqual([]);

    await page.getByLabel('Text', { exact: true }).press('Control+Enter');
    const { id } = JSON.parse(await answerOf(page, 'sent'));
    expect(await bodyAtBob(id)).toBe('Disk 93 % full on db1 ⚠');
    // The picture in README.md.
    await page.mouse.move(0, 0);
    await page.evaluate('document.activeElement.blur(); scrollTo({ top: 0, behavior: "instant" })');
    await keepScreenshot(page, 'docs-page.png');
    expect(complaints).toEqual([]);
    expect([...origins]).toEqual([site.gateway.url]);
  });

  test('offers the same for the shell, Python and Node.js', async () => {
    const { page } = await openDocs();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    for (const { language, toCommand } of examples) {
      await page.getByLabel(language, { exact: true }).check();
      await page.getByLabel('Text', { exact: true }).fill('');
      await page.getByText('Replace what is marked.').waitFor();
      const body = `${language}: it's $HOME \`id\` \\ "quoted" & <more>\nand a second line ✓`;
      await fillIn(page, body);
      expect(await page.locator('mark').count()).toBe(0);
      await click(page, 'Copy');
      await page.getByText('Copied.', { exact: true }).waitFor();
      const code = String(await page.evaluate('navigator.clipboard.readText()'));
      expect(code).not.toContain('bot-secret');
      const [file = '', ...args] = toCommand(code);
      const env = { XMPP_GATEWAY_PASSWORD: 'bot-secret' };
      const { code: exitCode, stdout, stderr } = await runChild({ file, args, env });
      expect([exitCode, stderr]).toEqual([0, '']);
      const id = /"id": ?"([^"]*)"/.exec(stdout)?.[1] ?? stdout.trim();
      expect(await bodyAtBob(id)).toBe(body);
    }
  });

  test('goes by the keyboard alone, on a phone, as anybody', async () => {
    const { page, complaints } = await openDocs({ viewport: phone });
    await untilReady(page);
    const { keyboard } = page;
    /** Presses keys; anything that is not the name of a key is typed. */
    const keys = async (...steps: readonly string[]): Promise<void> => {
      for (const step of steps) {
        if (/^(Tab|Enter|ArrowDown|ArrowRight)$/.test(step)) await keyboard.press(step);
        else await keyboard.type(step);
      }
    };
    await page.getByLabel('A user of the XMPP server').focus();
    await keys('ArrowRight', 'Tab', 'alerts', 'Tab', 'alerts-secret', 'Tab', 'Tab', 'alice');
    await keys('Tab', 'bob@example.org', 'Tab', 'line 1\nline 2', 'Tab', 'Enter');
    await keys('Tab', 'Phone', 'Tab', 'h', 'Tab', "it's-me", 'Enter');
    expect(await answerOf(page, 'preview')).toBe(
      '<message to="bob@example.org" from="alice@example.org" id="it&apos;s-me" type="headline"><body>line 1\nline 2</body><subject>Phone</subject></message>',
    );
    await keys('Tab', 'Tab', 'Tab', 'Tab', 'Enter');
    await answerOf(page, 'sent');
    expect(await bodyAtBob("it's-me")).toBe('line 1\nline 2');
    expect(complaints).toEqual([]);
  });

  test('says what is wrong, at the field, and keeps no password', async () => {
    const { page } = await openDocs();
    await untilReady(page);
    await click(page, 'Send');
    expect((await faultsOf(page)).map(([label]) => label)).toEqual([
      'User name',
      'Password',
      'To',
      'Text',
    ]);
    await fillIn(page, 'x');
    // Each mark disappeared when its field was filled in.
    expect(await page.locator('.fault').count()).toBe(0);
    await page.getByLabel('Password').fill('wrong');
    await click(page, 'Send');
    await page.getByText('The user name or the password is wrong').waitFor();
    expect(await faultsOf(page)).toEqual([['Password', 'Wrong, or of the other kind of account.']]);
    await click(page, 'Log in as an account of the gateway');
    expect(await page.getByLabel('An account of the gateway').isChecked()).toBe(true);
    expect(await page.locator('.fault').count()).toBe(0);
    await page.getByText('Earlier answer').waitFor();
    await page.getByLabel('A user of the XMPP server').check();
    await page.getByLabel('Password').fill('bot-secret');
    await page.getByLabel('To', { exact: true }).fill('bob@@example.org');
    await click(page, 'Preview');
    await page.getByText(/^To: .*bob@@example.org/).waitFor();
    expect(await faultsOf(page)).toEqual([['To', 'Not valid.']]);
    expect(await page.evaluate('document.activeElement.id')).toBe('to');
    await page.getByLabel('To', { exact: true }).fill('bob');
    await click(page, 'Preview');
    await click(page, 'Send to bob@example.org');
    expect(await page.getByLabel('To', { exact: true }).inputValue()).toBe('bob@example.org');
    await page.getByLabel('To', { exact: true }).fill('nobody@example.org');
    await click(page, 'Send');
    await page.getByText(/^nobody@example.org cannot be reached/).waitFor();
    expect(await faultsOf(page)).toEqual([['To', 'The message came back.']]);
    await page.getByText('What bounced means').click();
    await page.locator('#bounced:target').waitFor();
    await page.locator('#bounced').getByText('Send it again: it depends').waitFor();
    const storage = 'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])';
    expect(await page.evaluate(storage)).not.toContain('bot-secret');
    await page.reload();
    expect(await page.getByLabel('Password').inputValue()).toBe('');
    expect(await page.getByLabel('To', { exact: true }).inputValue()).toBe('nobody@example.org');
  });

  test('sends what was sent already only if asked once more', async () => {
    const { page } = await openDocs();
    await fillIn(page, 'only once');
    await click(page, 'Send');
    const { id } = JSON.parse(await answerOf(page, 'sent'));
    await page.getByText(/^✓ Sent to bob@example.org, as bot@example.org, /).waitFor();
    await page.getByText(/^200 in \d+ ms, .*\d/).waitFor();
    await click(page, 'Send');
    await waitForAnswer(page, 'repeated');
    expect(await page.locator('#time').textContent()).toBe('');
    await click(page, 'Send it once more');
    const again = JSON.parse(await answerOf(page, 'sent'));
    expect(again.id).not.toBe(id);
    expect([await bodyAtBob(id), await bodyAtBob(again.id)]).toEqual(['only once', 'only once']);
    await page.getByLabel('Text', { exact: true }).fill('another');
    await page.getByText('Earlier answer').waitFor();
  });

  test('shows all that a reload fills in again', async () => {
    const { page } = await openDocs();
    await untilReady(page);
    const more = page.getByText('Subject, type and more');
    const subject = page.getByLabel('Subject', { exact: true });
    await page.getByLabel('To', { exact: true }).fill('bob@example.org');
    await page.reload();
    expect(await subject.isVisible()).toBe(false);
    await more.click();
    await page.getByLabel('Idempotency-Key').fill('k');
    await page.reload();
    expect(await page.getByLabel('Idempotency-Key').inputValue()).toBe('k');
    expect(await subject.isVisible()).toBe(true);
  });

  test('says how an operator grants the permission, and where the password is', async () => {
    const { page } = await openDocs();
    const hint = page.locator('#account-hint');
    expect(await hint.innerText()).toContain(
      ': xmpp-message-gateway grant bot@example.org --config FILE, or',
    );
    await page.getByLabel('An account of the gateway').check();
    expect(await hint.innerText()).toContain('gateway.yaml has only its hash.');
  });

  test('goes to the next field with the Enter key of a phone', async () => {
    const { page } = await openDocs({ viewport: phone, hasTouch: true, isMobile: true });
    await untilReady(page);
    const focused = (): Promise<unknown> => page.evaluate('document.activeElement.id');
    await page.getByLabel('User name').focus();
    const passed: unknown[] = [];
    for (let presses = 0; presses < 4; presses += 1) {
      await page.keyboard.press('Enter');
      passed.push(await focused());
    }
    expect(passed).toEqual(['password', 'domain', 'to', 'body']);
    expect(await page.locator('#answer').getAttribute('data-outcome')).toBe('none');
  });

  test('warns about a connection that anybody can read, and copies there, too', async () => {
    const url = 'http://gateway.example/';
    const opened = await openPage(browser, { viewport: phone });
    const { page } = opened;
    await page.route(`${url}**`, async (route) => {
      const { pathname, search } = new URL(route.request().url());
      await route.fulfill({
        response: await route.fetch({ url: `${site.gateway.url}${pathname}${search}` }),
      });
    });
    await page.goto(`${url}docs`);
    await page.getByText('The connection is not encrypted').waitFor();
    await Promise.all([
      page.getByRole('button', { name: 'Copied ✓' }).waitFor(),
      click(page, 'Copy'),
    ]);
    const { page: local } = await openDocs();
    expect(await local.getByText('The connection is not encrypted').isVisible()).toBe(false);
  });

  test('has requests in its reference that work as they stand there', async () => {
    const { page } = await openDocs();
    const blocks = await page.locator('.code pre').allTextContents();
    const requests = blocks.filter((code) => code.includes('curl') && !code.includes('/acl'));
    expect(requests.length).toBe(7);
    for (const code of requests) {
      const command = code
        .replace(/-u (bot|alerts)(:PASSWORD)?/, '-u $1:$1-secret')
        .replace('curl', 'curl --silent --show-error --fail-with-body');
      const { code: exitCode, stdout } = await runChild({ file: 'sh', args: ['-c', command] });
      expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/"accepted"|"status": ?"/)]);
    }
  });

  describe.each([
    ['wide', wide],
    ['phone', phone],
  ])('%s', (size, viewport) => {
    test.each(['light', 'dark'] as const)('has no barriers (%s)', async (colorScheme) => {
      const { page } = await openDocs({ viewport, colorScheme });
      const check = async (state: string, ...left: readonly string[]): Promise<void> => {
        expect([state, await findBarriers(page, left)]).toEqual([state, []]);
        const width = await page.evaluate('document.documentElement.scrollWidth');
        expect([state, width]).toEqual([state, viewport.width]);
        await keepScreenshot(page, `docs-${size}-${colorScheme}-${state}.png`);
      };
      await untilReady(page);
      await check('empty');
      await click(page, 'Send');
      await waitForAnswer(page, 'refused');
      await fillIn(page, 'Disk 93 % full');
      await page.getByLabel('To', { exact: true }).fill('bob@@example.org');
      await page.getByLabel('Python').check();
      await click(page, 'Preview');
      await page.getByText('The whole answer').click();
      // The reference stays as it is.
      await check('refused', '#reference');
      await page.getByLabel('To', { exact: true }).fill('bob@example.org');
      await click(page, 'Send');
      await waitForAnswer(page, 'sent');
      await check('sent', '#reference');
      await page.locator('#codes').scrollIntoViewIfNeeded();
      await keepScreenshot(page, `docs-${size}-${colorScheme}-codes.png`);
    });
  });
});

/** What a proxy does with messages: it passes them, loses the answer, or wants people to log in. */
type Manner = 'pass' | 'lose' | 'redirect' | 'login';

/** Serves the gateway below /xmpp/, as `location /xmpp/ { proxy_pass …/; }` of nginx does. */
function createProxy(beforeMessage: () => Promise<Manner>): Server {
  return createServer((incoming, outgoing) => {
    const { url = '', method, headers } = incoming;
    const target = new URL(url.replace(/^\/xmpp\//, '/'), site.gateway.url);
    const pass = async (): Promise<void> => {
      const manner = method === 'POST' ? await beforeMessage() : 'pass';
      if (manner === 'redirect') {
        outgoing.writeHead(303, { Location: '/login' }).end();
        return;
      }
      if (manner === 'login' || url === '/login') {
        outgoing.writeHead(200, { 'Content-Type': 'text/html' }).end('<h1>Log in</h1>');
        return;
      }
      const upstream = requestGateway(target, { method, headers }, (answer) => {
        if (manner === 'lose') outgoing.destroy();
        else outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(upstream);
    };
    void pass();
  });
}

describe('below a path of a proxy', () => {
  let proxy: Server;
  let url: string;
  let release: () => void;
  let released: Promise<void> | undefined;
  let posts = 0;
  let manner: Manner = 'pass';

  beforeAll(async () => {
    const port = await freePort();
    const waitForRelease = async (): Promise<Manner> => {
      posts += 1;
      await released;
      return manner;
    };
    proxy = createProxy(waitForRelease).listen(port, '127.0.0.1');
    await once(proxy, 'listening');
    url = `http://127.0.0.1:${port}/xmpp/`;
  });
  beforeEach(() => {
    manner = 'pass';
    posts = 0;
  });
  afterAll(() => {
    proxy?.closeAllConnections();
    proxy?.close();
  });

  test.each([
    ['login', '200'],
    ['redirect', 'A redirect'],
  ] as const)('takes the login page of a proxy for no answer (%s)', async (login, status) => {
    const { page } = await openDocs({}, url);
    await fillIn(page, 'to a login page');
    manner = login;
    for (const name of ['Preview', 'Send']) {
      await click(page, name);
      await waitForAnswer(page, 'refused');
      await page.getByText(`${status}: this is not an answer of the gateway.`).waitFor();
      await page.getByLabel('Text', { exact: true }).fill(`${name} went to a login page`);
    }
  });

  test('sends once what had no answer, whatever comes between', async () => {
    const { page } = await openDocs({}, url);
    const body = page.getByLabel('Text', { exact: true });
    const send = async (outcome: string): Promise<void> => {
      await body.press('Control+Enter');
      await waitForAnswer(page, outcome);
    };
    await fillIn(page, 'lost on the way back');
    manner = 'lose';
    await send('failed');
    manner = 'login';
    await send('refused');
    manner = 'pass';
    await page.getByLabel('Password').fill('mistyped');
    await send('refused');
    await page.reload();
    await fillIn(page, 'another between');
    await send('sent');
    await fillIn(page, 'lost on the way back');
    await send('sent');
    await page.getByText('It was sent only once').waitFor();
    await send('repeated');
    await click(page, 'Send it once more');
    await waitForAnswer(page, 'sent');
    expect(await page.getByText('It was sent only once').count()).toBe(0);
    await site.bob.settle();
    const bodies = site.bob.received.map(({ root }) => find(root, 'body'));
    const lost = bodies.filter((one) => one && text(one) === 'lost on the way back');
    // Once for the first try and all that followed it, and once more.
    expect(lost.length).toBe(2);
  });

  test('waits with a spinner and the time, and says when nothing can be reached', async () => {
    released = new Promise((resolve) => {
      release = resolve;
    });
    const { page, complaints } = await openDocs({}, url);
    expect(page.url()).toBe(`${url}docs`);
    await fillIn(page, 'below a path');
    expect(await page.locator('#example').innerText()).toContain(`${url}api/1.0/`);
    await click(page, 'Send');
    await page.locator('#spinner').waitFor();
    // Playwright would wait until it is enabled.
    await page.getByRole('button', { name: 'Sending…' }).click({ force: true });
    await page.getByText(/^[1-9]\d* s$/).waitFor();
    expect(await findBarriers(page, ['#reference'])).toEqual([]);
    await keepScreenshot(page, 'docs-waiting.png');
    release();
    const { id } = JSON.parse(await answerOf(page, 'sent'));
    expect(await bodyAtBob(id)).toBe('below a path');
    expect(posts).toBe(1);
    expect(await page.locator('#spinner').isVisible()).toBe(false);
    expect(complaints).toEqual([]);

    manner = 'lose';
    await page.getByLabel('Text', { exact: true }).fill('not twice');
    await click(page, 'Send');
    await waitForAnswer(page, 'failed');
    manner = 'pass';
    await click(page, 'Send');
    const { id: onlyId } = JSON.parse(await answerOf(page, 'sent'));
    await page.getByText('It was sent only once').waitFor();
    expect(await bodyAtBob(onlyId)).toBe('not twice');
    await site.bob.settle();
    const bodies = site.bob.received.map(({ root }) => find(root, 'body'));
    expect(bodies.filter((body) => body && text(body) === 'not twice').length).toBe(1);

    proxy.close();
    proxy.closeAllConnections();
    await click(page, 'Preview');
    await waitForAnswer(page, 'failed');
    const words = 'The gateway cannot be reached: it is not running, or the network is down.';
    expect(await page.locator('#answer').innerText()).toBe(words);
    await page.locator('#state[data-state=unavailable]').waitFor();
    expect(await page.locator('#state').innerText()).toBe('Unreachable');
    await keepScreenshot(page, 'docs-unreachable.png');
  });
});

test('it says why the gateway is not ready', async () => {
  const [port, componentPort] = [await freePort(), await freePort()];
  const gateway = await startGatewayProcess({
    config: gatewayConfig(site.server, { http: { port }, component: { port: componentPort } }),
    ready: false,
  });
  try {
    await gateway.waitForLine('listening for HTTP');
    const { page } = await openDocs({}, `${gateway.url}/docs`);
    await page.locator('#state[data-state=unavailable]').waitFor();
    await page.getByText(/^The gateway has no working connection to its XMPP server/).waitFor();
    await page.getByText('The reason', { exact: true }).click();
    await page.getByText(/ECONNREFUSED/).waitFor();
    expect(await findBarriers(page, ['#reference'])).toEqual([]);
    await keepScreenshot(page, 'docs-not-ready.png');
    expect(await page.getByLabel('Domain').inputValue()).toBe('example.org');
    await page.getByLabel('An account of the gateway').check();
    await page.getByLabel('User name').fill('alerts');
    await page.getByLabel('Password').fill('alerts-secret');
    await page.getByLabel('Speaks as').fill('alice@example.org');
    await page.getByLabel('To', { exact: true }).fill('bob@example.org');
    await page.getByLabel('Text', { exact: true }).fill('Hi');
    await click(page, 'Preview');
    expect(await answerOf(page, 'preview')).toContain('from="alice@example.org"');
    await click(page, 'Send');
    await page.getByText(/^Nothing was sent: the gateway has no working connection/).waitFor();
  } finally {
    await gateway.stop();
  }
});

test('it is small', () => {
  const docs = join(dist, 'docs');
  const bytes = readdirSync(docs).map((name) => statSync(join(docs, name)).size);
  expect(bytes.reduce((sum, size) => sum + size)).toBeLessThan(150_000);
});

test('it is protected by its headers', async () => {
  const { headers } = await request(`${site.gateway.url}/docs`);
  expect(headers).toMatchObject({
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  });
  const policy = headers['content-security-policy'];
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toMatch(/unsafe|\*/);
});
