import type { ModeReport } from '../core/mode.ts';
import { adviceForMode } from '../xmpp/server-advice.ts';
import type { DomainModes } from '../xmpp/trust-proof.ts';
import type { Finding } from './finding.ts';

/** The mode of each domain, what follows from it and, unless it was chosen, how to have a better one. */
export function describeModes(
  modes: DomainModes,
  component: string,
  isChosen: boolean,
): readonly Finding[] {
  return [...modes].map(([domain, { report }]) => {
    const { mode } = report;
    const alike = [...modes].filter(([, other]) => other.report.mode === mode);
    const chosen = isChosen ? ', as delivery.mode says' : '';
    return {
      isGood: true,
      text: `messages of ${domain}: mode ${mode}${chosen}; ${describeCopies(report)}; ${describeBounces(report)}`,
      advice: isChosen
        ? undefined
        : adviceForMode(
            mode,
            component,
            alike.map(([name]) => name),
          ),
    };
  });
}

/** Servers treat archive (XEP-0313) and other devices (XEP-0280) alike. */
function describeCopies({ archive }: ModeReport): string {
  switch (archive) {
    case true:
      return "in the sender's archive, if the server keeps one, and on other devices of the sender";
    case false:
      return "not in the sender's archive, nor on other devices of the sender";
    case null:
      return "in the sender's archive and on other devices from ejabberd 23.10 on";
    default:
      return archive satisfies never;
  }
}

function describeBounces({ bounces: { local, remote } }: ModeReport): string {
  if (remote) return 'bounces come back, of this server and of others';
  return local
    ? 'bounces of this server come back, of others not'
    : 'bounces do not come back: a message to nobody gets 200';
}
