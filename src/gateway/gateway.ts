import { X509Certificate } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { type ApiAccounts, createApiAccounts } from '../auth/api-accounts.ts';
import { createPermissions, type Grants, type Permissions } from '../auth/permissions.ts';
import { createThrottle } from '../auth/throttle/throttle.ts';
import { createUsers, type Users } from '../auth/users.ts';
import type { Config } from '../config/config.ts';
import type { Readiness } from '../core/message/readiness.ts';
import { createApp } from '../http/app.ts';
import type { AnswerStore } from '../http/idempotency/answer-once.ts';
import { createAnswerStore } from '../http/idempotency/memory-store.ts';
import { createSharedAnswerStore } from '../http/idempotency/shared-store.ts';
import { createBodyBudget } from '../http/request/body.ts';
import { createOpenApi, readDocs } from '../http/routes/docs.ts';
import { createDropLog } from '../http/server/connections.ts';
import { createListener, type Listener, type ListenerEvents } from '../http/server/listener.ts';
import { createStore, type Store } from '../store/store.ts';
import { createTemplates, readBuiltInTemplates, type Templates } from '../templates/templates.ts';
import { createPasswordCheck } from '../xmpp/sasl/password-check.ts';
import { createTransport, type Transport } from '../xmpp/transport.ts';
import { createMetricsListener, type MetricsListener } from './metrics-listener.ts';
import { idleObserver, type Observer } from './observer.ts';

/** A listener cannot start at the address under `key` of the configuration; the cause says why. */
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
  /** Listens for HTTP and starts to connect; resolves with the TCP port, rejects with ListenError. */
  start(): Promise<number>;
  /** Stops accepting requests, finishes what is in flight, closes the stream. */
  stop(): Promise<void>;
  /** Applies the API accounts, permissions, templates and certificate of another configuration. */
  reload(config: Pick<Config, 'apiAccounts' | 'permissions' | 'templates' | 'http'>): void;
  readonly readiness: () => Readiness;
}

/** Where the build puts the page at /docs, the built-in templates and the description of the API. */
const docsDirectory = new URL('docs', import.meta.url);
const templatesDirectory = new URL('templates', import.meta.url);
const openApiFile = new URL('openapi.json', import.meta.url);
const packageFile = new URL('../package.json', import.meta.url);

/** Each password check opens a connection to the XMPP server. */
const maxPasswordChecks = 16;

/** Longer than a password check takes, unless the machine is overloaded. */
const refusalStepMs = 100;

/** Deadlines are checked once a second, so a 504 may be that late; it must not be cut off. */
const settleMs = 1500;

/** Composes the parts; this is the only place where they meet. `grants` come from the state file. */
export async function createGateway(
  config: Config,
  log: Logger,
  grants: Grants | undefined,
): Promise<Gateway> {
  const { component, domains, delivery, limits, rooms } = config;
  const metrics = config.http.metrics && (await openMetrics(config.http.metrics, log));
  const observer = metrics?.observer ?? idleObserver;
  const transport = createTransport({
    component,
    domains,
    mode: delivery.mode,
    limits,
    delivery,
    rooms,
    log,
    observer,
  });
  observer.watchInFlight(transport.inFlight);
  const store = openStore(config, log);
  if (store !== undefined) observer.watchStore(store.failure);
  const permissions = createPermissions(config.permissions.xmppgateway, grants);
  const callers = createCallers(config, { log, observer, permissions, store });
  const readiness = createReadiness(transport, store);
  const templates = loadTemplates(config);
  const stopping = new AbortController();
  // Each request with many lines has one.
  setMaxListeners(0, stopping.signal);
  const app = createApp({
    ...callers,
    templates,
    domains,
    limits,
    bodyBudget: createBodyBudget(),
    componentDomain: component.domain,
    trustedProxies: config.http.trustedProxies,
    log,
    permissions,
    stopping: stopping.signal,
    isForRoom: transport.isForRoom,
    confirmTimeoutMs: delivery.confirmTimeoutMs,
    buildStanza: transport.buildStanza,
    deliver: observer.measureDelivery(transport.deliver),
    answers: createAnswers(store, delivery),
    readiness,
    observeRequest: observer.onRequest,
    docs: config.http.docs ? readDocs(fileURLToPath(docsDirectory), limits, domains) : undefined,
    openApi: createOpenApi(readFileSync(openApiFile, 'utf8'), limits, config.http.docs),
  });
  const listener = createListener(app.callback(), config.http, createListenerEvents(log, observer));

  return {
    start: async () => {
      const port = await startListening(listener, metrics, config.http);
      transport.start();
      store?.start();
      grants?.watch((error) => log.error({ err: error }, 'grants not read: the old ones stay'));
      return port;
    },
    stop: async () => {
      grants?.stop();
      transport.finish();
      stopping.abort();
      await listener.stop(delivery.confirmTimeoutMs + settleMs);
      await transport.stop();
      store?.stop();
      await metrics?.listener.stop();
    },
    reload: (next) => {
      // Only this can fail, so it comes first: if it does, the accounts must not change either.
      renewCertificate(listener, config.http, next.http, log);
      templates.update(next.templates);
      callers.apiAccounts.update(next.apiAccounts);
      permissions.update(next.permissions.xmppgateway);
      transport.forgetSizes();
      transport.lookForModules();
    },
    readiness,
  };
}

function loadTemplates({ templates, limits }: Config): Templates {
  const builtIn = readBuiltInTemplates(fileURLToPath(templatesDirectory));
  return createTemplates(builtIn, templates, limits.stanzaBytes);
}

function renewCertificate(
  listener: Listener,
  before: Config['http'],
  { tls }: Config['http'],
  log: Logger,
): void {
  if (tls === undefined || before.tls === undefined) return;
  listener.renewCertificate(tls);
  log.info({ validTo: new X509Certificate(tls.cert).validTo }, 'certificate reloaded');
}

/** What a login depends on, besides the configuration. */
interface CallerPorts {
  readonly log: Logger;
  readonly observer: Observer;
  readonly permissions: Permissions;
  readonly store: Store | undefined;
}

/** Composes the two kinds of callers: XMPP users and API accounts. */
function createCallers(
  { c2s, auth, apiAccounts: accounts }: Config,
  { log, observer, permissions, store }: CallerPorts,
): { readonly users: Users; readonly apiAccounts: ApiAccounts } {
  const { cacheMs, timeoutMs } = auth;
  const login = {
    cacheMs,
    throttle: createThrottle(auth.throttle, store?.counters),
    refusalStepMs,
    onFailure: (failure: object) => log.warn(failure, 'login failed'),
    onResult: observer.onLogin,
  };
  const check = createPasswordCheck({ ...c2s, timeoutMs, maxConcurrent: maxPasswordChecks });
  const passwordCheck = observer.measurePasswordCheck(check);
  return {
    users: createUsers({ ...login, permissions, passwordCheck }),
    apiAccounts: createApiAccounts({ ...login, accounts }),
  };
}

function createReadiness(
  transport: Pick<Transport, 'readiness'>,
  store: Store | undefined,
): () => Readiness {
  return () => {
    const now = transport.readiness();
    const failure = store?.failure();
    return now.ready && failure !== undefined
      ? { ...now, degraded: describeDegraded(failure) }
      : now;
  };
}

/** Starts both listeners or neither. */
async function startListening(
  listener: Listener,
  metrics: OpenMetrics | undefined,
  address: ListenError['address'],
): Promise<number> {
  await metrics?.listener.start().catch(failListening('http.metrics', metrics.address));
  return listener.start().catch(async (error: unknown) => {
    await metrics?.listener.stop();
    return failListening('http', address)(error);
  });
}

function failListening(...where: [key: ListenError['key'], address: ListenError['address']]) {
  return (error: unknown): never => {
    throw new ListenError(...where, error);
  };
}

interface OpenMetrics {
  readonly address: ListenError['address'];
  readonly observer: Observer;
  readonly listener: MetricsListener;
}

/** Loads the metrics only if the configuration asks for them. */
async function openMetrics(
  address: NonNullable<Config['http']['metrics']>,
  log: Logger,
): Promise<OpenMetrics> {
  const { createMetrics } = await import('./metrics.ts');
  const { version }: { version: string } = JSON.parse(readFileSync(packageFile, 'utf8'));
  const metrics = createMetrics(version);
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

function openStore(config: Config, log: Logger): Store | undefined {
  const { store: url, storeSentinels: sentinels, storeTls: tls } = config;
  return url && createStore({ url, sentinels, tls }, log);
}

function createAnswers(store: Store | undefined, delivery: Config['delivery']): AnswerStore {
  return store === undefined
    ? createAnswerStore()
    : createSharedAnswerStore(store.claims, longestSendingMs(delivery));
}

/** Longer than the slowest message takes, which is one that has to enter a room first. */
function longestSendingMs({ confirmTimeoutMs, remoteConfirmMs }: Config['delivery']): number {
  return 2 * confirmTimeoutMs + remoteConfirmMs + 10_000;
}

function describeDegraded(failure: string): string {
  return `the store cannot be used (${failure}): requests with an Idempotency-Key are refused, and failed logins are counted by each process alone`;
}
