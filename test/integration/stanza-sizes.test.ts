import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { check } from '../support/gateway/check-command.ts';
import { gatewayConfig } from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { startEjabberd } from '../support/servers/ejabberd.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { waitUntil } from '../support/system/wait.ts';

const limit = 65_536;
const setups = [
  {
    kind: 'prosody',
    setting: 'component_stanza_size_limit = 266240',
    start: startProsody,
    options: { extra: { global: `component_stanza_size_limit = ${limit}` } },
  },
  {
    kind: 'ejabberd',
    setting: 'max_stanza_size: 266240',
    start: startEjabberd,
    options: { extra: { component: `max_stanza_size: ${limit}` } },
  },
];

describe.each(setups)('$kind with a lower limit than ours', ({ start, options, setting }) => {
  let site: GatewaySite;
  beforeAll(async () => {
    site = await startGatewaySite(start, options);
  });
  afterAll(() => site?.stop());

  const send = async (length: number, id: string) => {
    const { status, json } = await site.postAs(
      'alice',
      JSON.stringify({
        to: 'bob@example.org',
        body: 'x'.repeat(length),
        message_attributes: { id },
      }),
    );
    return status === 200 ? 200 : json()['code'];
  };
  const linesOf = (msg: string) => site.gateway.logLines().filter((line) => line['msg'] === msg);

  test('a size that has closed the stream is refused, and nobody else suffers again', async () => {
    expect(await send(50_000, 'taken')).toBe(200);
    expect(await send(100_000, 'first')).toBe('delivery-unknown');
    const line = await site.gateway.waitForLine('stanza too large for the XMPP server');
    expect(line).toMatchObject({ level: 40, advice: expect.stringContaining('max_stanza_size: ') });
    await site.gateway.waitUntilReady();

    const others = Array.from({ length: 50 }, (_, index) => `other-${index}`);
    const large = Array.from({ length: 5 }, (_, index) => `large-${index}`);
    const answers = await Promise.all([
      ...others.map((id) => send(2, id)),
      ...large.map((id) => send(100_000, id)),
    ]);
    expect(answers).toEqual([...others.map(() => 200), ...large.map(() => 'too-large')]);
    for (const id of ['taken', ...others]) await site.bob.waitForMessage(id);
    const lost = linesOf('component stream down').filter(({ reason }) =>
      String(reason).startsWith('the component stream was lost'),
    );
    expect(lost).toHaveLength(1);
  });

  test('SIGHUP makes it try again', async () => {
    site.gateway.signal('SIGHUP');
    await site.gateway.waitForLine('accounts and permissions reloaded');
    expect(await send(100_000, 'again')).toBe('delivery-unknown');
    await waitUntil(() => linesOf('stanza too large for the XMPP server').length === 2, {
      label: 'a second line',
    });
    await site.gateway.waitUntilReady();
    expect(await send(100_000, 'refused')).toBe('too-large');
  });

  test('check finds the limit, and nobody sees it', async () => {
    await site.gateway.stop();
    const before = site.bob.received.length;
    const { code, stdout } = await check(gatewayConfig(site.server));
    expect(code).toBe(1);
    const about = /it accepts about (\d+) bytes/.exec(stdout)?.[1];
    // Prosody counts what it has read, and reads more than one stanza at a time.
    expect(Math.abs(Number(about) - limit)).toBeLessThan(8192);
    expect(stdout).toContain(setting);
    await site.bob.settle();
    expect(site.bob.received.slice(before).filter(({ root }) => root.name === 'message')).toEqual(
      [],
    );
  });
});
