import { randomUUID } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { type Component, openComponent } from '../clients/component.ts';
import type { Session } from '../clients/session.ts';
import { find, type Stanza, text } from '../clients/stanza.ts';
import type { XmppServer } from '../servers/xmpp-server.ts';
import { openAs } from './as-a-client.ts';

/** Connects as one of the components until the test ends. */
export async function connectComponent(
  server: XmppServer,
  domain = server.componentDomain,
): Promise<Component> {
  const { port, secret } = server.components.find((known) => known.domain === domain) ?? {
    port: server.componentPort,
    secret: 'limited',
  };
  const component = await openComponent({ port, domain, secret });
  onTestFinished(() => component.close());
  // Others get their answers from the core of the server, on any stream of their domain.
  if (domain === server.componentDomain) await waitUntilAlone(component, domain);
  return component;
}

const probes = 30;

/**
 * Waits until everything to the domain comes to this component. ejabberd closes a stream before it
 * forgets it, and until then sends every other stanza there.
 */
async function waitUntilAlone(component: Component, domain: string): Promise<void> {
  const isProbe = ({ root }: Stanza): boolean => root.attributes['id'] === 'alone';
  let back = 0;
  while (back < probes) {
    component.clear();
    component.send(message(`alone@${domain}`, domain, 'alone').repeat(probes));
    // Answered to the stream that asks, after what it has sent before.
    await ask(component, domain, 'example.org', question);
    back = component.received.filter(isProbe).length;
  }
  component.clear();
}

/** Connects a client until the test ends. */
export async function connectClient(server: XmppServer, jid: string): Promise<Session> {
  const session = await openAs(server, jid);
  onTestFinished(() => session.close());
  return session;
}

/** Sends an iq and resolves with the answer. */
export async function ask(component: Component, from: string, to: string, payload: string) {
  const id = randomUUID();
  component.send(`<iq type='get' from='${from}' to='${to}' id='${id}'>${payload}</iq>`);
  return component.waitFor(({ root }) => root.attributes['id'] === id, payload);
}

/** A ping (XEP-0199). */
export const ping = "<ping xmlns='urn:xmpp:ping'/>";
/** The ids of the stanzas, in order. */
export const idsOf = (stanzas: readonly Stanza[]): (string | undefined)[] =>
  stanzas.map(({ root }) => root.attributes['id']);
/** The question by which the gateway learns whether the module serves a host. */
export const question = "<gateway xmlns='urn:xmpp-message-gateway:0'/>";

/** A message; `rest` is everything from its type on, by default a chat with a body. */
export function message(
  from: string,
  to: string,
  id: string,
  rest = "type='chat'><body>b</body>",
): string {
  return `<message from='${from}' to='${to}' id='${id}' ${rest}</message>`;
}

const conditions = 'urn:ietf:params:xml:ns:xmpp-stanzas';

/** A stanza error's condition, type, `by`, text and the reason in sender-refused. */
export function readError({ root }: Stanza) {
  const error = find(root, 'error');
  const condition = error?.children.find(
    (child) => typeof child !== 'string' && child.namespace === conditions && child.name !== 'text',
  );
  const words = error === undefined ? undefined : find(error, 'text');
  return {
    to: root.attributes['to'],
    type: error?.attributes['type'],
    by: error?.attributes['by'],
    condition: typeof condition === 'object' ? condition.name : undefined,
    text: words === undefined ? undefined : text(words),
    reason: error === undefined ? undefined : find(error, 'sender-refused')?.attributes['reason'],
  };
}

/** The error that the component gets for a stanza before the next barrier; undefined: none. */
export async function fateOf(component: Component, domain: string, stanza: string, id: string) {
  component.send(stanza);
  await ask(component, domain, 'example.org', ping);
  const error = component.received.find(({ root }) => root.attributes['id'] === id);
  return error === undefined ? undefined : readError(error);
}
