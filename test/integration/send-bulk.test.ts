import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { find, text } from '../support/clients/stanza.ts';
import { startProxy } from '../support/doubles/fault-proxy.ts';
import { apiAccount, runCommand } from '../support/gateway/gateway.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { servers } from '../support/servers/servers.ts';
import { createDirectory, removeDirectory, runToSuccess } from '../support/system/processes.ts';
import { openTerminal } from '../support/system/terminal.ts';
import { waitUntil } from '../support/system/wait.ts';

const env = { XMPP_GATEWAY_PASSWORD: apiAccount.password };

describe.each(servers)('send --bulk on $kind', ({ start }) => {
  let site: GatewaySite;

  beforeAll(async () => {
    site = await startGatewaySite(start);
  });
  afterAll(() => site?.stop());

  const command = (url: string, ...others: string[]): string[] => {
    const from = ['--user', apiAccount.username, '--from', 'alice@example.org'];
    return ['send', '--url', url, ...from, ...others];
  };
  const bulk = (file: string, ...others: string[]): string[] =>
    command(site.gateway.url, '--bulk', file, ...others);

  const openFolder = (): string => {
    const folder = createDirectory('bulk');
    onTestFinished(() => removeDirectory(folder));
    return folder;
  };
  const write = (name: string, content: string): string => {
    const file = join(openFolder(), name);
    writeFileSync(file, content);
    return file;
  };
  /** The bodies that Bob got, of those that contain this. */
  const bodiesAtBob = (part: string): string[] =>
    site.bob.received.flatMap(({ root }) => {
      const body = root.name === 'message' ? find(root, 'body') : undefined;
      return body !== undefined && text(body).includes(part) ? [text(body)] : [];
    });

  test('NDJSON: each message arrives once, in order; a second run with the same key sends none', async () => {
    const bodies = Array.from({ length: 300 }, (_, index) => `ndjson ${index}`);
    const file = write(
      'messages.ndjson',
      bodies.map((body) => `${JSON.stringify({ to: 'bob@example.org', body })}\r\n`).join('\n'),
    );
    const run = () => runCommand(bulk(file, '--idempotency-key', 'ndjson-1'), { env });
    const expected = { code: 0, stdout: '300 accepted, 0 refused\n', stderr: '' };
    expect(await run()).toMatchObject(expected);
    expect(await run()).toMatchObject(expected);
    await waitUntil(() => bodiesAtBob('ndjson').length >= 300, { label: 'all messages' });
    await site.bob.settle();
    expect(bodiesAtBob('ndjson')).toEqual(bodies);
  });

  test('CSV from stdin: what is refused is written as it was, and arrives once it is corrected', async () => {
    const csv = [
      'to,body,subject,type',
      'bob@example.org,"csv one, ""quoted""\nin two lines",Ämter,headline',
      'bob,"csv two\r\nto a user without a domain",,',
      'bob@example.org,csv three,,sms',
      'bob@example.org,csv four',
      'bob@example.org,csv five,,',
    ].join('\r\n');
    const rejects = join(openFolder(), 'rejects.csv');
    const run = await runCommand(bulk('-', '--rejects', rejects), { env, input: csv });
    expect([run.code, run.stdout]).toEqual([65, '2 accepted, 3 refused\n']);
    for (const said of [
      /^To send stdin again without duplicates, add: --idempotency-key [\w-]+$/m,
      /^line 7: expected 4 fields, got 2$/m,
      /^line 4: 422 invalid-message: .*bob/m,
      /^line 6: 422 invalid-message: .*\/type/m,
      `Correct the refused messages in ${rejects}, then send that file.`,
    ]) {
      expect(run.stderr).toMatch(said);
    }
    const written = readFileSync(rejects, 'utf8');
    const [header, ...rows] = written.split(/\r?\n(?=bob|$)/);
    expect(header).toBe('to,body,subject,type');
    expect(new Set(rows)).toEqual(
      new Set([
        'bob,"csv two\r\nto a user without a domain",,',
        'bob@example.org,csv three,,sms',
        'bob@example.org,csv four',
        '',
      ]),
    );
    const corrected = written
      .replace('bob,', 'bob@example.org,')
      .replace('sms', 'normal')
      .replace('csv four', 'csv four,,');
    const again = await runCommand(bulk(write('corrected.csv', corrected)), { env });
    expect([again.code, again.stdout]).toEqual([0, '3 accepted, 0 refused\n']);
    await waitUntil(() => bodiesAtBob('csv').length >= 5, { label: 'all messages' });
    await site.bob.settle();
    expect(bodiesAtBob('csv').toSorted()).toEqual([
      'csv five',
      'csv four',
      'csv one, "quoted"\nin two lines',
      'csv three',
      // XML has only line feeds.
      'csv two\nto a user without a domain',
    ]);
  });

  test('a connection that is lost in the middle: nothing is lost, and nothing arrives twice', async () => {
    const proxy = await startProxy(site.gateway.port);
    onTestFinished(() => proxy.stop());
    const bodies = Array.from({ length: 400 }, (_, index) => `lost ${index}`);
    const file = write(
      'messages.ndjson',
      bodies.map((body) => JSON.stringify({ to: 'bob@example.org', body })).join('\n'),
    );
    proxy.cutAfter(20_000);
    const url = `http://127.0.0.1:${proxy.port}`;
    const run = await runCommand(command(url, '--bulk', file), { env });
    expect([run.code, run.stdout]).toEqual([0, '400 accepted, 0 refused\n']);
    expect(run.stderr).toMatch(/^no answer: .*\nTrying again in 1 s\.$/m);
    expect(proxy.accepted).toBe(2);
    await waitUntil(() => bodiesAtBob('lost').length >= 400, { label: 'all messages' });
    await site.bob.settle();
    expect(bodiesAtBob('lost').toSorted()).toEqual(bodies.toSorted());
  });

  test('a terminal shows how far it is; Ctrl-C stops reading and says where, and it can go on there', async () => {
    const pipe = join(openFolder(), 'pipe');
    await runToSuccess({ file: 'mkfifo', args: [pipe] });
    const lines = ['one', 'two', 'three', 'four'].map(
      (word) => `${JSON.stringify({ to: 'bob@example.org', body: `typed ${word}` })}\n`,
    );
    const writing = openSync(pipe, 'r+');
    onTestFinished(() => closeSync(writing));
    writeSync(writing, lines.slice(0, 3).join(''));
    const terminal = openTerminal(bulk(pipe, '--idempotency-key', 'typed'), { env });
    await terminal.answer('3 accepted, 0 refused', '\u0003');
    expect(await terminal.ended).toBe(130);
    const said = /done up to line 3\. To go on, add: (--skip 3 --idempotency-key typed)/;
    const [, options = ''] = said.exec(terminal.screen()) ?? [];
    const file = write('messages.ndjson', lines.join(''));
    const again = openTerminal(bulk(file, ...options.split(' ')), { env });
    expect(await again.ended).toBe(0);
    expect(again.screen()).toMatch(/#{20} 100% \| \d+\/s \| 1 accepted, 0 refused \| 0:00 left/);
    await waitUntil(() => bodiesAtBob('typed').length >= 4, { label: 'all messages' });
    await site.bob.settle();
    expect(bodiesAtBob('typed')).toEqual(['typed one', 'typed two', 'typed three', 'typed four']);
  });
});
