import { fileURLToPath } from 'node:url';
import { createStage, limited, muc, registerUsers, silent } from '../checks/message-kinds.ts';
import { startEjabberd } from './ejabberd.ts';
import type { ServerOptions, XmppServer } from './xmpp-server.ts';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Source file of the module. */
export const gatewayModule = file(
  '../../../ejabberd/mod_message_gateway/src/mod_message_gateway.erl',
);

/** The domain of a component that is not a gateway. */
export const transport = 'transport.example.org';

/** A virtual host on which looking up an account fails. */
export const faulty = 'faulty.example';

/** A virtual host without the module. */
export const without = 'without.example';

const served = `modules:
      mod_message_gateway:
        components: [gateway.example.org, ${limited}]
        access: gateway_senders`;

const configuration = `
acl:
  admin:
    user: root@example.org
  frank:
    user: frank@other.example
  transport:
    server: ${transport}
access_rules:
  gateway_senders:
    - deny: admin
    - deny: frank
    - allow: all
  transport:
    - allow: transport
append_host_config:
  example.org:
    ${served}
  other.example:
    ${served}
  ${faulty}:
    auth_method: faulty
    ${served}
`;

/** Options for an ejabberd with the module for the default component. */
export const ejabberdWithModule: ServerOptions = {
  extra: {
    erlang: [gatewayModule],
    modules: ['mod_message_gateway:', '  components: gateway.example.org'],
  },
};

/** An ejabberd with mod_message_gateway for its first component and `limited`. */
export async function startEjabberdWithModule(): Promise<XmppServer> {
  const server = await startEjabberd({
    domains: ['example.org', 'other.example', faulty, without],
    muc,
    components: [
      { domain: 'gateway.example.org', secret: 'secret' },
      { domain: limited, secret: 'limited' },
      { domain: transport, secret: 'transport' },
      { domain: silent, secret: 'never used' },
    ],
    extra: {
      erlang: [
        gatewayModule,
        file('ejabberd-modules/ejabberd_auth_faulty.erl'),
        file('ejabberd-modules/mod_busy_room.erl'),
      ],
      modules: [
        'mod_adhoc: {}',
        'mod_announce: {}',
        'mod_busy_room: {}',
        'mod_last: {}',
        'mod_private: {}',
        // For the component `transport` only.
        'mod_privilege:',
        '  message:',
        '    outgoing: transport',
      ],
      global: configuration,
    },
  });
  await registerUsers(createStage(server));
  await server.register('root', 'root');
  await server.register('gina', 'gina', 'other.example');
  return server;
}
