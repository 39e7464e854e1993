import { type FaultProxy, startProxy } from '../support/doubles/fault-proxy.ts';
import {
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import type { ServerKind, ServerOptions, XmppServer } from '../support/servers/xmpp-server.ts';
import type { Program } from './programs.ts';

/** A server and a gateway, with a proxy in front of each of the server's ports to break. */
export interface Stage {
  readonly kind: ServerKind;
  readonly forgets: Program['forgets'];
  readonly mayForgetWhenStopped: boolean;
  readonly refusesWhenStopped: boolean;
  readonly server: XmppServer;
  readonly gateway: GatewayProcess;
  readonly component: FaultProxy;
  readonly c2s: FaultProxy;
  /** The name of a user who has not received anything yet. */
  takeRecipient(): string;
  /** Everything that the gateway wrote to the component port so far. */
  wire(): string;
  /** Starts another server of the same kind, which the scenario has to stop. */
  startOther(options: ServerOptions): Promise<XmppServer>;
  stop(): Promise<void>;
}

/** The gateway's deadlines in milliseconds, short to keep the scenarios short. */
export const deadlines = { confirmMs: 4000, silenceMs: 2000, authMs: 1500 } as const;

const settings = {
  delivery: {
    confirm_timeout_ms: deadlines.confirmMs,
    silence_timeout_ms: deadlines.silenceMs,
  },
  // With so short a cache the gateway keeps checking the password of the bot.
  auth: { timeout_ms: deadlines.authMs, cache_ms: 250 },
};

/** Starts all of it, with users for this number of scenarios; `mayCrash`: some kill the server. */
export async function startStage(
  { kind, start, forgets, mayForgetWhenStopped = false, refusesWhenStopped = false }: Program,
  scenarios: number,
  mayCrash: boolean,
): Promise<Stage> {
  const server = await start();
  for (const sender of ['alice', 'bot']) await server.register(sender, `${sender}-secret`);
  const recipients = Array.from({ length: scenarios }, (_, index) => `bob${index + 1}`);
  for (const recipient of recipients) await server.register(recipient, 'bob-secret');
  // ejabberd has a new user only in memory for some seconds and would lose it in a crash.
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
    refusesWhenStopped,
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
