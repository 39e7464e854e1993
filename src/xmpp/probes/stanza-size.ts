import { randomBytes } from 'node:crypto';
import type { ComponentAddress } from '../stream/connection.ts';
import type { Served } from '../stream/trust-proof.ts';
import { openTrustedStream } from '../stream/trusted-stream.ts';
import { type StreamFailure, unreachable } from '../wire/stream-failure.ts';

/** Far more than a server takes for one stanza. */
const timeoutMs = 10_000;

/**
 * Sends a stanza of `bytes` from a random name of the first served domain to the component itself, over
 * a stream of its own. Resolves when it has looped back, else with how the stream ended.
 */
export function probeSize(
  address: ComponentAddress,
  served: Served,
  bytes: number,
): Promise<StreamFailure | 'taken'> {
  const id = `size-${randomBytes(12).toString('hex')}`;
  const xml = buildProbe(id, served.domains[0] ?? '', address.domain, bytes);
  return new Promise((resolve) => {
    let isTaken = false;
    let deadline: NodeJS.Timeout | undefined;
    const connection = openTrustedStream(address, served, {
      onReady: (stream) => {
        deadline = setTimeout(() => {
          connection.destroy(unreachable(`no answer within ${timeoutMs} ms`));
        }, timeoutMs);
        stream.write(xml);
      },
      onStanza: (stanza) => {
        if (stanza.attrs['id'] !== id) return;
        isTaken = true;
        void connection.close();
      },
      onDrain: () => {},
      onClose: (failure) => {
        clearTimeout(deadline);
        resolve(isTaken ? 'taken' : failure);
      },
    });
  });
}

function buildProbe(id: string, domain: string, component: string, bytes: number): string {
  const from = `gwprobe-${randomBytes(8).toString('hex')}@${domain}`;
  const head = `<message id='${id}' from='${from}' to='${component}'><x xmlns='urn:xmpp-message-gateway:probe'>`;
  const tail = '</x></message>';
  const padding = bytes - Buffer.byteLength(head) - Buffer.byteLength(tail);
  return head + 'x'.repeat(Math.max(0, padding)) + tail;
}
