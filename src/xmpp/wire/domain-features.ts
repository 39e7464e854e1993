import { randomBytes } from 'node:crypto';
import type { Element } from 'ltx';
import { moduleNamespace, type WireForm } from '../../core/message/mode.ts';

type ClientForm = Extract<WireForm, { mode: 'client' }>;

/** What a served domain offers to the component. */
export interface DomainFeatures {
  /** The answer of mod_message_gateway (prosody/modules/README.md). */
  readonly module: Pick<ClientForm, 'speaksInRooms' | 'returnsReceipts'> | undefined;
  /** The namespace under which outgoing messages are privileged (XEP-0356 §4.1). */
  readonly privilege: string | undefined;
  /** Whether a bounce for a bare JID there comes to the component. */
  readonly returnsBounces: boolean;
}

/** Questions that find out what a domain offers. */
export interface FeatureProbe {
  /** Stanzas to write. Everything they bring comes before the answer to a ping written after them. */
  readonly xml: string;
  /** The question for the module alone, which may be asked again. */
  readonly moduleQuery: string;
  /** Whether a stanza says that the module is not there, in answer to that question. */
  deniesModule(stanza: Element): boolean;
  handleStanza(stanza: Element): void;
  features(): DomainFeatures;
}

/** Asks for the module, reads announced privileges, and provokes a bounce. */
export function createFeatureProbe(domain: string, component: string): FeatureProbe {
  const queryId = `module-${randomBytes(12).toString('hex')}`;
  const bounceId = `bounce-${randomBytes(12).toString('hex')}`;
  const nobody = `gwprobe-${randomBytes(8).toString('hex')}@${domain}`;
  let features: DomainFeatures = {
    module: undefined,
    privilege: undefined,
    returnsBounces: false,
  };

  const handleStanza = (stanza: Element): void => {
    const { id, from, type } = stanza.attrs;
    if (id === bounceId && from === nobody) {
      features = { ...features, returnsBounces: type === 'error' };
    }
    if (from !== domain) return;
    if (id === queryId && stanza.is('iq') && type === 'result') {
      features = { ...features, module: readModule(stanza) ?? features.module };
    } else if (stanza.is('message') && type !== 'error') {
      features = { ...features, privilege: readPrivilege(stanza) ?? features.privilege };
    }
  };

  const moduleQuery = buildModuleQuery(queryId, component, domain);
  return {
    xml:
      moduleQuery +
      `<message id='${bounceId}' from='${nobody}' to='${nobody}'><x xmlns='urn:xmpp-message-gateway:probe'/></message>`,
    moduleQuery,
    deniesModule: ({ attrs: { id, from, type } }) =>
      id === queryId && from === domain && type === 'error',
    handleStanza,
    features: () => features,
  };
}

/** Asks whether the module is loaded. The arguments must need no escaping. */
export function buildModuleQuery(id: string, component: string, domain: string): string {
  return `<iq type='get' id='${id}' from='${component}' to='${domain}'><gateway xmlns='${moduleNamespace}'/></iq>`;
}

/** What the module answers about itself; undefined when the answer is not the module's. */
export function readModule(stanza: Element): DomainFeatures['module'] {
  const answer = stanza.getChild('gateway', moduleNamespace);
  if (answer?.attrs['version'] !== '1') return undefined;
  return {
    speaksInRooms: answer.getChild('speak-in-rooms') !== undefined,
    returnsReceipts: answer.getChild('receipts') !== undefined,
  };
}

const privilegeNamespaces = ['urn:xmpp:privilege:2', 'urn:xmpp:privilege:1'];

function readPrivilege(stanza: Element): string | undefined {
  return privilegeNamespaces.find((namespace) =>
    stanza
      .getChild('privilege', namespace)
      ?.getChildren('perm')
      .some(({ attrs }) => attrs['access'] === 'message' && attrs['type'] === 'outgoing'),
  );
}
