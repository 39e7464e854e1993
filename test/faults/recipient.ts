import { openSession, type Session } from '../support/clients/session.ts';
import { find, text } from '../support/clients/stanza.ts';
import type { Stage } from './stage.ts';
import type { Arrival } from './verdict.ts';

/** The recipient of a scenario's messages. */
export interface Recipient {
  /** Logs in; what was stored meanwhile arrives then. */
  logIn(): Promise<Session>;
  /** All that arrived in any of the sessions. */
  arrivals(): Arrival[];
  /** Ends all sessions. */
  logOut(): Promise<void>;
}

/** Creates the recipient, who is not logged in yet. */
export function createRecipient({ server }: Stage, localpart: string): Recipient {
  const sessions: Session[] = [];
  return {
    logIn: async () => {
      const { c2sPort: port, domain } = server;
      const session = await openSession({ port, domain, localpart, password: 'bob-secret' });
      sessions.push(session);
      return session;
    },
    arrivals: () => sessions.flatMap(arrivalsIn),
    logOut: async () => {
      for (const session of sessions) await session.close();
    },
  };
}

function arrivalsIn({ received }: Session): Arrival[] {
  return received
    .filter(({ root }) => root.name === 'message')
    .map(({ root }) => {
      const body = find(root, 'body');
      return {
        name: body === undefined ? '' : text(body),
        id: root.attributes['id'] ?? '',
        originId: find(root, 'origin-id', 'urn:xmpp:sid:0')?.attributes['id'],
      };
    });
}
