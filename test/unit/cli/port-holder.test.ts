import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findHttpHolder, findMetricsHolder } from '../../../src/cli/port-holder.ts';
import type { Config } from '../../../src/config/config.ts';

/** Listens until the test ends; resolves with the HTTP settings of a gateway that wants this port. */
async function listen(server: Server): Promise<Config['http']> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { host: '127.0.0.1', port } as Config['http'];
}

const answering = (status: number, body: string, headers = {}): RequestListener => {
  return (req, res) => {
    res.writeHead(req.url === '/readyz' || req.url === '/metrics' ? status : 404, headers);
    res.end(body);
  };
};

const report = {
  mode: 'plain',
  archive: false,
  carbons: false,
  bounces: { local: true, remote: false },
};

describe('what has the port for HTTP', () => {
  test('nothing', async () => {
    const server = createTcpServer();
    const http = await listen(server);
    server.close();
    await once(server, 'close');
    expect(await findHttpHolder(http)).toBeUndefined();
  });

  test.each([
    [200, { status: 'ready', domains: { 'example.org': report } }],
    [503, { status: 'unavailable', reason: 'the component stream is being opened' }],
  ])('a gateway that answers %d', async (status, state) => {
    const http = await listen(createServer(answering(status, JSON.stringify(state))));
    expect(await findHttpHolder(http)).toEqual({ kind: 'gateway', state, hasTls: false });
  });

  test('a gateway that is still without TLS', async () => {
    const state = { status: 'unavailable', reason: 'the component stream is being opened' };
    const http = await listen(createServer(answering(503, JSON.stringify(state))));
    const changed = { ...http, tls: {} } as Config['http'];
    expect(await findHttpHolder(changed)).toEqual({ kind: 'gateway', state, hasTls: false });
  });

  test.each([
    ['a page', 200, '<html>', {}, 'it answers HTTP, but not as a gateway'],
    ['a named server', 404, '', { Server: 'nginx/1.22.1' }, 'it answers as nginx/1.22.1'],
    ['controls in its name', 404, '', { Server: 'a\tb' }, 'it answers as ab'],
    ['something ready', 200, '{"status":"ready"}', {}, 'it answers HTTP, but not as a gateway'],
    [
      'a mode that does not exist',
      200,
      JSON.stringify({ status: 'ready', domains: { a: { mode: 'x' } } }),
      {},
      'it answers HTTP, but not as a gateway',
    ],
  ])('%s', async (_what, status, body, headers, answer) => {
    const http = await listen(createServer(answering(status, body, headers)));
    expect(await findHttpHolder(http)).toEqual({ kind: 'foreign', answer });
  });

  test('a program with another protocol', async () => {
    const http = await listen(createTcpServer((socket) => socket.end('220 mail ready\r\n')));
    const answer = 'it does not answer HTTP';
    expect(await findHttpHolder(http)).toEqual({ kind: 'foreign', answer });
  });
});

test.each([
  ['# HELP\nxmpp_message_gateway_stream_ready 1\n', { kind: 'metrics' }],
  [
    'node_exporter_build_info{version="1"} 1\n',
    { kind: 'foreign', answer: 'it answers as node_exporter' },
  ],
  ['up 1\n', { kind: 'foreign', answer: 'it answers HTTP, but not as a gateway' }],
])('what has the port for metrics: %j', async (body, holder) => {
  expect(await findMetricsHolder(await listen(createServer(answering(200, body))))).toEqual(holder);
});
