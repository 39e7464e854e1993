import { openAs } from '../../support/checks/as-a-client.ts';
import { post } from '../../support/clients/http.ts';
import {
  apiAccount,
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../../support/gateway/gateway.ts';
import { startEjabberd } from '../../support/servers/ejabberd.ts';
import { ejabberdWithModule } from '../../support/servers/ejabberd-module.ts';
import { withModule } from '../../support/servers/mode-setups.ts';
import { startProsody } from '../../support/servers/prosody.ts';
import type { ServerKind, XmppServer } from '../../support/servers/xmpp-server.ts';
import {
  forgetPeak,
  readCpuMs,
  readPeakBytes,
  readResidentBytes,
  readUsage,
} from './process-cost.ts';

/** The cost of one message. */
export interface Cost {
  /** User and system time of the server. */
  readonly cpuMs: number;
  /** Peak of the resident size above the size before. */
  readonly growthBytes: number;
  /** Growth of its files. */
  readonly diskBytes: number;
  readonly gatewayCpuMs: number;
  /** HTTP status; `killed` when the server was killed to protect the machine. */
  readonly outcome: number | 'killed';
}

/** A server with mod_message_gateway, so that messages are archived and copied, and a gateway. */
export interface Stage {
  readonly kind: ServerKind;
  /** Whether the gateway accepts the payload; nothing is sent. */
  readonly isAllowed: (payload: string) => Promise<boolean>;
  /** Sends from a new user with another device to a new user who is online or offline. */
  readonly measure: (payload: string, recipient: Recipient) => Promise<Cost>;
  readonly stop: () => Promise<void>;
}

export type Recipient = 'online' | 'offline';

const mostResidentBytes = 3 * 2 ** 30;
const mostCpuMs = 20_000;
const longestMs = 600_000;

export async function openStage(
  kind: ServerKind,
  limits: Readonly<Record<string, number>>,
): Promise<Stage> {
  let users = 0;
  let server = await startServer(kind);
  let gateway = await startGateway(server, limits);

  const postMessage = (payload: string, from: string, to: string, query = '') =>
    post(`${gateway.url}/api/1.0/xmppdomains/example.org/gateway/messages/${from}${query}`, {
      auth: [apiAccount.username, apiAccount.password],
      type: 'application/xml',
      body: `<message to='${to}@example.org' type='chat'>${payload}</message>`,
      timeoutMs: longestMs,
    });

  const stop = async (): Promise<void> => {
    await gateway.stop();
    await server.stop();
  };

  const measure: Stage['measure'] = async (payload, recipient) => {
    users += 1;
    const [from, to] = [`sender${users}`, `recipient${users}`];
    for (const name of [from, to]) await server.register(name, name);
    const device = await openObserver(server, from);
    const reader = recipient === 'online' ? await openObserver(server, to) : undefined;
    await postMessage('<body>first</body>', from, to);
    await settleCpu(server.pid);
    const watch = guard(server);
    const gatewayBefore = readCpuMs(gateway.pid);
    let outcome: Cost['outcome'] = 'killed';
    try {
      outcome = (await postMessage(payload, from, to)).status;
      await Promise.all([device.settle(), reader?.settle()]);
    } catch (error) {
      if (server.isRunning()) throw error;
    }
    const gatewayCpuMs = readCpuMs(gateway.pid) - gatewayBefore;
    const cost = await watch.end();
    for (const session of [device, reader]) session?.destroy();
    if (server.isRunning()) return { ...cost, gatewayCpuMs, outcome };
    await stop();
    server = await startServer(kind);
    gateway = await startGateway(server, limits);
    return { ...cost, gatewayCpuMs, outcome: 'killed' };
  };

  return {
    kind,
    isAllowed: async (payload) =>
      (await postMessage(payload, 'alice', 'bob', '?dry_run=true')).status === 200,
    measure,
    stop,
  };
}

function startServer(kind: ServerKind): Promise<XmppServer> {
  // Idle schedulers of Erlang would otherwise spin for a while after each message.
  process.env['ERL_AFLAGS'] = '+sbwt none +sbwtdcpu none +sbwtdio none';
  return kind === 'prosody' ? startProsody(withModule) : startEjabberd(ejabberdWithModule);
}

async function startGateway(
  server: XmppServer,
  limits: Readonly<Record<string, number>>,
): Promise<GatewayProcess> {
  await server.register('alice', 'alice');
  const delivery = { confirm_timeout_ms: longestMs, silence_timeout_ms: longestMs };
  const settings = { delivery, auth: { cache_ms: 86_400_000 }, limits };
  return startGatewayProcess({ config: gatewayConfig(server, settings) });
}

async function openObserver(server: XmppServer, name: string) {
  const session = await openAs(server, `${name}@example.org/desk`);
  await session.query(`<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`);
  return session;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits for the server to be idle: it writes and collects garbage after its answer. */
async function settleCpu(pid: number): Promise<void> {
  for (let quiet = 0, before = readCpuMs(pid); quiet < 3; ) {
    await pause(40);
    const now = readCpuMs(pid);
    quiet = now - before < 2 ? quiet + 1 : 0;
    before = now;
  }
}

/** Kills the server when it uses too much; `end` returns what it used. */
function guard(server: XmppServer) {
  const { pid } = server;
  forgetPeak(pid);
  const before = readUsage(pid);
  let last = { cpuMs: before.cpuMs, peakBytes: 0, diskBytes: before.diskBytes };
  const read = () => ({
    cpuMs: readCpuMs(pid),
    peakBytes: readPeakBytes(pid),
    diskBytes: readUsage(pid).diskBytes,
  });
  const timer = setInterval(() => {
    try {
      last = read();
      const isTooMuch =
        last.cpuMs - before.cpuMs > mostCpuMs || readResidentBytes(pid) > mostResidentBytes;
      if (isTooMuch) server.kill('SIGKILL');
    } catch {
      // It has ended.
    }
  }, 100);
  return {
    end: async () => {
      if (server.isRunning()) {
        await settleCpu(pid);
        last = read();
      }
      clearInterval(timer);
      return {
        cpuMs: last.cpuMs - before.cpuMs,
        growthBytes: Math.max(0, last.peakBytes - before.residentBytes),
        diskBytes: last.diskBytes - before.diskBytes,
      };
    },
  };
}
