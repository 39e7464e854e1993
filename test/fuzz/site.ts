import { openSessionOn, type Session } from '../support/clients/session.ts';
import {
  type GatewayProcess,
  gatewayConfig,
  startGatewayProcess,
} from '../support/gateway/gateway.ts';
import { ejabberdWithModule } from '../support/servers/ejabberd-module.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import type { ServerKind, ServerOptions, XmppServer } from '../support/servers/xmpp-server.ts';
import { waitUntil } from '../support/system/wait.ts';
import { bot, localparts } from './requests.ts';

/** A server, a gateway, and a session of Bob, the recipient of most messages. */
export interface FuzzSite {
  readonly server: XmppServer;
  /** Bob's session, opened again whenever the server or its XML has broken it. */
  readonly bob: () => Session;
  readonly gateway: () => GatewayProcess;
  /** What is broken, which no request may ever cause; undefined when all is well. */
  findTrouble(): Promise<string | undefined>;
  /** Repairs everything. */
  mend(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Mutated addresses must not be resolved or connected to. And without a higher limit, every
 * hundredth message to a user with 10,000 archived messages blocks Prosody for seconds.
 */
const global = {
  prosody: 'modules_disabled = { "posix", "s2s" }; storage_archive_item_limit = 1000000000\n',
  ejabberd: 's2s_access: none\n',
};

const modules = { prosody: withModule.extra, ejabberd: ejabberdWithModule.extra };

function optionsFor(kind: ServerKind, hasModule: boolean): ServerOptions {
  const extra = hasModule ? modules[kind] : {};
  return {
    muc: 'conference.example.org',
    extra: { ...extra, global: `${global[kind]}${extra?.global ?? ''}` },
  };
}

/** Passwords are checked once, so that no request is refused because of earlier ones. */
const settings = {
  log: { level: 'warn' },
  auth: {
    cache_ms: 86_400_000,
    throttle: { per_address: 1_000_000, per_user: 1_000_000, window_ms: 60_000 },
  },
};

/** The server to start; `hasModule`: with mod_message_gateway. */
export interface FuzzServer {
  readonly kind: ServerKind;
  readonly start: (options?: ServerOptions) => Promise<XmppServer>;
  readonly hasModule?: boolean;
}

/** Starts all of it. */
export async function startFuzzSite({
  kind,
  start,
  hasModule = false,
}: FuzzServer): Promise<FuzzSite> {
  const server = await start(optionsFor(kind, hasModule));
  await server.register('bob', 'bob-secret');
  await server.register(bot.username, bot.password);
  for (const localpart of localparts) await server.register(localpart, 'secret');
  const config = gatewayConfig(server, settings);
  const openBob = (): Promise<Session> => openSessionOn(server, 'bob', 'bob-secret');
  let gateway = await startGatewayProcess({ config });
  // On a busy machine the first attempts to connect may fail.
  let linesBefore = gateway.logLines().length;
  let bob = await openBob();
  let handshakes = await countHandshakes(server, 0);

  const findTrouble = async (): Promise<string | undefined> => {
    if (!server.isRunning()) return 'the server ended';
    if (!gateway.isRunning()) return `the gateway ended: ${gateway.output().slice(-1000)}`;
    if (server.componentHandshakes() !== handshakes) return 'the component stream was closed';
    const lines = gateway.logLines().slice(linesBefore);
    const down = lines.find(({ msg }) => msg === 'component stream down');
    if (down !== undefined) return `the gateway lost its stream: ${String(down['reason'])}`;
    const warning = /^.*(?:answer failed|Warning: ).*$/m.exec(gateway.output());
    if (warning !== null) return `the gateway logged ${warning[0].slice(0, 1000)}`;
    try {
      await bob.settle();
    } catch (error) {
      return `the recipient's stream broke: ${String(error).slice(0, 1000)}`;
    }
    return undefined;
  };
  const mend = async (): Promise<void> => {
    bob.destroy();
    await gateway.stop();
    if (!server.isRunning()) await server.resume();
    gateway = await startGatewayProcess({ config });
    linesBefore = gateway.logLines().length;
    bob = await openBob();
    handshakes = await countHandshakes(server, handshakes);
  };
  return {
    server,
    bob: () => bob,
    gateway: () => gateway,
    findTrouble,
    mend,
    stop: async () => {
      bob.destroy();
      await gateway.stop();
      await server.stop();
    },
  };
}

/** Counts the handshakes in the log once their number has grown and settled: ejabberd logs late. */
async function countHandshakes(server: XmppServer, before: number): Promise<number> {
  let seen = before;
  return waitUntil(
    () => {
      const count = server.componentHandshakes();
      const isSettled = count > before && count === seen;
      seen = count;
      return isSettled ? count : undefined;
    },
    { label: 'the handshake in the log', stepMs: 200 },
  );
}
