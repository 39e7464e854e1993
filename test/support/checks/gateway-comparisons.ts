import { gatewayConfig, startGatewayProcess } from '../gateway/gateway.ts';
import { servesPrivilegedSenders } from '../servers/differences.ts';
import { startEjabberd } from '../servers/ejabberd.ts';
import { ejabberdWithModule } from '../servers/ejabberd-module.ts';
import { startFederation } from '../servers/federation.ts';
import { ejabberdPrivilege, type Mode, prosodyPrivilege } from '../servers/mode-setups.ts';
import type { ServerKind, ServerOptions } from '../servers/xmpp-server.ts';
import { compareWithClient, type Kind, type Stage } from './as-a-client.ts';
import type { Comparison } from './comparison.ts';
import { createHttpWay, findUnrefused, readSender } from './http-way.ts';
import {
  createStage,
  far,
  farMuc,
  joiningKind,
  kinds,
  kindsInRooms,
  muc,
  refusedKinds,
  registerUsers,
  remoteKinds,
  silent,
} from './message-kinds.ts';

/** A mode on a server, and the share that must be equal there. */
export interface GatewayComparison {
  readonly kind: ServerKind;
  readonly mode: Mode;
  /** Least share of equal sightings, of all that observers see of a client's messages. */
  readonly floor: number;
  /** `Masks.language`: servers add it to messages of clients, and Prosody to those of components. */
  readonly language?: string;
  readonly start: () => Promise<{ readonly stage: Stage; readonly stop: () => Promise<void> }>;
}

/** What was compared. */
export interface GatewayResult extends Comparison {
  /** Kinds that the gateway should have refused with 422, with the answers that it gave instead. */
  readonly unrefused: readonly string[];
}

/** What is not compared, because the contract of the gateway differs from a client there. */
export const notCompared = `Not compared: ${refusedKinds.map(({ name }) => name).join(', ')} (refused by contract: 422); ${joiningKind} (the gateway speaks there, a client is refused).`;

const domains = ['example.org', 'other.example'];

function startOnProsody(extra: ServerOptions['extra']) {
  return async () => {
    const global = `Component "${silent}"\n  component_secret = "never used"\n`;
    const components = [{ domain: `unused.${far}`, secret: 'secret' }];
    const federation = await startFederation(
      { domains, muc, extra: { ...extra, global } },
      { domains: [far], components, muc: farMuc },
    );
    return { stage: createStage(federation.near, federation.far), stop: federation.stop };
  };
}

function startOnEjabberd(options: ServerOptions) {
  return async () => {
    const components = [
      { domain: 'gateway.example.org', secret: 'secret' },
      { domain: silent, secret: 'never used' },
    ];
    const server = await startEjabberd({ domains, muc, components, ...options });
    return { stage: createStage(server), stop: server.stop };
  };
}

/** Each mode on Prosody, with another Prosody as the remote server, and ejabberd. */
export const gatewayComparisons: readonly GatewayComparison[] = [
  {
    kind: 'prosody',
    mode: 'client',
    // The goal: 93 of 95.
    floor: 93 / 95,
    start: startOnProsody({
      component:
        '  modules_enabled = { "message_gateway" }\n  message_gateway_speak_in_rooms = true',
    }),
  },
  {
    kind: 'prosody',
    mode: 'privileged',
    floor: 0.85,
    language: 'en',
    start: startOnProsody(prosodyPrivilege.extra),
  },
  { kind: 'prosody', mode: 'plain', floor: 0.45, start: startOnProsody({}) },
  {
    kind: 'ejabberd',
    mode: 'client',
    // The goal. The other five have a recipient in upper case, which the gateway has prepared already.
    floor: 136 / 141,
    start: startOnEjabberd(ejabberdWithModule),
  },
  {
    kind: 'ejabberd',
    mode: 'privileged',
    floor: servesPrivilegedSenders('ejabberd') ? 124 / 143 : 0.4,
    language: 'en',
    start: startOnEjabberd(ejabberdPrivilege),
  },
  { kind: 'ejabberd', mode: 'plain', floor: 0.4, language: 'en', start: startOnEjabberd({}) },
];

function chooseKinds({ remote }: Stage): Kind[] {
  const refused = new Set(refusedKinds);
  const alike = kinds.filter((kind) => !refused.has(kind) && kind.name !== joiningKind);
  return [...alike, ...(remote === undefined ? [] : remoteKinds), ...kindsInRooms];
}

/** Sends each kind by a client and over HTTP, through a separate gateway process. */
export async function compareGateway({
  mode,
  language,
  start,
}: GatewayComparison): Promise<GatewayResult> {
  const { stage, stop } = await start();
  try {
    await registerUsers(stage);
    const delivery = { mode, remote_confirm_ms: 10_000 };
    const gateway = await startGatewayProcess({
      config: gatewayConfig(stage.server, { delivery }),
    });
    try {
      const comparison = await compareWithClient(stage, chooseKinds(stage), {
        from: await readSender(gateway),
        open: async () => createHttpWay(gateway, mode),
        senderSees: 'errors',
        language,
      });
      return {
        ...comparison,
        unrefused: await findUnrefused(gateway, refusedKinds),
      };
    } finally {
      await gateway.stop();
    }
  } finally {
    await stop();
  }
}
