import type { Element } from 'ltx';
import { readStanzaError } from '../../core/message/stanza-error.ts';
import { buildModuleQuery, readModule } from './domain-features.ts';
import { buildPing } from './iq.ts';

/**
 * What is asked behind messages. The module answers its question itself, so that its answer also
 * proves that it still is there; a ping (XEP-0199) is for domains without it.
 */
export type BarrierKind = 'module' | 'ping';

/** What an answer means. */
export type BarrierAnswer = 'passed' | 'module-gone' | 'not-hosted';

/**
 * Pings go to a resource of the domain: ejabberd with mod_privilege drops what components ask a bare
 * domain (24.10 and newer), and answers for a resource that nobody has, at once and in order.
 */
const resource = 'gateway';

/** Builds a barrier for a domain. The arguments are ours, and need no escaping. */
export function buildBarrier(
  kind: BarrierKind,
  id: string,
  component: string,
  domain: string,
): string {
  return kind === 'module'
    ? buildModuleQuery(id, component, domain)
    : buildPing(id, component, addressOf(kind, domain));
}

/** Reads the answer to a barrier; undefined when the stanza is from elsewhere, or for somebody else. */
export function readBarrierAnswer(
  kind: BarrierKind,
  stanza: Element,
  component: string,
  domain: string,
): BarrierAnswer | undefined {
  const { from, to } = stanza.attrs;
  if (!stanza.is('iq') || from !== addressOf(kind, domain) || to !== component) return undefined;
  if (kind === 'module') return readModule(stanza) === undefined ? 'module-gone' : 'passed';
  return isHosted(stanza) ? 'passed' : 'not-hosted';
}

function addressOf(kind: BarrierKind, domain: string): string {
  return kind === 'module' ? domain : `${domain}/${resource}`;
}

/** What our own server says in the place of one that it cannot, or will not, connect to. */
const otherServersAway = [
  'remote-server-not-found',
  'remote-server-timeout',
  'not-allowed',
  'forbidden',
];

/** Any other answer, an error too, is that of a domain which the server hosts. */
function isHosted(answer: Element): boolean {
  if (answer.attrs['type'] !== 'error') return true;
  return !otherServersAway.includes(readStanzaError(answer).condition);
}
