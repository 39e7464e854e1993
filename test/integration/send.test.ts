import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { enterRoom } from '../support/clients/room.ts';
import { find, type Stanza, text } from '../support/clients/stanza.ts';
import { apiAccount, runCommand } from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { servers } from '../support/servers/servers.ts';
import { freePort } from '../support/system/ports.ts';
import { createDirectory, removeDirectory } from '../support/system/processes.ts';
import { openTerminal } from '../support/system/terminal.ts';
import { waitUntil } from '../support/system/wait.ts';

const asApi = { XMPP_GATEWAY_PASSWORD: apiAccount.password };
const asBot = { XMPP_GATEWAY_PASSWORD: 'bot-secret' };

/** Writes a file with settings where `send` looks for it in this environment. */
function writeSettings(settings: string, mode = 0o600): { file: string; env: NodeJS.ProcessEnv } {
  const folder = createDirectory('settings');
  onTestFinished(() => removeDirectory(folder));
  mkdirSync(join(folder, 'xmpp-message-gateway'));
  const file = join(folder, 'xmpp-message-gateway', 'send.yaml');
  writeFileSync(file, settings);
  chmodSync(file, mode);
  return { file, env: { XDG_CONFIG_HOME: folder } };
}

function childText({ root }: Stanza, name: string): string | undefined {
  const element = find(root, name);
  return element === undefined ? undefined : text(element);
}

describe.each(servers)('send on $kind', ({ start }) => {
  let site: GatewaySite;

  beforeAll(async () => {
    site = await startGatewaySite(start, { muc: 'conference.example.org' });
    await site.server.register('carol', 'carol-secret');
  });
  afterAll(() => site?.stop());

  const api = (...others: string[]): string[] => {
    const { username } = apiAccount;
    const from = ['--from', 'alice@example.org', '--to', 'bob@example.org'];
    return ['send', '--url', site.gateway.url, '--user', username, ...from, ...others];
  };
  const own = (user: string, ...others: string[]): string[] => {
    const to = ['--to', 'bob@example.org'];
    return ['send', '--url', `${site.gateway.url}/`, '--user', user, ...to, ...others];
  };

  test('says what its arguments say, and prints the id', async () => {
    const more = [
      '--type',
      'headline',
      '--subject',
      'R&D <1>',
      '--id',
      'cli-1',
      '--',
      '-93 %',
      'full',
    ];
    const { code, stdout, stderr } = await runCommand(api(...more), { env: asApi });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'cli-1\n', stderr: '' });
    const arrived = await site.bob.waitForMessage('cli-1');
    expect(arrived.root.attributes).toMatchObject({ type: 'headline', from: 'alice@example.org' });
    expect(childText(arrived, 'body')).toBe('-93 % full');
    expect(childText(arrived, 'subject')).toBe('R&D <1>');
    expect(find(arrived.root, 'origin-id')).toBeDefined();
  });

  test.each([[['bot@example.org']], [['bot', '--domain', 'example.org']]])(
    'says what stdin says, as %j',
    async ([user = '', ...more]) => {
      const input = 'Zeile 1 ✓\n\n  line 3\n';
      const run = await runCommand(own(user, '--json', ...more), { input, env: asBot });
      const answer: Record<string, unknown> = JSON.parse(run.stdout);
      expect(answer).toMatchObject({ status: 'success', from: 'bot@example.org' });
      const arrived = await site.bob.waitForMessage(String(answer['id']));
      expect(childText(arrived, 'body')).toBe('Zeile 1 ✓\n\n  line 3');
    },
  );

  test('asks for the password without showing it, then for the message', async () => {
    const terminal = openTerminal(own('bot@example.org'), {
      env: { XMPP_GATEWAY_PASSWORD: '' },
    });
    await terminal.answer('Password: ', 'bot-secret\r');
    await terminal.answer('Message, then Ctrl-D:', 'typed by hand\n\u0004');
    expect(await terminal.ended).toBe(0);
    expect(terminal.screen()).not.toContain('bot-secret');
    const [id = ''] = terminal.screen().trim().split(/\s+/).slice(-1);
    expect(childText(await site.bob.waitForMessage(id), 'body')).toBe('typed by hand');
  });

  test('needs only the recipient, if the rest is in the file', async () => {
    const { env } = writeSettings(
      `url: ${site.gateway.url}\nuser: bot@example.org\npassword: bot-secret\n`,
    );
    const run = await runCommand(['send', '--to', 'bob@example.org'], { input: 'from cron', env });
    expect([run.code, run.stderr]).toEqual([0, '']);
    const arrived = await site.bob.waitForMessage(run.stdout.trim());
    expect(childText(arrived, 'body')).toBe('from cron');
    expect(arrived.root.attributes['from']).toBe('bot@example.org');
  });

  test('says it to several, and in a room, where it is groupchat by itself', async () => {
    const room = await enterRoom(site.bob, 'ops@conference.example.org', 'bob');
    await room.configure({});
    const run = await runCommand(api('--to', room.jid, 'to all'), { env: asApi });
    expect([run.code, run.stderr]).toEqual([0, '']);
    const lines = /^bob@example\.org (\S+)\nops@conference\.example\.org (\S+)\n$/;
    const [, ofBob = '', ofRoom = ''] = lines.exec(run.stdout) ?? [];
    const toBob = await site.bob.waitForMessage(ofBob);
    expect([childText(toBob, 'body'), toBob.root.attributes['type']]).toEqual(['to all', 'chat']);
    const inRoom = await room.waitForMessage(ofRoom);
    expect(childText(inRoom, 'body')).toBe('to all');
    expect(inRoom.root.attributes['type']).toBe('groupchat');
    expect(ofRoom).not.toBe(ofBob);
  });

  test('1, refused, with what is wrong where', async () => {
    const { code, stdout, stderr } = await runCommand(api('--type', 'sms', 'hi'), { env: asApi });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^422 invalid-message: [^\n]*\/type: .*\n$/);
  });

  test.each([
    ['bot@example.org', 'wrong', '401 unauthenticated'],
    ['carol@example.org', 'carol-secret', '403 permission-missing'],
  ])('77, %s with %s', async (user, password, said) => {
    const run = await runCommand(own(user, 'hi'), { env: { XMPP_GATEWAY_PASSWORD: password } });
    expect([run.code, run.stdout, run.stderr.split(':')[0]]).toEqual([77, '', said]);
  });
});

describe('send, while not all is well', () => {
  let site: GatewaySite;

  beforeAll(async () => {
    // A server that is frozen keeps its stream: otherwise a slow start of `send` would get 503.
    const delivery = { confirm_timeout_ms: 700, silence_timeout_ms: 60_000 };
    site = await startGatewaySite(startProsody, {}, { delivery });
  });
  afterAll(() => site?.stop());

  const sendTo = (to: string, seconds: number, ...others: string[]) => {
    const names = ['--user', apiAccount.username, '--from', 'alice@example.org', '--to', to];
    const url = ['--url', site.gateway.url, '--timeout', String(seconds)];
    return runCommand(['send', ...url, ...names, ...others], { env: asApi });
  };
  const send = (seconds: number, ...others: string[]) =>
    sendTo('bob@example.org', seconds, ...others);
  const codes = (): unknown[] =>
    site.gateway
      .logLines()
      .filter(({ route }) => route === 'api')
      .map(({ code }) => code);

  test('1, bounced', async () => {
    const { code, stdout, stderr } = await sendTo('nobody@example.org', 9, '--json', 'hi');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^404 bounced: nobody@example\.org cannot be reached: [^–]*\. – service-unavailable\n$/,
    );
    expect(JSON.parse(stdout)).toMatchObject({ code: 'bounced', status: 404 });
  });

  test('1, one of several bounced; the same key is the same messages', async () => {
    const key = 'one-of-two';
    const twice = ['--to', 'bob@example.org', '--idempotency-key', key, 'to both'];
    const { code, stdout, stderr } = await sendTo('nobody@example.org', 9, ...twice);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^nobody@example\.org: 404 bounced: .*\n$/);
    const id = /^bob@example\.org (\S+)\n$/.exec(stdout)?.[1] ?? '';
    expect(childText(await site.bob.waitForMessage(id), 'body')).toBe('to both');
    expect((await sendTo('nobody@example.org', 9, ...twice)).stdout).toBe(stdout);
    await site.bob.settle();
    const all = site.bob.received.filter((stanza) => childText(stanza, 'body') === 'to both');
    expect(all).toHaveLength(1);
  });

  test('76 and the key, when nobody knows; the same key is the same message', async () => {
    site.server.kill('SIGSTOP');
    onTestFinished(() => site.server.kill('SIGCONT'));
    const { code, stdout, stderr } = await send(8, 'sent perhaps');
    expect([code, stdout]).toEqual([76, '']);
    // On a busy machine the time may be up before the gateway's 504.
    expect(stderr).toMatch(/^(504 delivery-unknown: |no answer from )/);
    const key = /--idempotency-key (\S+)\n$/.exec(stderr)?.[1] ?? '';
    site.server.kill('SIGCONT');
    await site.gateway.waitUntilReady();
    const again = await send(20, '--idempotency-key', key, 'sent perhaps');
    expect(again.code).toBe(0);
    const id = again.stdout.trim();
    expect(childText(await site.bob.waitForMessage(id), 'body')).toBe('sent perhaps');
    const others = site.bob.received.filter(
      (stanza) =>
        childText(stanza, 'body') === 'sent perhaps' && stanza.root.attributes['id'] !== id,
    );
    expect(others).toEqual([]);
  });

  test('0 in the end, when the server comes back', async () => {
    await site.server.halt();
    await waitUntil(() => site.gateway.output().includes('component stream down'), {
      label: 'the loss',
    });
    const before = codes().length;
    const sending = send(30, 'patient');
    await waitUntil(() => codes().slice(before).includes('xmpp-unavailable'), { label: '503' });
    await site.server.resume();
    const { code, stdout, stderr } = await sending;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\S+\n$/);
    expect(stderr).toMatch(/^503 xmpp-unavailable: .*\nTrying again in \d+ s\.\n(Trying|$)/);
    await waitUntil(() => codes().at(-1) === 'ok', { label: 'its line in the log' });
  });

  test('75, when nothing was sent', async () => {
    await site.server.halt();
    onTestFinished(() => site.server.resume());
    await waitUntil(async () => (await send(1, 'never')).code === 75, { label: '75' });
  });
});

test('75, when nobody listens', async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const names = ['--user', 'a', '--from', 'alice@example.org', '--to', 'bob@example.org'];
  const args = ['send', '--url', url, ...names, '--timeout', '1', 'hi'];
  const { code, stderr } = await runCommand(args, { env: asApi });
  expect(code).toBe(75);
  expect(stderr).toBe(
    `no answer from ${url}: connect ECONNREFUSED ${url.slice(7)}\nNothing was sent. Try again later.\n`,
  );
});

test('78, when others can read the password', async () => {
  const { file, env } = writeSettings('user: bot@example.org\npassword: bot-secret\n', 0o644);
  const { code, stdout, stderr } = await runCommand(['send', '--to', 'bob@example.org'], { env });
  expect([code, stdout]).toEqual([78, '']);
  expect(stderr).toBe(
    `${file}: expected mode 600, because it contains a password, got 644; type: chmod 600 ${file}\n`,
  );
});
