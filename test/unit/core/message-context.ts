import { parseJid } from '../../../src/core/jid.ts';
import type { MessageContext } from '../../../src/core/message-rules.ts';

/** How the tests of this folder read messages. */
export const context: MessageContext = {
  from: parseJid('myuser@example.org'),
  limits: { stanzaBytes: 262_144, depth: 32, attributes: 256 },
  componentDomain: 'gateway.example.org',
  createId: () => 'made-up',
  caller: 'user alice@example.org',
};
