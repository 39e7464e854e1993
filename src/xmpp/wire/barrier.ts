import type { Element } from 'ltx';
import { readStanzaError } from '../../core/message/stanza-error.ts';
import { buildModuleQuery, readModule } from './domain-features.ts';
import { buildPing } from './iq.ts';

/**
 * The question that follows the messages of a batch. The module answers its question itself, so the
 * answer also proves that the module is still loaded; a ping (XEP-0199) is for domains without it.
 */
export type BarrierKind = 'module' | 'ping';

/** The meaning of an answer. */
export type BarrierAnswer = 'passed' | 'module-gone' | 'not-hosted';

/**
 * Pings go to a resource of the domain. ejabberd with mod_privilege (24.10 and newer) drops requests of
 * components to a bare domain, but answers for a resource that nobody has, at once and in order.
 */
const resource = 'gateway';

/** Builds a barrier for a domain. The arguments must need no escaping. */
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

/** Reads the answer to a barrier; undefined when its addresses are not those of the barrier. */
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

/** Conditions in which our own server answers for one that it cannot, or will not, connect to. */
const remoteServerConditions = [
  'remote-server-not-found',
  'remote-server-timeout',
  'not-allowed',
  'forbidden',
];

/** Any other answer, even an error, comes from a domain that the server hosts. */
function isHosted(answer: Element): boolean {
  if (answer.attrs['type'] !== 'error') return true;
  return !remoteServerConditions.includes(readStanzaError(answer).condition);
}
