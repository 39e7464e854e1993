import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { request } from '../support/clients/http.ts';
import { find, text } from '../support/clients/stanza.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startProsody } from '../support/servers/prosody.ts';
import {
  keepScreenshot,
  type ObservedPage,
  openPage,
  startBrowser,
} from '../support/system/browser.ts';
import { runChild } from '../support/system/processes.ts';

let site: GatewaySite;
let browser: Browser;

beforeAll(async () => {
  [site, browser] = await Promise.all([startGatewaySite(startProsody), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await site?.stop();
});

async function openDocs(viewport = { width: 1280, height: 800 }): Promise<ObservedPage> {
  const opened = await openPage(browser, { viewport });
  await opened.page.goto(`${site.gateway.url}/docs`);
  await opened.page.locator('#domains option').waitFor({ state: 'attached' });
  await opened.page.locator('.swagger-ui .opblock').first().waitFor();
  return opened;
}

async function fillIn(page: Page, body: string): Promise<void> {
  await page.getByLabel('User name').fill('bot');
  await page.getByLabel('Password').fill('bot-secret');
  await page.getByLabel('To', { exact: true }).fill('bob@example.org');
  await page.getByLabel('Body', { exact: true }).fill(body);
}

function click(page: Page, name: string): Promise<void> {
  return page.getByRole('button', { name, exact: true }).click();
}

/** What stands under the headline of an answer of that kind, as soon as there is one. */
function answerOf(page: Page, outcome: string): Promise<string> {
  return page.locator(`#answer[data-outcome=${outcome}] pre`).innerText();
}

async function bodyAtBob(id: string): Promise<string | undefined> {
  const body = find((await site.bob.waitForMessage(id)).root, 'body');
  return body && text(body);
}

describe('the page at /docs', () => {
  test('previews a message, sends it, and offers the same as a curl line', async () => {
    const { page, complaints, origins } = await openDocs({ width: 1120, height: 720 });
    await fillIn(page, 'Disk 93 % full on db1 ⚠');
    await click(page, 'Preview');
    expect(await answerOf(page, 'preview')).toContain('<body>Disk 93 % full on db1 ⚠</body>');
    // The picture in README.md.
    await keepScreenshot(page, 'docs-page.png');
    const body = 'Grüße: it\'s $HOME `id` \\ "quoted" & <more>\nand a second line';
    await fillIn(page, body);
    await site.bob.settle();
    expect(site.bob.received.filter(({ root }) => root.name === 'message')).toEqual([]);

    await click(page, 'Send');
    const { id } = JSON.parse(await answerOf(page, 'sent'));
    expect(await bodyAtBob(id)).toBe(body);
    await keepScreenshot(page, 'docs-desktop.png', true);

    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await click(page, 'Copy');
    await page.getByText('Copied.').waitFor();
    const line = String(await page.evaluate('navigator.clipboard.readText()'));
    expect(line).toBe(await page.locator('#curl').innerText());
    expect(line).not.toContain('bot-secret');
    const script = line.replace("-u 'bot'", "-sS -u 'bot:bot-secret'");
    const { code, stdout } = await runChild({ file: 'sh', args: ['-c', script] });
    expect(code).toBe(0);
    expect(await bodyAtBob(JSON.parse(stdout).id)).toBe(body);

    expect(complaints).toEqual([]);
    expect([...origins]).toEqual([site.gateway.url]);
    await page.context().close();
  });

  test('goes by the keyboard alone, on a narrow screen, as anybody', async () => {
    const { page, complaints } = await openDocs({ width: 390, height: 844 });
    const { keyboard } = page;
    /** Presses keys; what is no name of a key is typed. */
    const keys = async (...steps: readonly string[]): Promise<void> => {
      for (const step of steps) {
        if (/^(Tab|Enter|ArrowDown)$/.test(step)) await keyboard.press(step);
        else await keyboard.type(step);
      }
    };
    await page.getByLabel('XMPP user, who').focus();
    await keys('ArrowDown', 'Tab', 'alerts', 'Tab', 'alerts-secret', 'Tab', 'Tab', 'alice');
    await keys('Tab', 'bob@example.org', 'Tab', 'h', 'Tab', 'line 1\nline 2', 'Tab', 'Enter');
    await keys('Tab', "it's-me", 'Tab', '<subject>Phone</subject>', 'Tab', 'Tab', 'Enter');
    expect(await answerOf(page, 'preview')).toBe(
      '<message to="bob@example.org" from="alice@example.org" id="it&apos;s-me" type="headline"><body>line 1\nline 2</body><subject>Phone</subject></message>',
    );
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
    await keepScreenshot(page, 'docs-phone.png');
    await keepScreenshot(page, 'docs-phone-whole.png', true);
    await keys('Tab', 'Enter');
    await answerOf(page, 'sent');
    expect(await bodyAtBob("it's-me")).toBe('line 1\nline 2');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('says what is wrong, at the field, and keeps nothing', async () => {
    const { page } = await openDocs();
    await fillIn(page, 'x');
    await page.getByLabel('Password').fill('wrong');
    await click(page, 'Send');
    await page.getByText('401: Valid credentials are required.').waitFor();
    await page.getByLabel('Password').fill('bot-secret');
    await page.getByLabel('To', { exact: true }).fill('bob@@example.org');
    await click(page, 'Preview');
    await page.getByText('422: The body is not a message that the gateway may send.').waitFor();
    expect(await page.locator('[aria-invalid=true]').getAttribute('name')).toBe('to');
    expect(await answerOf(page, 'refused')).toContain('"pointer": "/to"');
    await keepScreenshot(page, 'docs-refused.png');
    const storage = 'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])';
    expect(await page.evaluate(storage)).toBe('[{},{},""]');
    await page.reload();
    expect(await page.getByLabel('Password').inputValue()).toBe('');
    await page.context().close();
  });

  test('tries a message in the reference, as XML', async () => {
    const { page, complaints } = await openDocs();
    await page.getByRole('button', { name: 'Authorize' }).first().click();
    const dialog = page.locator('.dialog-ux');
    await dialog.getByLabel('Username').first().fill('bot');
    await dialog.getByLabel('Password').first().fill('bot-secret');
    await dialog.getByRole('button', { name: 'Apply credentials' }).first().click();
    await dialog.getByRole('button', { name: 'Close' }).first().click();
    const operation = page.locator('#operations-messages-sendAsOneself');
    await operation.getByRole('button').first().click();
    await operation.getByRole('button', { name: 'Try it out' }).click();
    await operation.getByPlaceholder('fqdn').fill('example.org');
    await operation.getByLabel('Request content type').selectOption('application/xml');
    await keepScreenshot(page, 'docs-reference.png');
    await operation.getByRole('button', { name: 'Execute' }).click();
    expect(await bodyAtBob('build-4711')).toBe('Build 4711 passed');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test('is protected by its headers', async () => {
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
});
