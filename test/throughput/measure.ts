import { readFileSync } from 'node:fs';
import { openAs } from '../support/checks/as-a-client.ts';
import { openComponent } from '../support/clients/component.ts';
import type { XmppServer } from '../support/servers/xmpp-server.ts';

/** Sends stanzas, then a ping, which is answered when all of them have been processed. */
export interface Sender {
  /** The attribute `from` of its messages, after a space; empty for a client. */
  readonly from: string;
  /** Writes everything at once and resolves with the answer to the ping. */
  readonly send: (stanzas: string) => Promise<unknown>;
  readonly close: () => Promise<void>;
}

/** Deadline for one batch. */
const deadlineMs = 300_000;

/** The cost of a batch. */
export interface Cost {
  readonly messagesPerSecond: number;
  /** User and system time of the server's process. */
  readonly cpuMicroseconds: number;
}

/** Opens a client of alice@example.org. */
export async function openClientSender(server: XmppServer): Promise<Sender> {
  const { send, waitFor, close } = await openAs(server, 'alice@example.org/phone', -1);
  let pings = 0;
  return {
    from: '',
    send: (stanzas) => {
      pings += 1;
      const id = `ping-${pings}`;
      send(
        `${stanzas}<iq to='example.org' type='get' id='${id}'><ping xmlns='urn:xmpp:ping'/></iq>`,
      );
      return waitFor(({ root }) => root.attributes['id'] === id, id, deadlineMs);
    },
    close,
  };
}

/** Opens the component, which sends from this address. */
export async function openComponentSender(server: XmppServer, from: string): Promise<Sender> {
  const { componentPort: port, componentDomain: domain, componentSecret: secret } = server;
  const { send, waitFor, close } = await openComponent({ port, domain, secret });
  let barriers = 0;
  return {
    from: ` from='${from}'`,
    send: (stanzas) => {
      barriers += 1;
      const id = `barrier-${barriers}`;
      send(
        `${stanzas}<iq from='${domain}' to='example.org' type='get' id='${id}'><ping xmlns='urn:xmpp:ping'/></iq>`,
      );
      return waitFor(({ root }) => root.attributes['id'] === id, id, deadlineMs);
    },
    close,
  };
}

/** proc(5): utime and stime are the 14th and 15th field, in ticks of 10 ms. */
function readCpuMicroseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Sends `count` messages to bob@example.org. */
export async function measure(
  server: XmppServer,
  sender: Sender,
  { count, payload }: { readonly count: number; readonly payload: string },
): Promise<Cost> {
  const message = `<message${sender.from} to='bob@example.org' type='chat' id='m'>${payload}</message>`;
  const stanzas = message.repeat(count);
  const cpuBefore = readCpuMicroseconds(server.pid);
  const startedAt = performance.now();
  await sender.send(stanzas);
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = readCpuMicroseconds(server.pid) - cpuBefore;
  return { messagesPerSecond: count / seconds, cpuMicroseconds: cpu / count };
}

/** The median; for an even number, the upper one of the two in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
