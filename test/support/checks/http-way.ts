import { type HttpAnswer, post } from '../clients/http.ts';
import { parseStanza, type Stanza, xmlLang } from '../clients/stanza.ts';
import { apiAccount, type GatewayProcess } from '../gateway/gateway.ts';
import type { Mode } from '../servers/mode-setups.ts';
import type { Kind, Way } from './as-a-client.ts';

/** Posts a body as alice@example.org, by the API account. */
export function postAsAlice(
  { url }: GatewayProcess,
  body: string,
  type = 'application/json',
  headers: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer> {
  return post(`${url}/api/1.0/xmppdomains/example.org/gateway/messages/alice`, {
    auth: [apiAccount.username, apiAccount.password],
    type,
    body,
    headers,
  });
}

/** The sender address that the gateway uses for alice, read from a message that is dropped. */
export async function readSender(gateway: GatewayProcess): Promise<string> {
  const attributes = { type: 'headline', id: 'dropped' };
  const body = JSON.stringify({ to: 'carol@example.org', message_attributes: attributes });
  const answer = await postAsAlice(gateway, body);
  const { from } = answer.json();
  if (typeof from !== 'string') throw new Error(`expected a sender, got ${answer.body}`);
  return from;
}

const request = "<request xmlns='urn:xmpp:receipts'/>";

/**
 * Sends through the gateway: every other message as JSON where JSON can express it, else as XML. In mode
 * client, a request for a receipt is left to the gateway.
 */
export function createHttpWay(gateway: GatewayProcess, mode: Mode): Way {
  const received: Stanza[] = [];
  let count = 0;
  return {
    received,
    send: async (whole) => {
      count += 1;
      const isAsked = mode === 'client' && whole.includes(request);
      const message = isAsked ? whole.replace(request, '') : whole;
      const headers = isAsked ? { prefer: 'wait=1' } : {};
      const json = count % 2 === 0 ? writeJson(message) : undefined;
      const answer = await (json === undefined
        ? postAsAlice(gateway, message, 'application/xml', headers)
        : postAsAlice(gateway, json, 'application/json', headers));
      if (answer.status !== 200) received.push(readBounce(message, answer));
    },
    close: async () => {},
  };
}

/** Undefined for a message without a type, which would become a chat in JSON. */
function writeJson(message: string): string | undefined {
  const [, start = '', content = ''] = /^(<message [^>]*)>(.*)<\/message>$/s.exec(message) ?? [];
  const { to, type, [xmlLang]: lang, ...others } = parseStanza(`${start}/>`).attributes;
  if (type === undefined) return undefined;
  const [, body, extra = ''] = /^(?:<body>([^<&]*)<\/body>)?(.*)$/s.exec(content) ?? [];
  const attributes = { ...others, type, ...(lang === undefined ? {} : { 'xml:lang': lang }) };
  return JSON.stringify({ to, message_attributes: attributes, body, extra_elements: extra });
}

/** The error stanza that a problem describes; throws when the problem does not describe one. */
function readBounce(message: string, answer: HttpAnswer): Stanza {
  const { code, condition, error_type: type, text: words } = answer.json();
  if (code !== 'bounced') throw new Error(`expected a bounce of ${message}, got ${answer.body}`);
  const { id } = parseStanza(message).attributes;
  const xml = `<message type='error' id='${id}'><error type='${String(type)}'><${String(condition)} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`;
  const root = parseStanza(xml);
  const [error] = root.children;
  if (typeof error === 'object' && typeof words === 'string') {
    error.children.push({
      name: 'text',
      namespace: error.namespace,
      attributes: {},
      children: [words],
    });
  }
  return { xml, root };
}

/** Kinds that the gateway should refuse and does not, with its answers. */
export async function findUnrefused(
  gateway: GatewayProcess,
  kinds: readonly Kind[],
): Promise<string[]> {
  const found: string[] = [];
  for (const { name, to, attributes = `type='chat'`, payload = '' } of kinds) {
    const message = `<message to='${to}' ${attributes}>${payload}</message>`;
    const { status, body } = await postAsAlice(gateway, message, 'application/xml');
    if (status !== 422) found.push(`${name}: ${body}`);
  }
  return found;
}
