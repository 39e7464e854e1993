import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openComponent } from '../support/clients/component.ts';
import { openSessionOn } from '../support/clients/session.ts';
import { comparable, parseStanza } from '../support/clients/stanza.ts';
import { servers } from '../support/servers/servers.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe.each(servers)('a private server, on $kind', ({ start }) => {
  let server: XmppServer;
  beforeAll(async () => {
    server = await start({ domains: ['example.org', 'bots.example.org'], directTls: true });
    await server.register('alice', 'alice-secret');
    await server.register('bob', 'bob-secret', 'bots.example.org');
  });
  afterAll(() => server.stop());

  test.each([
    { mechanism: 'PLAIN', tls: false },
    { mechanism: 'SCRAM-SHA-1', tls: false },
    { mechanism: 'PLAIN', tls: true },
  ] as const)('a session with $mechanism, TLS $tls', async ({ mechanism, tls }) => {
    const alice = await openSessionOn(server, 'alice', 'alice-secret', { mechanism, tls });
    expect(alice.jid).toMatch(/^alice@example\.org\/./);
    await alice.close();
  });

  test('a wrong password is refused', async () => {
    await expect(openSessionOn(server, 'alice', 'wrong')).rejects.toThrow('not-authorized');
  });

  test('two sessions exchange a message', async () => {
    const alice = await openSessionOn(server, 'alice', 'alice-secret', { resource: 'phone' });
    const bob = await openSessionOn(server, 'bob', 'bob-secret', { domain: 'bots.example.org' });
    alice.send(
      `<message to='${bob.jid}' type='chat' id='m1'><body>a &lt; b > c 😀</body><x xmlns='urn:x' a='1'/></message>`,
    );
    const message = await bob.waitForMessage('m1');
    expect(message.xml).toMatch(/^<message .*<\/message>$/s);
    expect(comparable(message.root)).toEqual(
      comparable(
        parseStanza(
          `<message from='${alice.jid}' to='${bob.jid}' type='chat' id='m1'><body>a &lt; b &gt; c 😀</body><x xmlns='urn:x' a='1'/></message>`,
        ),
      ),
    );
    await Promise.all([alice.close(), bob.close()]);
  });

  test('a component speaks as a user, and its handshakes are counted', async () => {
    const before = server.componentHandshakes();
    const alice = await openSessionOn(server, 'alice', 'alice-secret');
    const { componentDomain: domain, componentPort: port, componentSecret: secret } = server;
    const component = await openComponent({ port, domain, secret });
    component.send(
      `<message from='ghost@example.org' to='${alice.jid}' id='m2'><body>hi</body></message>`,
    );
    const message = await alice.waitForMessage('m2');
    expect(message.root.attributes['from']).toBe('ghost@example.org');
    await waitUntil(() => server.componentHandshakes() === before + 1, {
      label: 'one more handshake in the log',
    });
    await Promise.all([component.close(), alice.close()]);
  });

  test('a component with a wrong secret is refused', async () => {
    const { componentDomain: domain, componentPort: port } = server;
    await expect(openComponent({ port, domain, secret: 'wrong' })).rejects.toThrow(
      'not-authorized',
    );
  });

  test('accounts change while the server runs', async () => {
    await server.register('carol', 'first');
    await server.changePassword('carol', 'second');
    await expect(openSessionOn(server, 'carol', 'first')).rejects.toThrow('not-authorized');
    const carol = await openSessionOn(server, 'carol', 'second');
    await carol.close();
    await server.unregister('carol');
    await expect(openSessionOn(server, 'carol', 'second')).rejects.toThrow('not-authorized');
  });

  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'a restart after %s keeps the data',
    async (signal) => {
      const { pid } = server;
      await server.restart(signal);
      expect(isAlive(pid)).toBe(false);
      const alice = await openSessionOn(server, 'alice', 'alice-secret');
      await alice.close();
    },
  );

  test('stopping leaves no process', async () => {
    const { pid } = server;
    expect(isAlive(pid)).toBe(true);
    server.kill('SIGSTOP');
    await server.stop();
    expect(isAlive(pid)).toBe(false);
  });
});
