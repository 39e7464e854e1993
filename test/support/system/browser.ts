import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const artefacts = fileURLToPath(new URL('../../../test-artefacts', import.meta.url));
const axeFile = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** How long a step in a page may take, in milliseconds. */
const stepMs = 60_000;

/** A running browser. */
export interface TestBrowser {
  readonly browser: Browser;
  /**
   * Kills all its processes. Pages are not closed before, because Chromium does not always let go of
   * one that is about to leave for another.
   */
  stop(): Promise<void>;
}

/**
 * Starts the shell that Debian builds from Chromium, with its own profile; it dies with this process.
 * Chromium itself spends three seconds of CPU time on windows that nobody sees. Unlike Chromium, the
 * shell gives credentials to what a page of another site loads: so it asks more of the gateway.
 */
export async function startBrowser(): Promise<TestBrowser> {
  const server = await chromium.launchServer({
    executablePath: '/usr/bin/chromium-headless-shell',
    // As root, in a container.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
  const browser = await chromium.connect(server.wsEndpoint());
  return { browser, stop: () => server.kill() };
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
  { browser }: TestBrowser,
  options: BrowserContextOptions = {},
): Promise<ObservedPage> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(stepMs);
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

/** What axe-core finds wrong with the page as it is now, except for these parts: rule and elements. */
export async function findBarriers(page: Page, left: readonly string[] = []): Promise<string[]> {
  if (!(await page.evaluate('"axe" in window'))) await page.evaluate(readFileSync(axeFile, 'utf8'));
  const context = JSON.stringify({ exclude: left });
  const found: string = await page.evaluate(`axe.run(${context}).then(JSON.stringify)`);
  const { violations }: AxeResult = JSON.parse(found);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(', ')}`);
}

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly nodes: readonly { readonly html: string }[];
  }[];
}

/** Saves a screenshot of the page with the test artefacts. */
export async function keepScreenshot(page: Page, name: string, fullPage = false): Promise<void> {
  mkdirSync(artefacts, { recursive: true });
  await page.screenshot({ path: join(artefacts, name), fullPage });
}
