import { fileURLToPath } from 'node:url';
import { startEjabberd } from './ejabberd.ts';
import { ejabberdWithModule } from './ejabberd-module.ts';
import { startProsody } from './prosody.ts';
import type { ServerKind, ServerOptions, XmppServer } from './xmpp-server.ts';

export type Mode = 'client' | 'privileged' | 'plain';

/** A server whose configuration gives the gateway this mode. */
export interface ModeSetup {
  readonly kind: ServerKind;
  readonly mode: 'client' | 'privileged' | 'plain';
  readonly options: ServerOptions;
  readonly start: (options?: ServerOptions) => Promise<XmppServer>;
}

const modules = fileURLToPath(new URL('../../../prosody/modules', import.meta.url));

/** Prosody with mod_message_gateway. */
export const withModule: ServerOptions = {
  extra: {
    global: `plugin_paths = { ${JSON.stringify(modules)} }`,
    component: '  modules_enabled = { "message_gateway" }',
  },
};

/** Prosody with Debian's mod_privilege (package prosody-modules). */
export const prosodyPrivilege: ServerOptions = {
  extra: {
    modules: ['privilege'],
    host: '  privileged_entities = { ["gateway.example.org"] = { message = "outgoing" } }',
    component: '  modules_enabled = { "privilege" }',
  },
};

/** ejabberd with its mod_privilege. */
export const ejabberdPrivilege: ServerOptions = {
  extra: {
    modules: ['mod_privilege:', '  message:', '    outgoing: gateway'],
    global:
      'acl:\n  gateway:\n    server: gateway.example.org\naccess_rules:\n  gateway:\n    - allow: gateway\n',
  },
};

/** ejabberd with mod_privilege for another component. */
const privilegeOfAnother: ServerOptions = {
  extra: {
    ...ejabberdPrivilege.extra,
    global:
      ejabberdPrivilege.extra?.global?.replace('gateway.example.org', 'other.example.org') ?? '',
  },
};

/** Each mode on each server that has it. */
export const modeSetups: readonly ModeSetup[] = [
  { kind: 'prosody', mode: 'plain', options: {}, start: startProsody },
  { kind: 'prosody', mode: 'privileged', options: prosodyPrivilege, start: startProsody },
  { kind: 'prosody', mode: 'client', options: withModule, start: startProsody },
  { kind: 'ejabberd', mode: 'plain', options: {}, start: startEjabberd },
  { kind: 'ejabberd', mode: 'plain', options: privilegeOfAnother, start: startEjabberd },
  { kind: 'ejabberd', mode: 'privileged', options: ejabberdPrivilege, start: startEjabberd },
  { kind: 'ejabberd', mode: 'client', options: ejabberdWithModule, start: startEjabberd },
];
