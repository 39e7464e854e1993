import { defaultLimits } from '../../../src/config/config.ts';
import { parseJid } from '../../../src/core/jid/jid.ts';
import type { MessageContext } from '../../../src/core/message/rules.ts';

/** How the tests of this folder read messages: within the default limits. */
export const context: MessageContext = {
  from: parseJid('myuser@example.org'),
  limits: defaultLimits,
  componentDomain: 'gateway.example.org',
  servedDomains: new Set(['example.org', 'localhost']),
  createId: () => 'made-up',
  caller: 'user alice@example.org',
};
