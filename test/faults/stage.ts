import { type FaultProxy, startProxy } from '../support/doubles/fault-proxy.ts';
import {
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import type { ServerKind, ServerOptions, XmppServer } from '../support/servers/xmpp-server.ts';
import type { Program } from './programs.ts';

/** A server, and the gateway behind a proxy to each of its ports: what the scenarios break. */
export interface Stage {
  readonly kind: ServerKind;
  readonly forgets: Program['forgets'];
  readonly mayForgetWhenStopped: boolean;
  readonly server: XmppServer;
  readonly gateway: GatewayProcess;
  readonly component: FaultProxy;
  readonly c2s: FaultProxy;
  /** The name of a user who has got nothing yet. */
  takeRecipient(): string;
  /** All that the gateway wrote to the component port so far. */
  wire(): string;
  /** Another server of the same kind, which the scenario stops. */
  startOther(options: ServerOptions): Promise<XmppServer>;
  stop(): Promise<void>;
}

/** The gateway's deadlines, in milliseconds: short, so that the scenarios end soon. */
export const deadlines = { confirmMs: 4000, silenceMs: 2000, authMs: 1500 } as const;

const settings = {
  delivery: {
    confirm_timeout_ms: deadlines.confirmMs,
    silence_timeout_ms: deadlines.silenceMs,
  },
  // So short a cache sends the bot to the c2s port again and again.
  auth: { timeout_ms: deadlines.authMs, cache_ms: 250 },
};

/** Starts all of it, with users for that many scenarios; `mayCrash`: the server is killed in some. */
export async function startStage(
  { kind, start, forgets, mayForgetWhenStopped = false }: Program,
  scenarios: number,
  mayCrash: boolean,
): Promise<Stage> {
  const server = await start();
  for (const sender of ['alice', 'bot']) await server.register(sender, `${sender}-secret`);
  const recipients = Array.from({ length: scenarios }, (_, index) => `bob${index + 1}`);
  for (const recipient of recipients) await server.register(recipient, 'bob-secret');
  // ejabberd keeps a new user in memory alone for some seconds: a crash would take it away.
  if (mayCrash) await server.restart();
  const written: Buffer[] = [];
  const component = await startProxy(server.componentPort, (bytes) => written.push(bytes));
  const c2s = await startProxy(server.c2sPort);
  const config = gatewayConfig(server, {
    ...settings,
    component: { port: component.port },
    c2s: { port: c2s.port },
  });
  const gateway = await startGatewayProcess({ config });
  return {
    kind,
    forgets,
    mayForgetWhenStopped,
    server,
    gateway,
    component,
    c2s,
    takeRecipient: () => recipients.shift() ?? '',
    wire: () => Buffer.concat(written).toString('utf8'),
    startOther: start,
    stop: async () => {
      await gateway.stop();
      await Promise.all([component.stop(), c2s.stop()]);
      await server.stop();
    },
  };
}
