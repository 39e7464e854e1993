import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Secret } from '../../../../src/core/secret.ts';
import {
  askVersion,
  recogniseGreeting,
  recogniseServer,
} from '../../../../src/xmpp/probes/probes.ts';
import { answerHonestly, startComponentServer } from '../../../support/doubles/component-server.ts';
import { freePort } from '../../../support/system/ports.ts';

const header = (id: string): string =>
  `<?xml version='1.0'?><stream:stream from='a' id='${id}' version='1.0'>`;

test.each([
  [header('14944763139221074660'), 'ejabberd'],
  [header('14944763139221074660').replaceAll("'", '"'), 'ejabberd'],
  [header('61175fad-884f-40a7-add0-75ba6a5c062c'), undefined],
  [`${header('')}<stream:error><text>This server does not serve a</text>`, 'prosody'],
  [
    `${header('')}<stream:error><text>a does not match any configured external components</text>`,
    'prosody',
  ],
  ['HTTP/1.1 400 Bad Request', undefined],
  ['', undefined],
])('the greeting %j is of %s', (greeting, kind) => {
  expect(recogniseGreeting(greeting)).toBe(kind);
});

const listeners: Server[] = [];
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.close();
});

/** A listener that sends this text to each client. */
async function listen(greeting: string): Promise<{ host: string; port: number }> {
  const server = createServer((socket) => socket.on('error', () => {}).write(greeting));
  listeners.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

const prosody = '<text>This server does not serve a</text>';
const ejabberd = header('14944763139221074660');
const silent = '<';

describe.each(['starttls', 'plaintext'] as const)('over c2s with %s', (security) => {
  test.each([
    ['a port that is closed', undefined, ejabberd, 'ejabberd'],
    ['a server that stays silent', silent, prosody, 'prosody'],
    ['a flood of something else', 'x'.repeat(100_000), prosody, 'prosody'],
    ['another server: the one on the port for components counts', prosody, ejabberd, 'prosody'],
  ])('%s', async (_what, component, c2s, kind) => {
    const places = {
      component:
        component === undefined
          ? { host: '127.0.0.1', port: await freePort() }
          : await listen(component),
      c2s: { ...(await listen(c2s)), security },
    };
    expect(await recogniseServer(places)).toBe(kind);
  });
});

test('recognises nothing where nothing answers', async () => {
  const place = { host: '127.0.0.1', port: await freePort() };
  expect(
    await recogniseServer({ component: place, c2s: { ...place, security: 'tls' } }),
  ).toBeUndefined();
});

describe('the version', () => {
  const version = '<name>ejabberd</name><version>24.12</version>';

  /** The version stated by a server that answers barriers, and the question at these addresses. */
  async function ask(answers: Readonly<Record<string, string>>, answersBarriers = true) {
    const server = await startComponentServer((stanza, kind, peer) => {
      const { id, to = '' } = stanza.root.attributes;
      if (kind === 'ping') {
        if (answersBarriers) answerHonestly(stanza, kind, peer);
        return;
      }
      peer.send((answers[to] ?? '').replace('ID', id ?? ''));
    });
    try {
      const address = { host: '127.0.0.1', port: server.port, domain: 'gateway.example.org' };
      const domains = ['a.example', 'b.example'];
      return await askVersion({ ...address, secret: new Secret('secret') }, domains);
    } finally {
      await server.stop();
    }
  }
  const result = (from: string): string =>
    `<iq type='result' id='ID' from='${from}'><query xmlns='jabber:iq:version'>${version}</query></iq>`;
  const error = (from: string): string => `<iq type='error' id='ID' from='${from}'><error/></iq>`;

  const cases: readonly [string, Readonly<Record<string, string>>, string | undefined][] = [
    ['stated by the first domain', { 'a.example': result('a.example') }, '24.12'],
    [
      'stated by the second domain, if the first states none',
      { 'a.example': error('a.example'), 'b.example': result('b.example') },
      '24.12',
    ],
    [
      'stated by the second domain, if the first drops the question',
      { 'b.example': result('b.example') },
      '24.12',
    ],
    ['refused', { 'a.example': error('a.example'), 'b.example': error('b.example') }, undefined],
    ['ignored when somebody else states it', { 'a.example': result('c.example') }, undefined],
    ['dropped', {}, undefined],
  ];
  test.each(cases)('is %s', async (_what, answers, expected) => {
    expect((await ask(answers))?.version).toBe(expected);
  });

  test('is not waited for when there is no answer', async () => {
    expect(await ask({}, false)).toBeUndefined();
  });

  test('of a server that cannot be reached is unknown', async () => {
    const address = { host: '127.0.0.1', port: await freePort(), domain: 'gateway.example.org' };
    expect(
      await askVersion({ ...address, secret: new Secret('s') }, ['a.example']),
    ).toBeUndefined();
  });
});
