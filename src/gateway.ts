import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { createApiAccounts } from './auth/api-accounts.ts';
import { createThrottle } from './auth/throttle.ts';
import { createUsers } from './auth/users.ts';
import type { Config } from './config.ts';
import type { Readiness } from './core/readiness.ts';
import { createApp } from './http/app.ts';
import { readDocs } from './http/docs-files.ts';
import { createListener } from './http/listener.ts';
import { createComponentStream } from './xmpp/component-stream.ts';
import { createDelivery } from './xmpp/delivery.ts';
import { createDispatch } from './xmpp/dispatch.ts';
import { createRemoteConfirmation } from './xmpp/remote-confirmation.ts';
import { createPasswordCheck } from './xmpp/sasl.ts';

/** One component stream and one HTTP listener. */
export interface Gateway {
  /** Listens for HTTP and begins to connect; resolves with the TCP port, rejects when it cannot listen. */
  start(): Promise<number>;
  /** Stops accepting, finishes what is in flight, closes the stream. */
  stop(): Promise<void>;
  /** Takes over the API accounts and permissions of another configuration. */
  reload(config: Pick<Config, 'apiAccounts' | 'permissions'>): void;
  readonly readiness: () => Readiness;
}

/** Where the build puts the page at /docs. */
const docsDirectory = fileURLToPath(new URL('docs', import.meta.url));

/** Most passwords that are checked at once: each takes a connection to the XMPP server. */
const maxPasswordChecks = 16;

/** Composes the parts; the one place where they meet. */
export function createGateway(config: Config, log: Logger): Gateway {
  const { component, domains, delivery: deliveryConfig, limits } = config;
  const [barrierDomain = component.domain] = domains;
  const delivery = createDelivery({
    ...deliveryConfig,
    componentDomain: component.domain,
    barrierDomain,
  });
  const remote = createRemoteConfirmation({ timeoutMs: deliveryConfig.remoteConfirmMs, log });
  const stream = createComponentStream({
    address: component,
    served: { domains, mode: deliveryConfig.mode },
    log,
    events: {
      onReady: (connection) => {
        delivery.attach(connection);
        remote.attach(connection);
      },
      onStanza: (stanza) => {
        if (!delivery.handleStanza(stanza)) remote.handleStanza(stanza);
      },
      onDrain: delivery.handleDrain,
      onClose: (failure) => {
        delivery.detach(failure);
        remote.detach();
      },
    },
  });
  const dispatch = createDispatch({ domains, limits, formOf: stream.formOf, delivery, remote });
  const login = {
    cacheMs: config.auth.cacheMs,
    throttle: createThrottle(config.auth.throttle),
    onFailure: (failure: object) => log.warn(failure, 'login failed'),
  };
  const users = createUsers({
    ...login,
    permissions: config.permissions.xmppgateway,
    passwordCheck: createPasswordCheck({
      ...config.c2s,
      timeoutMs: config.auth.timeoutMs,
      maxConcurrent: maxPasswordChecks,
    }),
  });
  const apiAccounts = createApiAccounts({ ...login, accounts: config.apiAccounts });
  const app = createApp({
    domains,
    limits,
    componentDomain: component.domain,
    trustedProxies: config.http.trustedProxies,
    log,
    users,
    apiAccounts,
    buildStanza: dispatch.buildStanza,
    deliver: dispatch.deliver,
    readiness: stream.readiness,
    docs: config.http.docs ? readDocs(docsDirectory) : undefined,
  });
  const listener = createListener(app, config.http);

  return {
    start: async () => {
      const port = await listener.start();
      stream.start();
      return port;
    },
    stop: async () => {
      await listener.stop(deliveryConfig.confirmTimeoutMs);
      await stream.stop();
    },
    reload: (next) => {
      apiAccounts.update(next.apiAccounts);
      users.update(next.permissions.xmppgateway);
    },
    readiness: stream.readiness,
  };
}
