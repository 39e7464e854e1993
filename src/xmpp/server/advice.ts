import type { Mode } from '../../core/message/mode.ts';
import type { StreamFailure } from '../wire/stream-failure.ts';
import {
  type AdviceAddress,
  clientLines,
  componentLines,
  hostLines,
  privilegeLines,
  setupLines,
  sizeLines,
  trustLines,
} from './config-lines.ts';
import { describeServer, type ServerIdentity } from './identity.ts';

const restart = 'Then restart the server.';

/** How the server takes new lines. ejabberd needs no restart, which would throw everybody out. */
function takeLines(server: ServerIdentity | undefined): string {
  if (server?.kind === 'prosody') return restart;
  const reload = 'ejabberdctl reload_config';
  return server === undefined ? `Then restart Prosody, or: ${reload}` : `Then: ${reload}`;
}

/**
 * What an operator should change to make the stream usable, with the exact lines for the configuration
 * of the recognised server, or for both Prosody and ejabberd when none is recognised; undefined when
 * there is nothing to change.
 */
export function adviceFor(
  failure: StreamFailure,
  component: AdviceAddress,
  server?: ServerIdentity,
): string | undefined {
  const { domain } = component;
  const mayBeEjabberd = server?.kind !== 'prosody';
  switch (failure.kind) {
    case 'unreachable':
      return undefined;
    case 'module-gone':
      return 'Load mod_message_gateway again, unless it was unloaded on purpose. Until then, messages are sent in another mode, if delivery.mode allows it.';
    case 'unanswered':
      return `Make sure that the server hosts ${failure.domain} and answers pings there, ${mayBeEjabberd ? `that nothing else is connected as ${domain}, and that on ejabberd no other component uses the listener` : `and that nothing else is connected as ${domain}`}.`;
    case 'probe-lost':
      return mayBeEjabberd
        ? `Make sure that nothing else is connected as ${domain}, and that on ejabberd no other component uses the listener: ejabberd keeps both connections and sends each stanza to one of them. Every gateway needs its own component domain and, on ejabberd, its own listener.`
        : `Make sure that nothing else is connected as ${domain}: every gateway needs its own component domain.`;
    case 'conflict':
      return `Stop the other connection of ${domain}, or give this gateway its own component domain${mayBeEjabberd ? ' (on ejabberd also its own listener)' : ''}. If it is an old connection of this gateway that broke, the server will soon notice.`;
    case 'not-hosted':
      return joinParts(
        `Take ${failure.domain} out of domains, or let the server host it:`,
        hostLines(failure.domain ?? '', server),
        takeLines(server),
      );
    case 'mode-unavailable':
      return joinParts(
        'Set delivery.mode to auto or plain, or let the server offer the mode.',
        clientLines(domain, server),
        privilegeLines(domain, [failure.domain ?? ''], server),
        mayBeEjabberd ? privilegesOnEjabberd : '',
        takeLines(server),
      );
    case 'not-authorized':
      return joinParts(
        'Make component.secret and component.domain the same on both sides:',
        componentLines(component, server),
        takeLines(server),
      );
    case 'host-unknown':
      return joinParts(
        "Add the component to the server's configuration, or correct component.domain and component.port:",
        componentLines(component, server),
        takeLines(server),
      );
    case 'untrusted':
      return joinParts(
        'Let the server trust the component:',
        trustLines(component, server),
        takeLines(server),
      );
    default:
      return failure.kind satisfies never;
  }
}

const privilegesOnEjabberd =
  'Mode privileged works on ejabberd 23.10 to 24.09: older releases do not archive such messages, and in newer ones mod_privilege drops requests of components.';

/**
 * What to do when no usable answer comes from where the server should listen for components. `server` is
 * the one that answers elsewhere on that machine or, if `isRunning` is false, the one installed there.
 */
export function adviceForSilence(
  component: AdviceAddress,
  server?: ServerIdentity,
  isRunning = true,
): string {
  return joinParts(
    describeSilence(server, isRunning),
    setupLines(component, server),
    isRunning ? takeLines(server) : restart,
  );
}

function describeSilence(server: ServerIdentity | undefined, isRunning: boolean): string {
  if (server === undefined) {
    return 'Is the XMPP server running, and does it listen for components there?';
  }
  return isRunning
    ? 'The XMPP server is running. Correct component.host and component.port, or let it listen for components there:'
    : `${describeServer(server)} is installed here, but it does not answer. Start it, and let it listen for components there:`;
}

/**
 * What the server's operator could install for a better mode in these domains, with the exact lines;
 * undefined when there is none.
 */
export function adviceForMode(
  mode: Mode,
  component: string,
  domains: readonly string[],
  server?: ServerIdentity,
): string | undefined {
  const client = clientLines(component, server);
  switch (mode) {
    case 'client':
      return undefined;
    case 'privileged':
      if (client === '') return undefined;
      return joinParts(
        `mod_message_gateway would make it mode client: bounces would come back, from this server
and from others.`,
        client,
        takeLines(server),
      );
    case 'plain': {
      const privileged = privilegeLines(component, domains, server);
      return client + privileged === ''
        ? undefined
        : joinParts(
            client === '' ? '' : gainOfClient,
            privileged === '' ? '' : gainOfPrivileged,
            client,
            privileged,
            takeLines(server),
          );
    }
    default:
      return mode satisfies never;
  }
}

const gainOfClient = `mod_message_gateway would make it mode client: messages would be in the sender's archive
and on the sender's other devices, the sender's blocklist would hold, and bounces would come back,
from this server and from others.`;

const gainOfPrivileged = 'Mode privileged gives archive and other devices, but no bounces.';

function joinParts(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join('\n\n');
}

/** How to make the server take stanzas of `limits.stanza_bytes`. */
export function sizeAdvice(stanzaBytes: number, server?: ServerIdentity): string {
  return joinParts(
    "Raise the server's limit, or lower limits.stanza_bytes:",
    sizeLines(stanzaBytes, server),
    'Then restart the server, and send SIGHUP to the gateway.',
  );
}
