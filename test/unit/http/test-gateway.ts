import type Koa from 'koa';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import type { ApiAccounts } from '../../../src/auth/api-accounts.ts';
import type { PresentedCredentials } from '../../../src/auth/basic-credentials.ts';
import { createPermissions } from '../../../src/auth/permissions.ts';
import type { Users } from '../../../src/auth/users.ts';
import { defaultLimits } from '../../../src/config/config.ts';
import { GatewayError } from '../../../src/core/errors.ts';
import { createJid } from '../../../src/core/jid/jid.ts';
import {
  type Message,
  type Receipt,
  type Stanza,
  serializeMessage,
} from '../../../src/core/message/message.ts';
import { type AppPorts, createApp } from '../../../src/http/app.ts';
import { createAnswerStore } from '../../../src/http/idempotency/memory-store.ts';
import { createBodyBudget } from '../../../src/http/request/body.ts';
import { createOpenApi } from '../../../src/http/routes/docs.ts';
import {
  type ClientLimits,
  createListener,
  defaultClientLimits,
} from '../../../src/http/server/listener.ts';
import { noEvents } from './serve.ts';

/** A gateway on loopback whose policies are plain functions; everybody has the password `pw`. */
export interface TestGateway {
  readonly port: number;
  readonly delivered: Stanza[];
  /** The client addresses of the logins. */
  readonly addresses: string[];
  readonly logLines: Readonly<Record<string, unknown>>[];
  readonly middleware: readonly Koa.Middleware<never>[];
}

export const userPath = '/api/1.0/xmppdomains/example.org/gateway/messages';
export const apiPath = `${userPath}/juliet`;

export function basic(username: string, password = 'pw'): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** Headers that are valid at both URLs: `bot` is a user with the permission and also an API account. */
export const goodHeaders = { Authorization: basic('bot'), 'Content-Type': 'application/json' };

export const limits = {
  ...defaultLimits,
  bodyBytes: 10_000,
  stanzaBytes: 5_000,
  depth: 8,
  attributes: 8,
  elements: 64,
  totalAttributes: 64,
  namespaceBytes: 100,
  expandedBytes: 20_000,
};

export function buildReceipt({ id, from, to }: Message): Receipt {
  return { id, from, to, mode: 'plain', confirmed: 'server' };
}

export async function startTestGateway(
  overrides: Partial<AppPorts> = {},
  clientLimits: Partial<ClientLimits> = {},
): Promise<TestGateway> {
  const delivered: Stanza[] = [];
  const addresses: string[] = [];
  const logLines: Readonly<Record<string, unknown>>[] = [];
  const app = createApp({
    domains: ['example.org', 'bücher.example'],
    componentDomain: 'gateway.example.org',
    limits,
    bodyBudget: createBodyBudget(),
    trustedProxies: [],
    log: pino({ level: 'debug' }, { write: (line) => void logLines.push(JSON.parse(line)) }),
    users: createUsers(addresses),
    apiAccounts: createApiAccounts(addresses),
    permissions: createPermissions([], undefined),
    stopping: new AbortController().signal,
    isForRoom: async () => false,
    confirmTimeoutMs: 30_000,
    templates: { render: (name, data) => `${name}: ${JSON.stringify(data)}` },
    buildStanza: (message) => serializeMessage(message, limits),
    deliver: async (message) => {
      delivered.push(serializeMessage(message, limits));
      return buildReceipt(message);
    },
    answers: createAnswerStore(),
    readiness: () => ({ ready: true, domains: {} }),
    observeRequest: () => {},
    docs: undefined,
    openApi: createOpenApi('{}', {}, false),
    ...overrides,
  });
  const listener = createListener(
    app.callback(),
    { host: '127.0.0.1', port: 0, tls: undefined },
    noEvents,
    { ...defaultClientLimits(), ...clientLimits },
  );
  const port = await listener.start();
  onTestFinished(() => listener.stop(0));
  return { port, delivered, addresses, logLines, middleware: app.middleware };
}

/** Everybody may log in with `pw`; `stranger` has no permission. */
function createUsers(addresses: string[]): Users {
  return {
    authenticate: async (presented, domain, address) => {
      addresses.push(address);
      return createJid(logIn(presented, domain), domain);
    },
    authorize: ({ local }) => {
      if (local === 'stranger') throw new GatewayError('permission-missing', 'No permission.');
    },
  };
}

/** Everybody may log in with `pw` and send as any user of example.org but `romeo`. */
function createApiAccounts(addresses: string[]): ApiAccounts {
  return {
    authenticate: async (presented, realm, address) => {
      addresses.push(address);
      const username = logIn(presented, realm);
      return {
        username,
        domains: new Set(['example.org']),
        isSender: (user) => user !== 'romeo',
        mayManage: username === 'manager',
      };
    },
    authorize: ({ domains, isSender }, domain, localpart) => {
      if (!domains.has(domain)) throw new GatewayError('domain-not-allowed', 'Not there.');
      if (!isSender(localpart)) throw new GatewayError('sender-not-allowed', 'Not as romeo.');
    },
    authorizeManagement: ({ mayManage }) => {
      if (!mayManage) throw new GatewayError('management-not-allowed', 'Not you.');
    },
    update: () => {},
  };
}

function logIn(presented: PresentedCredentials, realm: string): string {
  if (typeof presented === 'string' || presented.password !== 'pw') {
    throw new GatewayError('unauthenticated', 'Log in.', { realm });
  }
  if (presented.username === 'pest') throw new GatewayError('too-many-requests', 'Later.');
  return presented.username;
}
