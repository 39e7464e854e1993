import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { createApiAccounts } from '../auth/api-accounts.ts';
import { createPermissions, type Grants } from '../auth/permissions.ts';
import { createThrottle } from '../auth/throttle/throttle.ts';
import { createUsers } from '../auth/users.ts';
import type { Config } from '../config/config.ts';
import type { Readiness } from '../core/message/ports.ts';
import { createApp } from '../http/app.ts';
import { createAnswerStore } from '../http/idempotency/memory-store.ts';
import { createSharedAnswerStore } from '../http/idempotency/shared-store.ts';
import { createBodyBudget } from '../http/request/body.ts';
import { createOpenApi, readDocs } from '../http/routes/docs.ts';
import { createDropLog } from '../http/server/connections.ts';
import { createListener, type ListenerEvents } from '../http/server/listener.ts';
import { createStore } from '../store/store.ts';
import { createPasswordCheck } from '../xmpp/sasl/password-check.ts';
import { createSending } from '../xmpp/transport.ts';
import { createMetricsListener, type MetricsListener } from './metrics-listener.ts';
import { idleObserver, type Observer } from './observer.ts';

/** It cannot listen at the address that is at `key` of the configuration; the cause says why. */
export class ListenError extends Error {
  override readonly name = 'ListenError';

  readonly key: 'http' | 'http.metrics';
  readonly address: { readonly host: string; readonly port: number };

  constructor(key: ListenError['key'], address: ListenError['address'], cause: unknown) {
    super(`cannot listen at ${key}`, { cause });
    this.key = key;
    this.address = address;
  }
}

/** One component stream and one HTTP listener. */
export interface Gateway {
  /** Listens for HTTP and begins to connect; resolves with the TCP port, rejects with ListenError. */
  start(): Promise<number>;
  /** Stops accepting, finishes what is in flight, closes the stream. */
  stop(): Promise<void>;
  /** Takes over the API accounts, the permissions and the certificate of another configuration. */
  reload(config: Pick<Config, 'apiAccounts' | 'permissions' | 'http'>): void;
  readonly readiness: () => Readiness;
}

/** Where the build puts the page at /docs and the description of the API. */
const docsDirectory = new URL('docs', import.meta.url);
const openApiFile = new URL('openapi.json', import.meta.url);

/** Most passwords that are checked at once: each takes a connection to the XMPP server. */
const maxPasswordChecks = 16;

/** More than a check of a password takes on a machine that is not overloaded. */
const refusalStepMs = 100;

/** Deadlines are looked at every second: a 504 may come so late, and must not be cut off. */
const settleMs = 1500;

/** Composes the parts; the one place where they meet. `grants` are those of the state file. */
export async function createGateway(
  config: Config,
  log: Logger,
  grants: Grants | undefined,
): Promise<Gateway> {
  const { component, domains, delivery: deliveryConfig, limits } = config;
  const metrics = config.http.metrics && (await openMetrics(config.http.metrics, log));
  const observer = metrics?.observer ?? idleObserver;
  const sending = createSending({
    component,
    domains,
    mode: deliveryConfig.mode,
    limits,
    delivery: deliveryConfig,
    rooms: config.rooms,
    log,
    observer,
  });
  observer.watchInFlight(sending.inFlight);
  const store = config.store && createStore(config.store, log);
  if (store !== undefined) observer.watchStore(store.failure);
  const login = {
    cacheMs: config.auth.cacheMs,
    throttle: createThrottle(config.auth.throttle, store?.counters),
    refusalStepMs,
    onFailure: (failure: object) => log.warn(failure, 'login failed'),
    onResult: observer.onLogin,
  };
  const permissions = createPermissions(config.permissions.xmppgateway, grants);
  const users = createUsers({
    ...login,
    permissions,
    passwordCheck: observer.measurePasswordCheck(
      createPasswordCheck({
        ...config.c2s,
        timeoutMs: config.auth.timeoutMs,
        maxConcurrent: maxPasswordChecks,
      }),
    ),
  });
  const apiAccounts = createApiAccounts({ ...login, accounts: config.apiAccounts });
  const readiness = (): Readiness => {
    const sendingNow = sending.readiness();
    const failure = store?.failure();
    return sendingNow.ready && failure !== undefined
      ? { ...sendingNow, degraded: describeDegraded(failure) }
      : sendingNow;
  };
  const app = createApp({
    domains,
    limits,
    bodyBudget: createBodyBudget(),
    componentDomain: component.domain,
    trustedProxies: config.http.trustedProxies,
    log,
    users,
    apiAccounts,
    permissions,
    buildStanza: sending.buildStanza,
    deliver: observer.measureDelivery(sending.deliver),
    answers: store
      ? createSharedAnswerStore(store.claims, longestSendingMs(deliveryConfig))
      : createAnswerStore(),
    readiness,
    observeRequest: observer.onRequest,
    docs: config.http.docs ? readDocs(fileURLToPath(docsDirectory)) : undefined,
    openApi: createOpenApi(readFileSync(openApiFile, 'utf8'), limits, config.http.docs),
  });
  const events = createListenerEvents(log, observer);
  const listener = createListener(app.callback(), config.http, events);

  return {
    start: async () => {
      if (metrics !== undefined) {
        await metrics.listener.start().catch(failListening('http.metrics', metrics.address));
      }
      const port = await listener.start().catch(async (error: unknown) => {
        await metrics?.listener.stop();
        return failListening('http', config.http)(error);
      });
      sending.start();
      store?.start();
      grants?.watch((error) => log.error({ err: error }, 'grants not read: the old ones stay'));
      return port;
    },
    stop: async () => {
      grants?.stop();
      sending.finish();
      await listener.stop(deliveryConfig.confirmTimeoutMs + settleMs);
      await sending.stop();
      store?.stop();
      await metrics?.listener.stop();
    },
    reload: (next) => {
      const { tls } = next.http;
      if (tls !== undefined && config.http.tls !== undefined) {
        // First, because only this can fail: then the accounts stay as they are, too.
        listener.renewCertificate(tls);
        log.info({ validTo: new X509Certificate(tls.cert).validTo }, 'certificate reloaded');
      }
      apiAccounts.update(next.apiAccounts);
      permissions.update(next.permissions.xmppgateway);
      sending.forgetSizes();
    },
    readiness,
  };
}

function failListening(...where: [key: ListenError['key'], address: ListenError['address']]) {
  return (error: unknown): never => {
    throw new ListenError(...where, error);
  };
}

/** What measures is loaded only where somebody reads it. */
async function openMetrics(
  address: NonNullable<Config['http']['metrics']>,
  log: Logger,
): Promise<{
  readonly address: ListenError['address'];
  readonly observer: Observer;
  readonly listener: MetricsListener;
}> {
  const { createMetrics } = await import('./metrics.ts');
  const metrics = createMetrics();
  const events = createListenerEvents(log, metrics);
  const listener = createMetricsListener({ ...address, read: metrics.read, events });
  return { address, observer: metrics, listener };
}

function createListenerEvents(log: Logger, { onConnectionDropped }: Observer): ListenerEvents {
  const logDrop = createDropLog(log);
  return {
    onDrop: (reason) => {
      logDrop(reason);
      onConnectionDropped(reason);
    },
    onRefused: (refused) => log.info(refused, 'request refused'),
  };
}

/** Longer than any message waits for its fate, also one that has to enter a room first. */
function longestSendingMs({ confirmTimeoutMs, remoteConfirmMs }: Config['delivery']): number {
  return 2 * confirmTimeoutMs + remoteConfirmMs + 10_000;
}

function describeDegraded(failure: string): string {
  return `the store is away (${failure}): requests with an Idempotency-Key are refused, and failed logins are counted by each process alone`;
}
