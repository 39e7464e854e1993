import type { Config } from '../../config/config.ts';
import type { ModeReport } from '../../core/message/mode.ts';
import { askVersion, probeSize } from '../../xmpp/probes/probes.ts';
import { adviceFor, adviceForMode, sizeAdvice } from '../../xmpp/server/advice.ts';
import { dropsBlocked } from '../../xmpp/server/config-lines.ts';
import {
  describeServer,
  isSince,
  type ServerIdentity,
  type ServerKind,
} from '../../xmpp/server/identity.ts';
import { streamOpening } from '../../xmpp/stream/supervisor.ts';
import type { DomainModes } from '../../xmpp/stream/trust-proof.ts';
import { openTrustedStream } from '../../xmpp/stream/trusted-stream.ts';
import type { StreamFailure } from '../../xmpp/wire/stream-failure.ts';
import type { GatewayState } from '../port-holder.ts';
import { adviceForRefusal } from '../server-setup.ts';
import type { Finding } from './report.ts';

/** The gateway that is running with this configuration, as far as it was found. */
export interface RunningGateway {
  /** Its state, if it answers where this configuration lets it listen. */
  readonly gateway: GatewayState | undefined;
  /** The process that serves this configuration file, whatever it has read from it. */
  readonly serving: number | undefined;
}

/**
 * Tests the component stream, unless a running gateway uses it; `recognising` resolves with the kind of
 * server that its greeting shows.
 */
export async function checkStream(
  config: Config,
  recognising: Promise<ServerKind | undefined>,
  { gateway, serving }: RunningGateway,
): Promise<Finding[]> {
  const { component } = config;
  const what = `component ${component.domain} at ${component.host}:${component.port}`;
  // On ejabberd, a second connection would receive answers that the running gateway is waiting for.
  const isInUse = gateway === undefined ? serving !== undefined : mayHaveStream(gateway);
  if (isInUse) {
    const kind = await recognising;
    const server = kind && { kind, version: undefined };
    const stream =
      gateway === undefined
        ? [describeUntested(config, what, serving)]
        : describeRunning(config, what, gateway, server);
    return [...describeRecognised(server), ...stream];
  }
  const found = await tryStream(config);
  const server = await identify(config, await recognising, found);
  const sizes = 'kind' in found ? [] : await checkStanzaSize(config, server);
  return [...describeRecognised(server), ...describeStream(config, what, found, server), ...sizes];
}

/** A gateway that has reported a failure has no stream that could be disturbed. */
function mayHaveStream(gateway: GatewayState): boolean {
  return gateway.status === 'ready' || gateway.reason === streamOpening;
}

function describeUntested({ http }: Config, what: string, serving: number | undefined): Finding {
  return {
    isGood: false,
    isNeeded: false,
    text: `${what}: not tested, because process ${serving}, which serves this file, does not answer at ${http.host}:${http.port}`,
    advice: 'Restart it, and run check again.',
  };
}

function describeRunning(
  config: Config,
  what: string,
  gateway: GatewayState,
  server: ServerIdentity | undefined,
): readonly Finding[] {
  if (gateway.status !== 'ready') return [];
  const domains = Object.entries(gateway.domains).map(([domain, report]) => {
    return [domain, { report }] as const;
  });
  return [
    { isGood: true, text: `${what}: not tested: the stream is left to the running gateway` },
    ...describeDomains(config, new Map(domains), server),
  ];
}

function describeDomains(
  { component, delivery }: Config,
  modes: Parameters<typeof describeModes>[0],
  server: ServerIdentity | undefined,
): readonly Finding[] {
  const isChosen = delivery.mode !== 'auto';
  return describeModes(modes, { component: component.domain, isChosen, server });
}

/** A server tells its version only to a component that it has accepted; otherwise `kind` is a guess. */
async function identify(
  { component, domains }: Config,
  kind: ServerKind | undefined,
  found: DomainModes | StreamFailure,
): Promise<ServerIdentity | undefined> {
  const guess = kind && { kind, version: undefined };
  return isAccepted(found) ? ((await askVersion(component, domains)) ?? guess) : guess;
}

function isAccepted(found: DomainModes | StreamFailure): boolean {
  if (!('kind' in found)) return true;
  return !['unreachable', 'not-authorized', 'host-unknown', 'conflict'].includes(found.kind);
}

function describeRecognised(server: ServerIdentity | undefined): Finding[] {
  return server === undefined
    ? []
    : [{ isGood: true, text: `XMPP server: ${describeServer(server)}` }];
}

function describeStream(
  config: Config,
  what: string,
  found: DomainModes | StreamFailure,
  server: ServerIdentity | undefined,
): readonly Finding[] {
  const { component, domains } = config;
  if ('kind' in found) {
    const advice = adviceFor(found, component, server) ?? adviceForRefusal(component, server);
    return [{ isGood: false, text: `${what}: ${describeReason(found, server)}`, advice }];
  }
  return [
    { isGood: true, text: `${what}: connected and trusted for ${domains.join(', ')}` },
    ...describeDomains(config, found, server),
  ];
}

/** The meaning of a refused handshake, by the kind of server. */
const refusals = {
  prosody: 'the XMPP server refused component.secret',
  ejabberd: 'the XMPP server refused component.secret, or does not know component.domain',
};

function describeReason(failure: StreamFailure, server: ServerIdentity | undefined): string {
  if (failure.reason.includes('ECONNREFUSED')) return 'nothing listens there (ECONNREFUSED)';
  return failure.kind === 'not-authorized' && server !== undefined
    ? refusals[server.kind]
    : failure.reason;
}

/**
 * How many milliseconds a busy ejabberd may take to announce privileges. No message waits for this
 * stream, and it will not be there any more when a later announcement changes the mode.
 */
const announcementMs = 2500;

/** Opens a trusted stream and closes it again; resolves with the modes, or with the failure. */
function tryStream({ component, domains, delivery }: Config): Promise<DomainModes | StreamFailure> {
  return new Promise((resolve) => {
    let found: DomainModes | undefined;
    openTrustedStream(
      component,
      { domains, mode: delivery.mode },
      {
        onReady: (connection, modes) => {
          found = modes;
          void connection.close();
        },
        onStanza: () => {},
        onDrain: () => {},
        onClose: (failure) => resolve(found ?? failure),
      },
      announcementMs,
    );
  });
}

/** What the description of modes depends on. */
export interface ModesContext {
  /** The component's domain. */
  readonly component: string;
  /** Whether `delivery.mode` prescribes the mode. */
  readonly isChosen: boolean;
  readonly server: ServerIdentity | undefined;
}

/** Describes each domain's mode and its consequences, with advice on a better mode unless one is prescribed. */
export function describeModes(
  modes: ReadonlyMap<string, { readonly report: ModeReport }>,
  { component, isChosen, server }: ModesContext,
): readonly Finding[] {
  return [...modes].map(([domain, { report }]) => {
    const { mode } = report;
    const alike = [...modes].filter(([, other]) => other.report.mode === mode);
    const names = alike.map(([name]) => name);
    const chosen = isChosen ? ', as delivery.mode says' : '';
    const consequences = [
      describeCopies(report, server),
      describeBounces(report),
      ...describePeculiarities(report, server),
    ];
    return {
      isGood: true,
      text: `messages of ${domain}: mode ${mode}${chosen}; ${consequences.join('; ')}`,
      advice: isChosen ? undefined : adviceForMode(mode, component, names, server),
    };
  });
}

/** Servers treat the archive (XEP-0313) and other devices (XEP-0280) alike. */
function describeCopies({ archive }: ModeReport, server: ServerIdentity | undefined): string {
  const isCopied = archive ?? isSince(server?.version, '23.10');
  if (isCopied === undefined) {
    return "in the sender's archive and on other devices since ejabberd 23.10";
  }
  return isCopied
    ? "in the sender's archive, if the server keeps one, and on the sender's other devices"
    : "not in the sender's archive, nor on the sender's other devices";
}

function describeBounces({ bounces: { local, remote } }: ModeReport): string {
  if (remote) return 'bounces come back from this server and from others';
  return local
    ? 'bounces come back from this server, but not from others'
    : 'bounces do not come back: a message to a user who does not exist, or who blocks the sender, gets 200';
}

/** What this kind of server does to messages, in any mode, that senders may not expect. */
function describePeculiarities(
  { bounces }: ModeReport,
  server: ServerIdentity | undefined,
): readonly string[] {
  if (server?.kind === 'ejabberd') {
    return ['ejabberd drops attributes of <message/> and <body/> that it does not know'];
  }
  return server?.kind === 'prosody' && bounces.local && dropsBlocked(server.version)
    ? [
        "from a recipient who blocks the sender, on Prosody 13, only with bounce_blocked_messages = true (init's file has it)",
      ]
    : [];
}

/** How precisely to find the server's limit, in bytes; servers count slightly differently anyway. */
const accuracy = 1024;

/** The smallest limit that RFC 6120 §13.12 allows a server. */
const smallestLimit = 10_000;

/** Tests whether the server accepts stanzas of `limits.stanza_bytes`, or else how large they may be. */
async function checkStanzaSize(
  config: Config,
  server: ServerIdentity | undefined,
): Promise<readonly Finding[]> {
  const { stanzaBytes } = config.limits;
  const what = `stanzas of limits.stanza_bytes (${stanzaBytes})`;
  const first = await probe(config, stanzaBytes);
  if (first === 'taken') return [{ isGood: true, text: `${what}: accepted by the XMPP server` }];
  if (first.condition === undefined) return [{ isGood: false, text: `${what}: ${first.reason}` }];
  const limit = await findLimit(config, stanzaBytes);
  const text = `${what}: the XMPP server closes the stream (${first.reason}); it accepts about ${limit} bytes`;
  return [{ isGood: false, text, advice: sizeAdvice(stanzaBytes, server) }];
}

/** Finds the largest size that the server accepts, at least the smallest that every server must accept. */
async function findLimit(config: Config, refused: number): Promise<number> {
  let [accepted, tooLarge] = [Math.min(smallestLimit, refused), refused];
  while (tooLarge - accepted > accuracy) {
    const middle = Math.floor((accepted + tooLarge) / 2);
    if ((await probe(config, middle)) === 'taken') accepted = middle;
    else tooLarge = middle;
  }
  return accepted;
}

function probe({ component, domains, delivery }: Config, bytes: number) {
  return probeSize(component, { domains, mode: delivery.mode }, bytes);
}
