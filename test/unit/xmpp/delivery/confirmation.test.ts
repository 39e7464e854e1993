import { parse } from 'ltx';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { parseJid } from '../../../../src/core/jid/jid.ts';
import { Confirmations } from '../../../../src/xmpp/delivery/confirmation.ts';
import { StreamHandle } from '../../../../src/xmpp/stream/handle.ts';

const stanzas = "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'";

const sender = 'juliet@example.org/http-x';
const caller = 'account alerts';

/** The ids of the pings that are written to the stream. */
function collectPings(stream: StreamHandle): string[] {
  const pings: string[] = [];
  stream.attach({
    write: (xml) => pings.push(/id='([^']+)'/.exec(xml)?.[1] ?? ''),
    isBlocked: () => false,
    close: async () => {},
    destroy: () => {},
  });
  return pings;
}

/** A remote confirmation whose pings the test answers. */
function attach(remoteMs: number) {
  const stream = new StreamHandle();
  const remote = new Confirmations({ stream, remoteMs, log: pino({ enabled: false }) });
  const pings = collectPings(stream);
  const watch = (id: string, bytes = 100) => {
    const addresses = { from: parseJid(sender), to: parseJid('bob@remote.example') };
    const message = { id, ...addresses, isGroupchat: false, heldBytes: bytes };
    const watched = remote.watch(message, { isRemote: true, waitMs: undefined, caller });
    remote.handleNext(message);
    watched.begin();
    return { confirm: async () => (await watched.confirm()).confirmed };
  };
  const answer = (xml: string): void =>
    stream.receive(
      parse(`<iq id='${pings.shift()}' from='remote.example/gateway' to='${sender}' ${xml}</iq>`),
    );
  const bounce = (id: string): boolean =>
    remote.takeBounceOfProcessed(
      parse(
        `<message type='error' id='${id}' from='bob@remote.example' to='${sender}'><error type='cancel'><service-unavailable ${stanzas}/></error></message>`,
      ),
    );
  return { watch, answer, bounce };
}

const ejabberds = `type='error'><error type='cancel'><item-not-found ${stanzas}/></error>`;

test('a bounce between the two pings', async () => {
  const { watch, answer, bounce } = attach(30_000);
  const outcome = watch('1').confirm();
  answer(ejabberds);
  bounce('1');
  await expect(outcome).rejects.toMatchObject({ code: 'bounced' });
});

test.each([
  ['many others', (index: number) => `other ${index}`, 20_000],
  ['many with its id', () => '1', 100],
])(
  'a message that had to make room for %s is not confirmed by the remote server',
  async (_, idOf, count) => {
    const { watch, answer } = attach(5000);
    const outcome = watch('1').confirm();
    for (let index = 0; index < count; index += 1) watch(idOf(index));
    answer("type='result'>");
    expect(await outcome).toBe('server');
  },
);

test('only 32 MiB of messages wait for remote servers; the others are answered at once', async () => {
  const { watch, answer } = attach(30_000);
  const waiting = watch('1', 32 * 1024 * 1024).confirm();
  expect(await watch('2').confirm()).toBe('server');
  answer("type='result'>");
  expect(await waiting).toBe('remote');
  const next = watch('3').confirm();
  answer("type='result'>");
  expect(await next).toBe('remote');
});

test('a bounce is never charged to an equal message that our server has processed', async () => {
  const { watch, bounce } = attach(30_000);
  const processed = watch('1').confirm();
  watch('1');
  expect(await processed).toBe('server');
  expect(bounce('1')).toBe(false);
});

/** Confirmations on a stream, for messages to `to` with the id `1`. */
function attachReceipts({ remoteMs = 0, waitMs = 30_000, isRemote = false } = {}) {
  const stream = new StreamHandle();
  const late: string[] = [];
  const confirmations = new Confirmations({
    stream,
    remoteMs,
    log: pino({}, { write: (line) => void late.push(String(JSON.parse(line).msg)) }),
    onLateReceipt: () => late.push('counted'),
  });
  const pings = collectPings(stream);
  const watch = (to: string, id = '1', by = caller, isWritten = true) => {
    const message = {
      id,
      from: parseJid(sender),
      to: parseJid(to),
      isGroupchat: false,
      heldBytes: 100,
    };
    const watched = confirmations.watch(message, { isRemote, waitMs, caller: by });
    if (isWritten) {
      confirmations.handleNext(message);
      watched.begin();
    }
    return watched;
  };
  const receive = (from: string, id = '1', to = sender, name = 'received'): boolean =>
    confirmations.takeReceipt(
      parse(
        `<message from='${from}' to='${to}'><${name} xmlns='urn:xmpp:receipts' id='${id}'/></message>`,
      ),
    );
  const bounce = (from: string): boolean =>
    confirmations.takeBounceOfProcessed(
      parse(
        `<message type='error' id='1' from='${from}' to='${sender}'><error type='cancel'><gone ${stanzas}/></error></message>`,
      ),
    );
  const answerPing = (from: string): void =>
    stream.receive(parse(`<iq id='${pings.shift()}' from='${from}' type='result'/>`));
  return { confirmations, watch, receive, bounce, answerPing, pings, late };
}

const bob = 'bob@example.org';

describe('a refusal of the sender that the server of the recipient has made up is a bounce', () => {
  const mallory = 'mallory@evil.example';
  const forged = parse(
    `<message type='error' id='1' from='${mallory}' to='${sender}'><error type='auth'><forbidden ${stanzas}/><sender-refused xmlns='urn:xmpp-message-gateway:0' reason='no-account'/></error></message>`,
  );
  const bounced = { code: 'bounced', options: { stanzaError: { condition: 'forbidden' } } };

  test('while its answer is awaited', async () => {
    const { confirmations, watch } = attachReceipts({ remoteMs: 30_000, isRemote: true });
    const outcome = watch(mallory).confirm();
    expect(confirmations.takeBounceOfProcessed(forged)).toBe(true);
    await expect(outcome).rejects.toMatchObject(bounced);
  });

  test('before the caller went on', async () => {
    const { confirmations, watch } = attachReceipts();
    const watched = watch(mallory);
    expect(confirmations.takeBounceOfInFlight(forged)).toBe(true);
    await expect(watched.confirm()).rejects.toMatchObject(bounced);
  });

  test('after the answer', async () => {
    const { confirmations, watch } = attachReceipts();
    const { arrival } = await watch(mallory).confirm();
    const fates: unknown[] = [];
    arrival?.onLate((fate) => fates.push(fate));
    arrival?.end();
    await arrival?.confirmed;
    expect(confirmations.takeLateBounce(forged)).toBe(true);
    expect(fates).toMatchObject([bounced]);
  });
});

describe('a receipt', () => {
  test.each([
    ['a client of a bare recipient', bob, `${bob}/phone`],
    ['the account of a bare recipient', bob, bob],
    ['an address that is prepared', bob, 'BOB@Example.ORG/phone'],
    ['the client that was addressed', `${bob}/phone`, `${bob}/phone`],
    ['a gateway to another network', 'sms.example.org', 'sms.example.org/x'],
  ])('of %s counts', async (_, to, from) => {
    const { watch, receive } = attachReceipts();
    const { arrival, confirmed } = await watch(to).confirm();
    expect(confirmed).toBe('server');
    expect(receive(from)).toBe(true);
    expect(await arrival?.confirmed).toBe('recipient');
  });

  test.each([
    ['somebody else', bob, ['mallory@example.org/phone']],
    ["the recipient's domain", bob, ['example.org']],
    ['the same name elsewhere', bob, ['bob@elsewhere.example/phone']],
    ['another client than the one addressed', `${bob}/phone`, [`${bob}/desk`]],
    ['the account of the client addressed', `${bob}/phone`, [bob]],
    ['another message', bob, [`${bob}/phone`, '2']],
    ['another sender', bob, [`${bob}/phone`, '1', 'carol@example.org/http-x']],
    ['another resource of the sender', bob, [`${bob}/phone`, '1', 'juliet@example.org/desk']],
    ['the sender without resource', bob, [`${bob}/phone`, '1', 'juliet@example.org']],
    ['another kind', bob, [`${bob}/phone`, '1', sender, 'request']],
  ] as const)('of %s is nothing', async (_, to, forged) => {
    const { confirmations, watch, receive, late } = attachReceipts();
    const { arrival } = await watch(to).confirm();
    const [from, ...rest] = forged;
    expect(receive(from, ...rest)).toBe(false);
    confirmations.finish();
    expect(await arrival?.confirmed).toBe('server');
    expect(late).toEqual([]);
  });

  test('may come before the answer to the barrier', async () => {
    const { watch, receive } = attachReceipts();
    const watched = watch(bob);
    receive(`${bob}/phone`);
    const { confirmed, arrival } = await watched.confirm();
    expect([confirmed, await arrival?.confirmed]).toEqual(['recipient', 'recipient']);
  });

  test('of a second client is nothing more', async () => {
    const { watch, receive, late } = attachReceipts();
    const { arrival } = await watch(bob).confirm();
    expect([receive(`${bob}/phone`), receive(`${bob}/desk`)]).toEqual([true, false]);
    expect(await arrival?.confirmed).toBe('recipient');
    expect(late).toEqual([]);
  });

  test('that comes late is told, logged and counted, once', async () => {
    const { watch, receive, late } = attachReceipts({ waitMs: 1 });
    const { arrival } = await watch(bob).confirm();
    arrival?.onLate(() => late.push('told'));
    expect(await arrival?.confirmed).toBe('server');
    receive(`${bob}/phone`);
    receive(`${bob}/desk`);
    expect(late).toEqual(['counted', 'told', 'receipt after the answer']);
  });

  test('that comes after its caller has gone is late, too', async () => {
    const { confirmations, watch, receive, late } = attachReceipts();
    const { arrival } = await watch(bob).confirm();
    arrival?.onLate(() => late.push('told'));
    arrival?.end();
    expect(await arrival?.confirmed).toBe('server');
    expect(receive(`${bob}/phone`)).toBe(true);
    expect(late).toEqual(['counted', 'told', 'receipt after the answer']);
    // Nothing waits any more.
    arrival?.end();
    confirmations.handleClose();
  });

  test('that was not asked for is nothing', async () => {
    const { confirmations, receive, late } = attachReceipts();
    const message = {
      id: '1',
      from: parseJid(sender),
      to: parseJid(bob),
      isGroupchat: false,
      heldBytes: 100,
    };
    const watched = confirmations.watch(message, { isRemote: true, waitMs: undefined, caller });
    watched.begin();
    expect((await watched.confirm()).arrival).toBeUndefined();
    expect(receive(`${bob}/phone`)).toBe(false);
    expect(late).toEqual([]);
  });

  test('belongs to the oldest of several equal messages, which waits no longer', async () => {
    const { watch, receive } = attachReceipts();
    const first = await watch(bob).confirm();
    const second = await watch(bob).confirm();
    expect(await first.arrival?.confirmed).toBe('server');
    expect([receive(`${bob}/phone`), receive(`${bob}/phone`)]).toEqual([true, true]);
    expect(await second.arrival?.confirmed).toBe('recipient');
  });

  test('is never that of a message that was not written yet', () => {
    const { watch, receive } = attachReceipts();
    const unwritten = watch(bob, '1', caller, false);
    expect([receive(`${bob}/phone`), unwritten.hasReceipt()]).toEqual([false, false]);
  });

  test('is told from that of another recipient of the same list', async () => {
    const { confirmations, watch, receive } = attachReceipts();
    const [one, two] = [await watch(bob).confirm(), await watch('carol@example.org').confirm()];
    receive('carol@example.org/phone');
    confirmations.handleClose();
    expect(await one.arrival?.confirmed).toBe('server');
    expect(await two.arrival?.confirmed).toBe('recipient');
  });
});

describe('while a receipt is awaited', () => {
  test('a bounce ends the wait', async () => {
    const { watch, bounce, receive, late } = attachReceipts();
    const { arrival } = await watch(bob).confirm();
    expect(bounce(bob)).toBe(true);
    await expect(arrival?.confirmed).rejects.toMatchObject({ code: 'bounced' });
    expect(receive(`${bob}/phone`)).toBe(false);
    expect(late).toEqual([]);
  });

  test("the recipient's server confirms, and the wait goes on", async () => {
    const remote = 'bob@remote.example';
    const all = attachReceipts({ remoteMs: 30_000, isRemote: true });
    const outcome = all.watch(remote).confirm();
    all.answerPing('remote.example/gateway');
    const { confirmed, arrival } = await outcome;
    expect(confirmed).toBe('remote');
    all.receive(`${remote}/phone`);
    expect(await arrival?.confirmed).toBe('recipient');
  });

  test('what is known at the end is the answer', async () => {
    const all = attachReceipts({ remoteMs: 30_000, isRemote: true });
    const outcome = all.watch('bob@remote.example').confirm();
    all.answerPing('remote.example/gateway');
    const { arrival } = await outcome;
    all.confirmations.finish();
    expect(await arrival?.confirmed).toBe('remote');
  });

  test('a receipt ends the wait for the server of the recipient', async () => {
    const all = attachReceipts({ remoteMs: 30_000, isRemote: true });
    const outcome = all.watch('bob@remote.example').confirm();
    all.receive('bob@remote.example/phone');
    // In the same chunk.
    all.answerPing('remote.example/gateway');
    expect((await outcome).confirmed).toBe('recipient');
  });

  test('an equal message that follows ends the wait, and its bounce is not that of the first', async () => {
    const { confirmations, watch, bounce } = attachReceipts();
    const next = { id: '1', from: parseJid(sender), to: parseJid(bob) };
    const { arrival } = await watch(bob).confirm();
    confirmations.handleNext(next);
    expect(await arrival?.confirmed).toBe('server');
    expect(bounce(bob)).toBe(false);
    // The same if it follows before our own server has answered.
    const inFlight = watch(bob);
    confirmations.handleNext(next);
    expect(await (await inFlight.confirm()).arrival?.confirmed).toBe('server');
    expect(bounce(bob)).toBe(false);
  });

  test('an equal message that is refused before it is written changes nothing', async () => {
    const { watch, receive } = attachReceipts();
    const { arrival } = await watch(bob).confirm();
    watch(bob, '1', caller, false).forget();
    receive(`${bob}/phone`);
    expect(await arrival?.confirmed).toBe('recipient');
  });

  test('those who wait make no room for others', async () => {
    const { confirmations, watch, receive } = attachReceipts();
    const { arrival } = await watch(bob).confirm();
    for (let index = 0; index <= 20_000; index++) {
      const message = { id: `${index}`, from: parseJid(sender), to: parseJid('z@remote.example') };
      const others = { isRemote: true, waitMs: undefined, caller: 'account other' };
      confirmations.watch({ ...message, isGroupchat: false, heldBytes: 100 }, others);
    }
    receive(`${bob}/phone`);
    expect(await arrival?.confirmed).toBe('recipient');
  });

  test('a receipt that comes before the answer of our own server is known', () => {
    const { watch, receive } = attachReceipts();
    const watched = watch(bob);
    expect(watched.hasReceipt()).toBe(false);
    receive(`${bob}/phone`);
    expect(watched.hasReceipt()).toBe(true);
  });

  test('nobody takes more places than are left for others', async () => {
    const { confirmations, watch, receive } = attachReceipts();
    const watches = Array.from({ length: 2000 }, (_, index) => watch(bob, `${index}`));
    expect(confirmations.mayAwaitReceipt(caller)).toBe(false);
    expect(confirmations.mayAwaitReceipt('user bot@example.org')).toBe(true);
    const arrivals = await Promise.all(watches.map((it) => it.confirm()));
    receive(`${bob}/phone`, '7');
    expect(await arrivals[7]?.arrival?.confirmed).toBe('recipient');
    expect(confirmations.mayAwaitReceipt(caller)).toBe(true);
    watch(bob, 'next').forget();
    expect(confirmations.mayAwaitReceipt(caller)).toBe(true);
    confirmations.finish();
    expect(confirmations.mayAwaitReceipt(caller)).toBe(false);
    const known = await Promise.all(arrivals.map(async ({ arrival }) => arrival?.confirmed));
    expect(known.filter((it) => it === 'server')).toHaveLength(1999);
  });
});
