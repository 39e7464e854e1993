import { readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { post, request } from '../support/clients/http.ts';
import { receiptXml } from '../support/clients/receipts.ts';
import { openSessionOn, type Session } from '../support/clients/session.ts';
import { find, type Stanza, text } from '../support/clients/stanza.ts';
import { apiAccount } from '../support/gateway/gateway.ts';
import { installGateway, readBlocks, writeProgram } from '../support/gateway/recipe.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { modeSetups } from '../support/servers/mode-setups.ts';
import { freePort } from '../support/system/ports.ts';
import {
  createDirectory,
  removeDirectory,
  runChild,
  startChild,
} from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const payload = readFileSync(
  join(project, 'test/corpus/webhooks/alertmanager/summary-and-description.json'),
  'utf8',
);
const setups = modeSetups.filter(({ mode }) => mode === 'client');

describe.each(setups)('the recipe for escalation on $kind', ({ options, start }) => {
  let site: GatewaySite;
  let carol: Session;
  let folder: string;

  beforeAll(async () => {
    site = await startGatewaySite(start, options);
    for (const name of ['alice', 'carol', 'dave']) await site.server.register(name, name);
    carol = await openSessionOn(site.server, 'carol', 'carol');
    folder = createDirectory('escalation');
    installGateway(folder);
  });
  afterAll(async () => {
    carol?.destroy();
    await site?.stop();
    removeDirectory(folder);
  });

  const environment = (): NodeJS.ProcessEnv => ({
    PATH: `${folder}${delimiter}${process.env['PATH']}`,
    HOME: folder,
    XMPP_GATEWAY_URL: site.gateway.url,
    XMPP_GATEWAY_USER: apiAccount.username,
    XMPP_GATEWAY_FROM: 'alice@example.org',
    XMPP_GATEWAY_PASSWORD: apiAccount.password,
  });

  /** The next message to a session that begins now. */
  const nextTo = (session: Session): Promise<Stanza> => {
    const seen = new Set(session.received);
    return session.waitFor(
      (stanza) => !seen.has(stanza) && find(stanza.root, 'body') !== undefined,
      'an alert',
    );
  };
  const confirm = (session: Session, { root }: Stanza): void =>
    session.send(receiptXml(String(root.attributes['from']), String(root.attributes['id'])));

  /** Runs the program between Alertmanager and the gateway; returns its URL. */
  async function startProgram(people: readonly string[], wait: number): Promise<string> {
    const port = await freePort();
    const [program = ''] = readBlocks('recipes/escalation.md', 'python');
    const own = program
      .replace('127.0.0.1:8080', `127.0.0.1:${site.gateway.port}`)
      .replace('["bob@example.org", "carol@example.org"]', JSON.stringify(people))
      .replace('WAIT = 60', `WAIT = ${wait}`)
      .replace('9095', String(port));
    const file = writeProgram(folder, `escalate-${port}.py`, own);
    const child = await startChild({ file: 'python3', args: [file], env: environment() });
    onTestFinished(async () => void (await child.end('SIGKILL')));
    const [config = ''] = readBlocks('recipes/escalation.md', 'yaml');
    const { url } = parse(config).receivers[0].webhook_configs[0];
    const isThere = (): Promise<boolean> =>
      request(`http://127.0.0.1:${port}/`).then(
        () => true,
        () => false,
      );
    await waitUntil(isThere, { label: 'the program' });
    return String(url).replace('9095', String(port));
  }

  test('a receipt in time', async () => {
    const url = await startProgram(['bob@example.org', 'carol@example.org'], 60);
    const before = carol.received.length;
    const alert = nextTo(site.bob);
    const answer = post(url, { body: payload });
    const { root } = await alert;
    expect(text(find(root, 'body')!)).toContain('DiskFull');
    confirm(site.bob, await alert);
    expect((await answer).status).toBe(204);
    await carol.settle();
    expect(carol.received.slice(before).filter((it) => it.root.name === 'message')).toEqual([]);
  });

  test('a receipt that comes too late', async () => {
    const url = await startProgram(['bob@example.org', 'carol@example.org'], 1);
    const [first, second] = [nextTo(site.bob), nextTo(carol)];
    const answer = post(url, { body: payload });
    await second;
    confirm(site.bob, await first);
    // Nobody was in time.
    expect((await answer).status).toBe(503);
  });

  test('no client', async () => {
    const people = ['dave@example.org', 'nobody@example.org', 'bob@example.org'];
    const url = await startProgram(people, 1);
    const alert = nextTo(site.bob);
    const answer = post(url, { body: payload });
    await alert;
    expect((await answer).status).toBe(503);
  });

  test('in a script', async () => {
    const [script = ''] = readBlocks('recipes/escalation.md', 'sh');
    const run = (own: string) => {
      const file = writeProgram(folder, 'escalate', `#!/bin/sh\n${own}`);
      return runChild({ file, args: ['Disk full'], env: environment() });
    };
    const second = nextTo(carol);
    const ended = run(script.replace('bob@', 'dave@').replace('60', '1'));
    await second;
    expect((await ended).code).toBe(1);
    const first = nextTo(site.bob);
    const answered = run(script);
    confirm(site.bob, await first);
    expect((await answered).code).toBe(0);
  });
});
