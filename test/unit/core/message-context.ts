import { buildLimits } from '../../../src/config/config.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { parseJid } from '../../../src/core/jid/jid.ts';
import type { MessageContext } from '../../../src/core/message/rules.ts';

/** How the tests of this folder read messages: within the default limits. */
export const context: MessageContext = {
  from: parseJid('myuser@example.org'),
  limits: buildLimits(configSchema.shape.limits.parse(undefined)),
  componentDomain: 'gateway.example.org',
  createId: () => 'made-up',
  caller: 'user alice@example.org',
};
