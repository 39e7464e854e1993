import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { type HttpAnswer, post, request } from '../support/clients/http.ts';
import { openSessionOn } from '../support/clients/session.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { freePort } from '../support/system/ports.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { waitUntil } from '../support/system/wait.ts';

/** V8 does not copy a part of a string that is as long as this. */
const recipient = 'bob-with-a-long-name';

let directory: string;
let server: XmppServer;
let gateway: GatewayProcess;
let metricsPort: number;

beforeAll(async () => {
  directory = createDirectory('heap');
  server = await startProsody(withModule);
  for (const name of ['alice', recipient]) await server.register(name, name);
  metricsPort = await freePort();
  gateway = await startGatewayProcess({
    nodeArgs: ['--heapsnapshot-signal=SIGUSR2', `--diagnostic-dir=${directory}`],
    config: gatewayConfig(server, {
      delivery: { mode: 'client' },
      http: { metrics: { port: metricsPort } },
    }),
  });
});
afterAll(async () => {
  if (gateway.isRunning()) await gateway.stop();
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

function postMessage(type: string, body: string, headers = {}): Promise<HttpAnswer> {
  const url = `${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`;
  const auth = [apiAccount.username, apiAccount.password] as const;
  return post(url, { auth, type, headers, body });
}

async function send(type: keyof typeof forms, name: string): Promise<void> {
  const body = forms[type](`id of ${name}`, `text of ${name}, `.repeat(2000));
  // A message that asks for a receipt is kept, in case that it comes after the answer.
  const { status } = await postMessage(type, body, { Prefer: 'wait=1' });
  expect(status).toBe(200);
}

async function untilInFlight(count: number): Promise<void> {
  const line = new RegExp(`_in_flight_messages ${count}\\n`);
  const url = `http://127.0.0.1:${metricsPort}/metrics`;
  await waitUntil(async () => line.test((await request(url)).body), {
    label: `${count} messages in flight`,
  });
}

/** What the gateway has in its heap, once the garbage has been collected. */
async function readHeap(): Promise<string> {
  gateway.signal('SIGUSR2');
  const name = await waitUntil(() => readdirSync(directory)[0], {
    label: 'the snapshot of the heap',
  });
  // The gateway answers nothing before it has written all of it.
  await request(`${gateway.url}/livez`);
  const file = join(directory, name);
  const snapshot = readFileSync(file, 'utf8');
  rmSync(file);
  return snapshot;
}

/** The sizes of all objects in a snapshot, in bytes. */
function readSizes(snapshot: string): number[] {
  const { snapshot: head, nodes } = JSON.parse(snapshot) as {
    snapshot: { meta: { node_fields: string[] } };
    nodes: number[];
  };
  const fields = head.meta.node_fields;
  const offset = fields.indexOf('self_size');
  return nodes.filter((_, index) => index % fields.length === offset);
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

/** Bodies that are much larger than their messages, of `length` bytes. */
const padded: readonly (readonly [type: string, build: (length: number) => string])[] = [
  ['application/json', (length) => forms['application/json']('in ASCII', 'x').padStart(length)],
  [
    'application/json',
    (length) => forms['application/json']('in two bytes', '✓').padStart(length - 2),
  ],
  [
    'application/xml',
    (length) => forms['application/xml']('XML', 'a text of 20 letters').padEnd(length),
  ],
  [
    'application/x-www-form-urlencoded',
    (length) => `to=${recipient}@example.org&body=a-text-of-20-letters`.padEnd(length, '&'),
  ],
  ['application/x-ndjson', (length) => forms['application/json']('line', 'x').padStart(length)],
];

test('a body is not kept while its message waits for the XMPP server', async () => {
  const length = 200_000;
  server.kill('SIGSTOP');
  const answers = padded.flatMap(([type, build], index) => [
    postMessage(type, build(length)),
    ...(type === 'application/x-ndjson'
      ? []
      : [postMessage(type, build(length), { 'Idempotency-Key': `key-${index}` })]),
  ]);
  await untilInFlight(answers.length);
  const sizes = readSizes(await readHeap());
  server.kill('SIGCONT');
  // In one byte a character, or in two.
  const bodies = sizes.filter((size) =>
    [length, 2 * length].some((bytes) => size >= bytes - 100 && size < bytes + 100),
  );
  expect(bodies).toEqual([]);
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  expect(new Set(statuses)).toEqual(new Set([200, 207]));
});

test('nor its text while the receipt of a client is awaited', async () => {
  const bob = await openSessionOn(server, recipient, recipient);
  onTestFinished(bob.destroy);
  const text = (name: string): string => `long text of ${name}, `.repeat(2000);
  const json = (name: string, fields = {}): string =>
    JSON.stringify({ to: `${recipient}@example.org`, id: name, body: text(name), ...fields });
  const wait = { Prefer: 'wait=60' };
  const names = ['json', 'keyed', 'listed', 'xml', 'line', 'last'];
  const list = [`${recipient}@example.org`, 'alice@example.org'];
  const answers = [
    postMessage('application/json', json('json'), wait),
    postMessage('application/json', json('keyed'), { ...wait, 'Idempotency-Key': 'keyed' }),
    postMessage('application/json', json('listed', { to: list }), wait),
    postMessage('application/xml', forms['application/xml']('xml', text('xml')), wait),
    postMessage('application/x-ndjson', json('line', { wait: 60 })),
  ];
  for (const name of names.slice(0, -1)) await bob.waitForMessage(name);
  await untilInFlight(0);
  // V8 itself keeps the last string that a regular expression was applied to.
  answers.push(postMessage('application/json', json('last'), wait));
  await bob.waitForMessage('last');
  const heap = await readHeap();
  await gateway.stop();
  expect(names.filter((name) => heap.includes(`long text of ${name}, long text`))).toEqual([]);
  for (const { status, body } of await Promise.all(answers)) {
    expect([status < 300, body.includes('"confirmed":"server"')]).toEqual([true, true]);
  }
});
