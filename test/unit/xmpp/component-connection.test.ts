import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Secret } from '../../../src/core/secret.ts';
import { openComponentConnection } from '../../../src/xmpp/component-connection.ts';
import { buildPing } from '../../../src/xmpp/iq.ts';
import { answerHonestly, startComponentServer } from '../../support/component-server.ts';

test('a write is not held back until the one before it is acknowledged', async () => {
  const server = await startComponentServer(answerHonestly);
  let answered: () => void = () => {};
  const connection = await new Promise<ReturnType<typeof openComponentConnection>>((resolve) => {
    const opened = openComponentConnection(
      {
        host: '127.0.0.1',
        port: server.port,
        domain: 'gateway.example.org',
        secret: new Secret('secret'),
      },
      {
        onOnline: () => resolve(opened),
        onStanza: () => answered(),
        answerRequest: () => undefined,
        onDrain: () => {},
        onClose: () => {},
      },
    );
  });
  const startedAt = performance.now();
  for (let index = 0; index < 100; index += 1) {
    const answer = new Promise<void>((resolve) => {
      answered = resolve;
    });
    connection.write(`<message from='alice@example.org' to='bob@example.org' id='${index}'/>`);
    await turn();
    connection.write(buildPing(`barrier-${index}`, 'gateway.example.org', 'example.org'));
    await answer;
  }
  // 40 ms each with Nagle's algorithm, some tenths of one without.
  expect(performance.now() - startedAt).toBeLessThan(2000);
  await connection.close();
  await server.stop();
});
