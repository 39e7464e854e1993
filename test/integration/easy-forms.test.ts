import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { post } from '../support/clients/http.ts';
import { bodyOf, enterRoom, type Room } from '../support/clients/room.ts';
import { find, text } from '../support/clients/stanza.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { servers } from '../support/servers/servers.ts';
import { runChild } from '../support/system/processes.ts';

const service = 'conference.example.org';
const form = 'application/x-www-form-urlencoded';

interface Result {
  readonly status: number;
  readonly to: string;
  readonly id?: string;
  readonly code?: string;
}

describe.each(servers)('the easy forms on $kind', ({ start }) => {
  let site: GatewaySite;
  let room: Room;

  beforeAll(async () => {
    site = await startGatewaySite(start, { muc: service });
    await site.server.register('carol', 'carol-secret');
    room = await enterRoom(site.bob, `ops@${service}`, 'bob');
    await room.configure({});
  });
  afterAll(() => site?.stop());

  /** Runs a line of a shell script that has the URL and a text in its variables. */
  async function runLine(line: string, variable = ''): Promise<string> {
    const url = `${site.gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages`;
    const { code, stdout, stderr } = await runChild({
      file: 'bash',
      args: ['-c', `set -eu\n${line}`],
      env: { URL: url, TEXT: variable },
    });
    expect([code, stderr]).toEqual([0, '']);
    return stdout;
  }

  async function bodyAtBob(id: unknown): Promise<string> {
    const body = find((await site.bob.waitForMessage(String(id))).root, 'body');
    return body === undefined ? '' : text(body);
  }

  const awkward = 'Grüße: it\'s "quoted", $HOME & <more> 100%41\nsecond + line';

  test('a form carries any text from a shell variable', async () => {
    const printed = await runLine(
      'curl -sS -u bot:bot-secret -d to=bob@example.org --data-urlencode "body=$TEXT" "$URL"',
      awkward,
    );
    expect(printed).toMatch(/\}\n$/);
    expect(await bodyAtBob(JSON.parse(printed).id)).toBe(awkward);
  });

  test('plain text is what a command prints', async () => {
    const printed = await runLine(
      `printf '%s' "$TEXT" | curl -sS -u bot:bot-secret -H 'Content-Type: text/plain' --data-binary @- "$URL?to=bob@example.org&subject=a%20b"`,
      awkward,
    );
    const { id } = JSON.parse(printed);
    expect(await bodyAtBob(id)).toBe(awkward);
    const subject = find((await site.bob.waitForMessage(id)).root, 'subject');
    expect(subject && text(subject)).toBe('a b');
  });

  test.each([
    ['JSON', `{"to": "ops@${service}", "body": "in JSON"}`, 'application/json'],
    ['a form', `to=ops@${service}&body=in+a+form`, form],
  ])('a room gets groupchat from %s without a type', async (_, body, type) => {
    const answer = await site.postAsBot(body, type);
    expect(answer.json()).toMatchObject({ status: 'success' });
    const { id } = answer.json() as { id: string };
    expect(bodyOf(await room.waitForMessage(id))).toMatch(/^in /);
    expect(room.messages()).toContainEqual({ nick: 'bot', id });
  });

  test('and no groupchat where the type is given', async () => {
    const body = `{"to": "ops@${service}", "body": "x", "type": "chat"}`;
    const answer = await site.postAsBot(body);
    const { id } = answer.json() as { id?: string };
    await site.bob.settle();
    expect(room.messages().map((message) => message.id)).not.toContain(id ?? 'x');
  });

  test('a list says for each recipient what became of its message', async () => {
    const to = ['bob@example.org', `ops@${service}`, `nowhere@${service}`, 'carol@example.org'];
    const answer = await site.postAsBot(JSON.stringify({ to, body: 'to all' }));
    expect(answer.status).toBe(207);
    const results = answer.json()['results'] as Result[];
    expect(results).toMatchObject([
      { status: 200, to: to[0] },
      { status: 200, to: to[1] },
      { status: 404, to: to[2], code: 'bounced', condition: 'item-not-found' },
      { status: 200, to: to[3] },
    ]);
    expect(await bodyAtBob(results[0]?.id)).toBe('to all');
    expect(bodyOf(await room.waitForMessage(results[1]?.id ?? ''))).toBe('to all');
  });
});

describe.each(servers)('a list with an Idempotency-Key on $kind', ({ start }) => {
  test('reaches everybody once, whatever was refused at first', async () => {
    // Only one message fits, so that all others of a list are refused.
    const site = await startGatewaySite(start, {}, { delivery: { max_in_flight: 1 } });
    const to = Array.from({ length: 6 }, (_, index) => `bob@example.org/${index}`);
    const body = JSON.stringify({ to: ['bob@example.org', ...to], body: 'once', type: 'headline' });
    const send = (): Promise<Result[]> =>
      post(`${site.gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages`, {
        auth: ['bot', 'bot-secret'],
        body,
        headers: { 'idempotency-key': 'list' },
      }).then((answer) => answer.json()['results'] as Result[]);
    const isOpen = ({ status }: Result): boolean => status === 503;
    const rounds: Result[][] = [];
    for (let round = await send(); ; round = await send()) {
      rounds.push(round);
      if (!round.some(isOpen)) break;
    }
    expect(rounds.length).toBeGreaterThan(1);
    const settled = rounds.at(-1) ?? [];
    for (const round of rounds) {
      for (const [index, result] of round.entries()) {
        if (!isOpen(result)) expect(result).toEqual(settled[index]);
      }
    }
    await site.bob.settle();
    const arrived = site.bob.received.filter(
      ({ root }) => root.name === 'message' && root.attributes['type'] === 'headline',
    );
    const ids = arrived.map(({ root }) => root.attributes['id']);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain(settled[0]?.id);
    await site.stop();
  });
});
