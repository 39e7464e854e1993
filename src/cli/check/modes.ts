import type { ModeReport } from '../../core/message/mode.ts';
import { adviceForMode } from '../../xmpp/server/advice.ts';
import { dropsBlocked } from '../../xmpp/server/config-lines.ts';
import { isSince, type ServerIdentity } from '../../xmpp/server/identity.ts';
import type { DomainModes } from '../../xmpp/stream/trust-proof.ts';
import type { Finding } from './finding.ts';

/** Where modes were found. */
export interface ModesSurroundings {
  /** The component's domain. */
  readonly component: string;
  /** Whether the operator insists on the mode. */
  readonly isChosen: boolean;
  readonly server: ServerIdentity | undefined;
}

/** The mode of each domain, what follows from it and, unless it was chosen, how to have a better one. */
export function describeModes(
  modes: DomainModes,
  { component, isChosen, server }: ModesSurroundings,
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

/** Servers treat archive (XEP-0313) and other devices (XEP-0280) alike. */
function describeCopies({ archive }: ModeReport, server: ServerIdentity | undefined): string {
  const isCopied = archive ?? isSince(server?.version, '23.10');
  if (isCopied === undefined) {
    return "in the sender's archive and on other devices from ejabberd 23.10 on";
  }
  return isCopied
    ? "in the sender's archive, if the server keeps one, and on other devices of the sender"
    : "not in the sender's archive, nor on other devices of the sender";
}

function describeBounces({ bounces: { local, remote } }: ModeReport): string {
  if (remote) return 'bounces come back, of this server and of others';
  return local
    ? 'bounces of this server come back, of others not'
    : 'bounces do not come back: a message to nobody, or to somebody who blocks the sender, gets 200';
}

/** What the server does to messages, whatever the mode, that senders would not expect. */
function describePeculiarities(
  { bounces }: ModeReport,
  server: ServerIdentity | undefined,
): readonly string[] {
  if (server?.kind === 'ejabberd') {
    return ['ejabberd drops attributes of <message/> and <body/> that it does not know'];
  }
  return server?.kind === 'prosody' && bounces.local && dropsBlocked(server.version)
    ? [
        'of a recipient who blocks the sender only with bounce_blocked_messages = true on Prosody 13',
      ]
    : [];
}
