import { X509Certificate } from 'node:crypto';
import type { Logger } from 'pino';
import { createApiAccounts } from './auth/api-accounts.ts';
import { createThrottle } from './auth/throttle.ts';
import { createUsers } from './auth/users.ts';
import type { Config } from './config.ts';
import type { Readiness } from './core/readiness.ts';
import { createApp } from './http/app.ts';
import { createListener } from './http/listener.ts';
import { createComponentStream } from './xmpp/component-stream.ts';
import { createDelivery } from './xmpp/delivery.ts';
import { createPasswordCheck } from './xmpp/sasl.ts';

/** One component stream and one HTTP listener. */
export interface Gateway {
  /** Listens for HTTP and begins to connect; resolves with the TCP port, rejects when it cannot listen. */
  start(): Promise<number>;
  /** Stops accepting, finishes what is in flight, closes the stream. */
  stop(): Promise<void>;
  /** Takes over the API accounts, the permissions and the certificate of another configuration. */
  reload(config: Pick<Config, 'apiAccounts' | 'permissions' | 'http'>): void;
  readonly readiness: () => Readiness;
}

/** Most passwords that are checked at once: each takes a connection to the XMPP server. */
const maxPasswordChecks = 16;

/** More than a check of a password takes on a machine that is not overloaded. */
const refusalStepMs = 100;

/** Deadlines are looked at every second: a 504 may come so late, and must not be cut off. */
const settleMs = 1500;

/** Composes the parts; the one place where they meet. */
export function createGateway(config: Config, log: Logger): Gateway {
  const { component, domains, delivery: deliveryConfig, limits } = config;
  const [barrierDomain = component.domain] = domains;
  const delivery = createDelivery({
    ...deliveryConfig,
    componentDomain: component.domain,
    barrierDomain,
  });
  const stream = createComponentStream({
    address: component,
    domains,
    log,
    events: {
      onReady: delivery.attach,
      onStanza: delivery.handleStanza,
      onDrain: delivery.handleDrain,
      onClose: delivery.detach,
    },
  });
  const login = {
    cacheMs: config.auth.cacheMs,
    throttle: createThrottle(config.auth.throttle),
    refusalStepMs,
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
    deliver: delivery.deliver,
    readiness: stream.readiness,
  });
  const listener = createListener(app, config.http);

  return {
    start: async () => {
      const port = await listener.start();
      stream.start();
      return port;
    },
    stop: async () => {
      await listener.stop(deliveryConfig.confirmTimeoutMs + settleMs);
      await stream.stop();
    },
    reload: (next) => {
      apiAccounts.update(next.apiAccounts);
      users.update(next.permissions.xmppgateway);
      const { tls } = next.http;
      if (tls === undefined || config.http.tls === undefined) return;
      listener.renewCertificate(tls);
      log.info({ validTo: new X509Certificate(tls.cert).validTo }, 'certificate reloaded');
    },
    readiness: stream.readiness,
  };
}
