import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const artefacts = fileURLToPath(new URL('../../../test-artefacts', import.meta.url));

/** Starts Debian's Chromium, headless; it dies with this process. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    // as root, in a container
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
}

/** A page in its own context, and the errors on it. */
export interface ObservedPage {
  readonly page: Page;
  /** Errors on the console, including those of the Content-Security-Policy, and uncaught ones. */
  readonly complaints: readonly string[];
  /** The origins that the page sent requests to. */
  readonly origins: ReadonlySet<string>;
}

/** Opens an empty page. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<ObservedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints: string[] = [];
  const origins = new Set<string>();
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== 'data:') origins.add(origin);
  });
  return { page, complaints, origins };
}

/** Saves a screenshot of the page with the test artefacts. */
export async function keepScreenshot(page: Page, name: string, fullPage = false): Promise<void> {
  mkdirSync(artefacts, { recursive: true });
  await page.screenshot({ path: join(artefacts, name), fullPage });
}
