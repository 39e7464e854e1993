import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { HttpAnswer } from '../support/clients/http.ts';
import { find, text } from '../support/clients/stanza.ts';
import { runCommand } from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { servers } from '../support/servers/servers.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

const corpus = fileURLToPath(new URL('../corpus/webhooks', import.meta.url));

describe.each(servers)('templates with $kind', ({ start }) => {
  let site: GatewaySite;
  let folder: string;
  const write = (name: string, source: string): void => writeFileSync(join(folder, name), source);

  beforeAll(async () => {
    folder = createDirectory('templates');
    write('own.liquid', 'First: {{ a }}');
    write('slack.liquid', 'My Slack: {{ text }}');
    const templates = { own: join(folder, 'own.liquid'), slack: join(folder, 'slack.liquid') };
    site = await startGatewaySite(start, {}, { templates });
  });
  afterAll(async () => {
    await site?.stop();
    removeDirectory(folder);
  });

  const send = (name: string, payload: unknown): Promise<HttpAnswer> =>
    site.postAs(`alice?template=${name}&to=bob@example.org`, JSON.stringify(payload));
  const textOf = async (answer: HttpAnswer): Promise<string> => {
    expect([answer.status, answer.body]).toEqual([200, expect.anything()]);
    const { root } = await site.bob.waitForMessage(String(answer.json()['id']));
    return text(find(root, 'body')!);
  };

  test('a built-in one, with characters that XML has to escape', async () => {
    const file = join(corpus, 'alertmanager/summary-and-description');
    const payload: unknown = JSON.parse(readFileSync(`${file}.json`, 'utf8'));
    expect(`${await textOf(await send('alertmanager', payload))}\n`).toBe(
      readFileSync(`${file}.txt`, 'utf8'),
    );
  });

  test('own ones, one of them in place of a built-in one', async () => {
    expect(await textOf(await send('own', { a: 1 }))).toBe('First: 1');
    expect(await textOf(await send('slack', { text: 'x' }))).toBe('My Slack: x');
  });

  test.each<[string, unknown, string]>([
    ['nowhere', {}, 'There is no template "nowhere". There are: alertmanager, '],
    ['grafana', { foo: 1 }, 'The template grafana has no text for this payload'],
    ['own', { a: { toString: 1, valueOf: 1 } }, 'The template own fails at line 1: '],
    ['own', { a: '\u0000' }, ''],
    ['own', { a: '\ud800' }, ''],
  ])('%s with %j gets 422', async (name, payload, detail) => {
    const answer = await send(name, payload);
    expect(answer.status).toBe(422);
    expect(answer.json()).toMatchObject({
      code: 'invalid-message',
      detail: expect.stringContaining(detail),
    });
  });

  test('SIGHUP reads them again; a faulty one changes nothing', async () => {
    const reload = async (message: string): Promise<void> => {
      const count = (): number =>
        site.gateway.logLines().filter(({ msg }) => msg === message).length;
      const before = count();
      site.gateway.signal('SIGHUP');
      await waitUntil(() => count() > before, { label: message });
    };
    write('own.liquid', 'Second: {{ a }}');
    await reload('accounts and permissions reloaded');
    expect(await textOf(await send('own', { a: 1 }))).toBe('Second: 1');

    write('own.liquid', 'Third:\n{{ a | nothing }}');
    write('slack.liquid', 'Other');
    await reload('configuration not reloaded: the old one stays');
    expect(site.gateway.output()).toContain('line 2: undefined filter: nothing');
    expect(await textOf(await send('own', { a: 1 }))).toBe('Second: 1');
    expect(await textOf(await send('slack', { text: 'x' }))).toBe('My Slack: x');
  });
});

test('faulty ones end the start with 78, and check finds them', async () => {
  const folder = createDirectory('templates');
  onTestFinished(() => removeDirectory(folder));
  const config = join(folder, 'gateway.yaml');
  writeFileSync(join(folder, 'bad.liquid'), '{% if a %}\n{% endfor %}');
  writeFileSync(
    config,
    `component: {domain: gateway.example.org, secret: s}
domains: [example.org]
templates:
  bad: bad.liquid
  gone: gone.liquid
`,
  );
  for (const command of ['serve', 'check']) {
    const { code, stdout, stderr } = await runCommand([command, '--config', config]);
    expect(code).toBe(78);
    expect(stdout + stderr).toContain(
      `${config}:4: templates.bad: expected a Liquid template, got "bad.liquid" (line 2: `,
    );
    expect(stdout + stderr).toContain(
      `${config}:5: templates.gone: expected a file that can be read`,
    );
  }
});
