import { type HttpAnswer, post } from '../clients/http.ts';
import { openSessionOn, type Session } from '../clients/session.ts';
import type { ServerOptions, XmppServer } from '../servers/xmpp-server.ts';
import { apiAccount, type GatewayProcess, gatewayConfig, startGatewayProcess } from './gateway.ts';

/** A server, a gateway, and a session of Bob, the recipient. */
export interface GatewaySite {
  readonly server: XmppServer;
  readonly gateway: GatewayProcess;
  readonly bob: Session;
  /** Posts to the API URL of a user (percent-encoded as given), as the API account. */
  postAs(username: string, body: string | Buffer, type?: string): Promise<HttpAnswer>;
  /** Posts to the user URL as the bot, who has the permission. */
  postAsBot(body: string | Buffer, type?: string): Promise<HttpAnswer>;
  stop(): Promise<void>;
}

const botPassword = 'bot-secret';

/** Starts all of it; `settings` are merged into the gateway's configuration. */
export async function startGatewaySite(
  start: (options?: ServerOptions) => Promise<XmppServer>,
  options: ServerOptions = {},
  settings: Readonly<Record<string, unknown>> = {},
): Promise<GatewaySite> {
  const server = await start(options);
  await server.register('bob', 'bob-secret');
  await server.register('bot', botPassword);
  const gateway = await startGatewayProcess({ config: gatewayConfig(server, settings) });
  const bob = await openSessionOn(server, 'bob', 'bob-secret');
  const url = `${gateway.url}/api/1.0/xmppdomains/${server.domain}/gateway/messages`;
  return {
    server,
    gateway,
    bob,
    postAs: (username, body, type = 'application/json') =>
      post(`${url}/${username}`, {
        auth: [apiAccount.username, apiAccount.password],
        type,
        body,
      }),
    postAsBot: (body, type = 'application/json') =>
      post(url, { auth: ['bot', botPassword], type, body }),
    stop: async () => {
      bob.destroy();
      await gateway.stop();
      await server.stop();
    },
  };
}
