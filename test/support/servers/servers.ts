import { startEjabberd } from './ejabberd.ts';
import { startProsody } from './prosody.ts';
import type { ServerKind, ServerOptions, XmppServer } from './xmpp-server.ts';

/** The servers that every behaviour is tested on, for `describe.each(servers)('… on $kind', …)`. */
export const servers: readonly {
  readonly kind: ServerKind;
  readonly start: (options?: ServerOptions) => Promise<XmppServer>;
}[] = [
  { kind: 'prosody', start: startProsody },
  { kind: 'ejabberd', start: startEjabberd },
];
