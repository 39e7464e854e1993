import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { post, request } from '../support/clients/http.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

/** V8 does not copy a part of a string that is as long as this. */
const recipient = 'bob-with-a-long-name';

let directory: string;
let server: XmppServer;
let gateway: GatewayProcess;

beforeAll(async () => {
  directory = createDirectory('heap');
  server = await startProsody(withModule);
  for (const name of ['alice', recipient]) await server.register(name, name);
  gateway = await startGatewayProcess({
    nodeArgs: ['--heapsnapshot-signal=SIGUSR2', `--diagnostic-dir=${directory}`],
    config: gatewayConfig(server, { delivery: { mode: 'client' } }),
  });
});
afterAll(async () => {
  await gateway.stop();
  await server.stop();
  removeDirectory(directory);
});

/** Bodies with the same message, by media type. */
const forms = {
  'application/json': (id: string, body: string) =>
    JSON.stringify({ to: `${recipient}@example.org`, message_attributes: { id }, body }),
  'application/xml': (id: string, body: string) =>
    `<message id='${id}' to='${recipient}@example.org'><body>${body}</body></message>`,
};

async function send(type: keyof typeof forms, name: string): Promise<void> {
  const url = `${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`;
  const { status } = await post(url, {
    auth: [apiAccount.username, apiAccount.password],
    type,
    // A message that asks for a receipt is kept, in case that it comes after the answer.
    headers: { Prefer: 'wait=1' },
    body: forms[type](`id of ${name}`, `text of ${name}, `.repeat(2000)),
  });
  expect(status).toBe(200);
}

/** What the gateway has in its heap, once the garbage has been collected. */
async function readHeap(): Promise<string> {
  gateway.signal('SIGUSR2');
  const name = await waitUntil(() => readdirSync(directory)[0], {
    label: 'the snapshot of the heap',
  });
  // The gateway answers nothing before it has written all of it.
  await request(`${gateway.url}/livez`);
  return readFileSync(join(directory, name), 'utf8');
}

test('the id of a message is kept for a late receipt, its text is not', async () => {
  const names = ['first of JSON', 'second of JSON', 'first of XML', 'second of XML'];
  await Promise.all(
    names.map((name) => send(name.endsWith('JSON') ? 'application/json' : 'application/xml', name)),
  );
  // V8 itself keeps the last string that a regular expression was applied to.
  await send('application/json', 'last of JSON');
  await send('application/xml', 'last of XML');
  const heap = await readHeap();
  for (const name of names) {
    const isKept = heap.includes(`id of ${name}`);
    const hasText = heap.includes(`text of ${name}, text of ${name}`);
    expect({ name, isKept, hasText }).toEqual({ name, isKept: true, hasText: false });
  }
});
