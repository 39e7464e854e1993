import { defaultLimits } from '../../../src/config/config.ts';
import { parseJid } from '../../../src/core/jid/jid.ts';
import { readSubmission } from '../../../src/core/message/from-json.ts';
import type { Message } from '../../../src/core/message/message.ts';
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

/** Reads a JSON message for one recipient. */
export function readMessageFromJson(value: unknown, own: MessageContext = context): Message {
  const [message] = readSubmission(value, own).messages;
  if (message === undefined) throw new Error('a submission without a message');
  return message;
}
