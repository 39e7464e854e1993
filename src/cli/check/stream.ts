import type { Config } from '../../config/config.ts';
import { askVersion } from '../../xmpp/probes/recognition.ts';
import { adviceFor, adviceForSilence } from '../../xmpp/server/advice.ts';
import {
  describeServer,
  type ServerIdentity,
  type ServerKind,
} from '../../xmpp/server/identity.ts';
import type { DomainModes } from '../../xmpp/stream/trust-proof.ts';
import { openTrustedStream } from '../../xmpp/stream/trusted-stream.ts';
import type { StreamFailure } from '../../xmpp/wire/stream-failure.ts';
import type { Finding } from './finding.ts';
import { describeModes } from './modes.ts';
import { checkStanzaSize } from './stanza-size.ts';

/** Tries the component stream, while the server is being recognised by its greeting. */
export async function checkStream(
  config: Config,
  recognising: Promise<ServerKind | undefined>,
  isGatewayRunning: boolean,
): Promise<Finding[]> {
  const { component } = config;
  const what = `component ${component.domain} at ${component.host}:${component.port}`;
  if (isGatewayRunning) {
    // On ejabberd a second connection would take away answers that a gateway waits for.
    const text = `${what}: not tried, so as not to disturb a running gateway`;
    const kind = await recognising;
    return [...describeRecognised(kind && { kind, version: undefined }), { isGood: false, text }];
  }
  const found = await tryStream(config);
  const server = await identify(config, await recognising, found);
  const sizes = 'kind' in found ? [] : await checkStanzaSize(config, server);
  return [...describeRecognised(server), ...describeStream(config, what, found, server), ...sizes];
}

/** Only a server that accepts the component states its version, and its word comes before a guess. */
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
  { component, domains, delivery }: Config,
  what: string,
  found: DomainModes | StreamFailure,
  server: ServerIdentity | undefined,
): readonly Finding[] {
  if ('kind' in found) {
    const advice = adviceFor(found, component, server) ?? adviceForSilence(component, server);
    return [{ isGood: false, text: `${what}: ${describeReason(found, server)}`, advice }];
  }
  const isChosen = delivery.mode !== 'auto';
  return [
    { isGood: true, text: `${what}: connected and trusted for ${domains.join(', ')}` },
    ...describeModes(found, { component: component.domain, isChosen, server }),
  ];
}

/** What a refused handshake means, where it is known who refused it. */
const refusals = {
  prosody: 'the XMPP server refused component.secret',
  ejabberd: 'the XMPP server refused component.secret, or does not know component.domain',
};

function describeReason(failure: StreamFailure, server: ServerIdentity | undefined): string {
  return failure.kind === 'not-authorized' && server !== undefined
    ? refusals[server.kind]
    : failure.reason;
}

/** Opens a trusted stream once and closes it again; resolves with the modes or what went wrong. */
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
    );
  });
}
