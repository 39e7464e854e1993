import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { createServer, request as requestGateway, type Server } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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

/** Waits until the page knows that the gateway is ready; then it has filled in the domain. */
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
  return page.locator(`#answer[data-outcome=${outcome}] pre`).innerText();
}

async function bodyAtBob(id: unknown): Promise<string | undefined> {
  const body = find((await site.bob.waitForMessage(String(id))).root, 'body');
  return body && text(body);
}

/** The field that is marked, with what stands below it. */
async function faultsOf(page: Page): Promise<string[][]> {
  await page.locator('.fault').first().waitFor();
  const fields = await page.locator('.field:has([aria-invalid])').all();
  return Promise.all(
    fields.map(async (field) => [
      await field.locator('label').innerText(),
      await field.locator('.fault').innerText(),
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
      await page.getByText('Copied.').waitFor();
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
    /** Presses keys; what is no name of a key is typed. */
    const keys = async (...steps: readonly string[]): Promise<void> => {
      for (const step of steps) {
        if (/^(Tab|Enter|ArrowDown|ArrowRight)$/.test(step)) await keyboard.press(step);
        else await keyboard.type(step);
      }
    };
    await page.getByLabel('XMPP user').focus();
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

  test('says what is wrong, at the field, and keeps nothing', async () => {
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
    await page.getByLabel('Password').fill('wrong');
    await click(page, 'Send');
    await page.getByText('401: Valid credentials are required.').waitFor();
    expect(await faultsOf(page)).toEqual([['Password', 'Valid credentials are required.']]);
    await page.getByLabel('Password').fill('bot-secret');
    await page.getByLabel('To', { exact: true }).fill('bob@@example.org');
    await click(page, 'Preview');
    await page.getByText('422: The body is not a message that the gateway may send.').waitFor();
    expect(await faultsOf(page)).toEqual([['To', expect.stringContaining('bob@@example.org')]]);
    expect(await page.evaluate('document.activeElement.id')).toBe('to');
    await page.getByText('What invalid-message means').click();
    await page.context().waitForEvent('page');
    await page.getByLabel('To', { exact: true }).fill('nobody@example.org');
    await click(page, 'Send');
    expect(await faultsOf(page)).toEqual([['To', expect.stringContaining('nobody@example.org')]]);
    const storage = 'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])';
    expect(await page.evaluate(storage)).toBe('[{},{},""]');
    await page.reload();
    expect(await page.getByLabel('Password').inputValue()).toBe('');
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
      // It does not change.
      await check('refused', '#reference');
      await page.getByLabel('To', { exact: true }).fill('bob@example.org');
      await click(page, 'Send');
      await waitForAnswer(page, 'sent');
      await check('sent', '#reference');
    });
  });
});

/** Serves the gateway below /xmpp/, as `location /xmpp/ { proxy_pass …/; }` of nginx does. */
function createProxy(beforeMessage: () => Promise<void>): Server {
  return createServer((incoming, outgoing) => {
    const { url = '', method, headers } = incoming;
    const target = new URL(url.replace(/^\/xmpp\//, '/'), site.gateway.url);
    const pass = async (): Promise<void> => {
      if (method === 'POST') await beforeMessage();
      const upstream = requestGateway(target, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
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
  let released: Promise<void>;

  beforeAll(async () => {
    const port = await freePort();
    proxy = createProxy(() => released).listen(port, '127.0.0.1');
    await once(proxy, 'listening');
    url = `http://127.0.0.1:${port}/xmpp/`;
  });
  afterAll(() => {
    proxy?.closeAllConnections();
    proxy?.close();
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
    await page.getByText(/^[1-9]\d* s$/).waitFor();
    expect(await findBarriers(page, ['#reference'])).toEqual([]);
    await keepScreenshot(page, 'docs-waiting.png');
    release();
    const { id } = JSON.parse(await answerOf(page, 'sent'));
    expect(await bodyAtBob(id)).toBe('below a path');
    expect(await page.locator('#spinner').isVisible()).toBe(false);
    expect(complaints).toEqual([]);

    proxy.close();
    proxy.closeAllConnections();
    await click(page, 'Preview');
    await waitForAnswer(page, 'failed');
    const words = 'The gateway cannot be reached: it is not running, or the network is down.';
    expect(await page.locator('#answer').innerText()).toBe(words);
    await page.locator('#state[data-state=unavailable]').waitFor();
    expect(await page.locator('#state').innerText()).toBe('The gateway cannot be reached');
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
    await page.getByText(/^Not ready: .*ECONNREFUSED/).waitFor();
    expect(await findBarriers(page, ['#reference'])).toEqual([]);
    await keepScreenshot(page, 'docs-not-ready.png');
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
