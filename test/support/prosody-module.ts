import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { openAs } from './as-a-client.ts';
import { type Component, openComponent } from './component.ts';
import { createStage, muc, registerUsers, silent } from './message-kinds.ts';
import { createDirectory } from './processes.ts';
import { startProsody } from './prosody.ts';
import type { Session } from './session.ts';
import { find, type Stanza } from './stanza.ts';
import type { XmppServer } from './xmpp-server.ts';

const modules = fileURLToPath(new URL('../../prosody/modules', import.meta.url));

/** A second component with the module, for which all of its options are set. */
export const limited = 'limited.example.org';

/** A room service where a room that is not configured yet is locked. */
export const lockingMuc = 'locking.example.org';

/** Another module on the virtual hosts, that fails on a message with the id `fault`, and on looking `broken` up. */
function writeFaultyModule(): string {
  const directory = createDirectory('modules');
  writeFileSync(
    join(directory, 'mod_faulty.lua'),
    `module:hook("pre-message/bare", function (event)
      if event.stanza.attr.id == "fault" then error("a fault"); end
    end, 10);
    local usermanager = require "core.usermanager";
    local get_roles = usermanager.get_roles;
    function usermanager.get_roles(jid, host)
      if jid == "broken@example.org" then error("a fault"); end
      return get_roles(jid, host);
    end`,
  );
  return directory;
}

/** A Prosody with mod_message_gateway on its first component (no options) and on `limited`. */
export async function startProsodyWithModule(): Promise<XmppServer> {
  const paths = [modules, writeFaultyModule()].map((path) => JSON.stringify(path)).join();
  const server = await startProsody({
    domains: ['example.org', 'other.example'],
    muc,
    extra: {
      modules: ['faulty'],
      global: `plugin_paths = { ${paths} }
admins = { "root@example.org" }
Component "${silent}"
  component_secret = "never used"
Component "${lockingMuc}" "muc"
Component "${limited}"
  component_secret = "limited"
  validate_from_addresses = false
  modules_enabled = { "message_gateway" }
  message_gateway_allow = { "alice@example.org", "broken@example.org", "Root@Example.org", "*@other.example" }
  message_gateway_deny = { "frank@other.example" }
  message_gateway_deny_roles = { "prosody:admin" }
  message_gateway_speak_in_rooms = true`,
      component: 'modules_enabled = { "message_gateway" }',
    },
  });
  await registerUsers(createStage(server));
  await server.register('root', 'root');
  await server.register('broken', 'broken');
  await server.register('gina', 'gina', 'other.example');
  return server;
}

/** Connects as one of the components for as long as the test runs. */
export async function connectComponent(
  server: XmppServer,
  domain = server.componentDomain,
): Promise<Component> {
  const secret = domain === limited ? 'limited' : server.componentSecret;
  const component = await openComponent({ port: server.componentPort, domain, secret });
  onTestFinished(() => component.close());
  return component;
}

/** A client for as long as the test runs. */
export async function connectClient(server: XmppServer, jid: string): Promise<Session> {
  const session = await openAs(server, jid);
  onTestFinished(() => session.close());
  return session;
}

/** An iq from the component itself, and the answer to it. */
export async function ask(component: Component, from: string, to: string, payload: string) {
  const id = randomUUID();
  component.send(`<iq type='get' from='${from}' to='${to}' id='${id}'>${payload}</iq>`);
  return component.waitFor(({ root }) => root.attributes['id'] === id, payload);
}

/** XEP-0199. */
export const ping = "<ping xmlns='urn:xmpp:ping'/>";
/** Their ids, in order. */
export const idsOf = (stanzas: readonly Stanza[]): (string | undefined)[] =>
  stanzas.map(({ root }) => root.attributes['id']);
/** What the gateway asks a host to learn whether the module serves it. */
export const question = "<gateway xmlns='urn:xmpp-message-gateway:0'/>";

/** A message, `rest` from its type on; default a chat with a body. */
export function message(
  from: string,
  to: string,
  id: string,
  rest = "type='chat'><body>b</body>",
): string {
  return `<message from='${from}' to='${to}' id='${id}' ${rest}</message>`;
}

/** A stanza error's condition, type, `by` and the reason in sender-refused. */
export function readError({ root }: Stanza) {
  const error = find(root, 'error');
  const condition = error?.children.find(
    (child) => typeof child !== 'string' && child.name !== 'text',
  );
  return {
    to: root.attributes['to'],
    type: error?.attributes['type'],
    by: error?.attributes['by'],
    condition: typeof condition === 'object' ? condition.name : undefined,
    reason: error === undefined ? undefined : find(error, 'sender-refused')?.attributes['reason'],
  };
}

/** What the component hears of a stanza before the next barrier; undefined: nothing. */
export async function fateOf(component: Component, domain: string, stanza: string, id: string) {
  component.send(stanza);
  await ask(component, domain, 'example.org', ping);
  const error = component.received.find(({ root }) => root.attributes['id'] === id);
  return error === undefined ? undefined : readError(error);
}
