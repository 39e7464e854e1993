import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ProblemPlace, problems } from '../../src/core/errors.ts';
import { type HttpAnswer, type RequestOptions, request } from '../support/clients/http.ts';
import { expectAsDescribed, mask } from '../support/gateway/described-answer.ts';
import { apiAccount, hashApiPassword } from '../support/gateway/gateway.ts';
import { type DescribedOperation, examplesOf, readOperations } from '../support/gateway/openapi.ts';
import { type GatewaySite, startGatewaySite } from '../support/gateway/site.ts';
import { withModule } from '../support/servers/mode-setups.ts';
import { startProsody } from '../support/servers/prosody.ts';
import { type RedisServer, startRedis } from '../support/system/redis.ts';
import { waitUntil } from '../support/system/wait.ts';

const operations = readOperations();
const messageUrls = operations.filter(({ method }) => method === 'POST');
const aclUrls = operations.filter(({ template }) => template.endsWith('/acl'));
const pages = operations.filter((one) => !messageUrls.includes(one) && !aclUrls.includes(one));

/** Its module refuses to speak for ghost. */
const server = {
  domains: ['example.org', 'example.net'],
  extra: {
    ...withModule.extra,
    component: `${withModule.extra?.component}\n  message_gateway_deny = { "ghost@example.org" }`,
  },
};

const settings = {
  api_accounts: [apiAccount.username, 'reports'].map((username) => ({
    username,
    // cheap: an overload takes hundreds of checks
    password_hash: hashApiPassword(apiAccount.password, 10),
    domains: ['example.org'],
    senders: ['alice', 'bot', 'ghost'],
    manage: username === apiAccount.username,
  })),
  permissions: {
    xmppgateway: ['bot@example.org', 'ghost@example.org'],
    state_file: 'grants.json',
  },
  delivery: { mode: 'plain', max_in_flight: 2, confirm_timeout_ms: 3000 },
  auth: { cache_ms: 600_000, throttle: { per_user: 2, per_address: 1000 } },
};

let redis: RedisServer;
let site: GatewaySite;

beforeAll(async () => {
  redis = await startRedis();
  site = await startGatewaySite(startProsody, server, { ...settings, store: redis.url });
  await untilShared();
  for (const user of ['carol', 'ghost']) await site.server.register(user, `${user}-secret`);
});
afterAll(async () => {
  await site?.stop();
  await redis?.stop();
});

async function untilShared(): Promise<void> {
  const isShared = async (): Promise<boolean> => {
    const answer = await request(`${site.gateway.url}/readyz`);
    return answer.status === 200 && answer.json()['degraded'] === undefined;
  };
  await waitUntil(isShared, { label: 'the gateway to reach the store' });
}

/** A request to a URL that needs a password; what is not said is right. */
interface Asked extends RequestOptions {
  readonly domain?: string;
  readonly sender?: string;
  readonly query?: string;
}

type Ask = (asked?: Asked) => Promise<HttpAnswer>;

function createAsk({ id }: DescribedOperation): Ask {
  const isApi = id === 'sendAsUser';
  return ({ domain = 'example.org', sender = 'alice', query = '', ...options } = {}) => {
    const path = `/api/1.0/xmppdomains/${domain}/gateway/messages${isApi ? `/${sender}` : ''}`;
    return request(`${site.gateway.url}${path}${query}`, {
      method: 'POST',
      auth: isApi ? [apiAccount.username, apiAccount.password] : ['bot', 'bot-secret'],
      type: 'application/json',
      body: '{"to": "bob@example.org", "body": "x"}',
      ...options,
    });
  };
}

/** The problems that an operation can answer with, except `internal`: no request can bring about a bug. */
type CodeAt<Place extends ProblemPlace> = Exclude<
  {
    [Code in keyof typeof problems]: Place & (typeof problems)[Code]['at'][number] extends never
      ? never
      : Code;
  }[keyof typeof problems],
  'internal'
>;

/** Brings a problem about; `id` tells one operation's keys from another's. */
type Provocation = (ask: Ask, id: string) => Promise<HttpAnswer>;

type Provocations<Code extends string> = Readonly<Record<Code, Provocation>>;

function findProvocation(all: Provocations<string>, code: string): Provocation {
  const provocation = all[code];
  if (provocation === undefined) throw new Error(`expected a provocation of ${code}: add it here`);
  return provocation;
}

const provocations: Provocations<CodeAt<'user' | 'api'>> = {
  'malformed-body': (ask) => ask({ body: '{"to": "bob@example.org", "body": "Hi\n"}' }),
  unauthenticated: (ask) => ask({ auth: '' }),
  'permission-missing': (ask) => ask({ auth: ['carol', 'carol-secret'] }),
  'domain-not-allowed': (ask) => ask({ domain: 'example.net' }),
  'sender-not-allowed': (ask) => ask({ sender: 'mallory' }),
  'sender-refused': (ask, id) =>
    ask(id === 'sendAsUser' ? { sender: 'ghost' } : { auth: ['ghost', 'ghost-secret'] }),
  'unknown-domain': (ask) => ask({ domain: 'other.example' }),
  'not-found': (ask) => ask({ domain: '%ff' }),
  'method-not-allowed': (ask) => ask({ method: 'GET' }),
  'idempotency-in-progress': async (ask, id) => (await stall(ask, id)).inProgress,
  'too-large': (ask) => ask({ body: ' '.repeat(262_145) }),
  'unsupported-media-type': (ask) => ask({ type: 'text/html' }),
  'cross-origin': (ask) =>
    ask({ type: 'text/plain', headers: { origin: 'https://foreign.example' } }),
  'invalid-message': (ask) => ask({ body: '{"to": "bob@example.org", "body": 1}' }),
  'idempotency-mismatch': async (ask, id) => {
    const headers = { 'idempotency-key': id };
    await ask({ headers });
    return ask({ headers, body: '{"to": "bob@example.org"}' });
  },
  'too-many-requests': async (ask, id) => {
    const auth = [`pest-${id.toLowerCase()}`, 'wrong'] as const;
    await ask({ auth });
    await ask({ auth });
    return ask({ auth });
  },
  bounced: (ask) => ask({ body: '{"to": "nobody@example.org", "body": "x"}' }),
  'xmpp-unavailable': (ask) => whileDown(ask, () => ask()),
  'authentication-unavailable': (ask) => whileDown(ask, () => ask({ auth: ['dora', 'x'] })),
  overloaded: async (ask, id) => (await stall(ask, id)).overloaded,
  'store-unavailable': async (ask, id) => {
    await ask(); // so that the credentials are known
    await redis.halt();
    try {
      return await ask({ headers: { 'idempotency-key': `away-${id}` } });
    } finally {
      await redis.resume();
      await untilShared();
    }
  },
  'delivery-unknown': async (ask, id) => (await stall(ask, id)).unknown,
};

interface Stalled {
  readonly inProgress: HttpAnswer;
  readonly overloaded: HttpAnswer;
  readonly unknown: HttpAnswer;
}

const stalled = new Map<string, Promise<Stalled>>();

/** Three answers of a gateway whose server hangs. */
function stall(ask: Ask, id: string): Promise<Stalled> {
  const known = stalled.get(id) ?? askWhileStalled(ask, id);
  stalled.set(id, known);
  return known;
}

async function askWhileStalled(ask: Ask, id: string): Promise<Stalled> {
  await ask(); // so that the credentials are known
  site.server.kill('SIGSTOP');
  try {
    const headers = { 'idempotency-key': `stalled-${id}` };
    const both = [ask({ headers }), ask({ headers })];
    const inProgress = await Promise.race(both);
    const more = [ask(), ask(), ask()];
    const answers = await Promise.all(both);
    const unknown = answers.find(({ status }) => status !== inProgress.status) ?? inProgress;
    // Two messages at most are in flight.
    const overloaded = (await Promise.all(more)).find(({ status }) => status === 503) ?? inProgress;
    return { inProgress, overloaded, unknown };
  } finally {
    site.server.kill('SIGCONT');
  }
}

async function whileDown<T>(ask: Ask, run: () => Promise<T>): Promise<T> {
  await ask(); // so that the credentials are known
  await site.server.halt();
  try {
    const isReady = async () => (await request(`${site.gateway.url}/readyz`)).status === 200;
    await waitUntil(async () => !(await isReady()), { label: 'the stream to be down' });
    return await run();
  } finally {
    await site.server.resume();
    await site.gateway.waitUntilReady();
  }
}

const byId = (list: readonly DescribedOperation[]) => list.map((one) => [one.id, one] as const);

function namesOf(operation: DescribedOperation, mediaType: string): string[] {
  const shown = operation.responses.flatMap(examplesOf);
  return shown.flatMap(([type, name]) => (type === mediaType ? [name] : []));
}

function encode(type: string, value: unknown): string {
  if (typeof value === 'string') return value;
  return type === 'application/x-www-form-urlencoded'
    ? new URLSearchParams(value as Record<string, string>).toString()
    : JSON.stringify(value);
}

describe.each(byId(messageUrls))('the messages of %s', (_, operation) => {
  const ask = createAsk(operation);
  const requests = Object.entries(operation.requestContent).flatMap(([type, { examples = {} }]) =>
    Object.entries(examples).map(([name, { value }]) => [type, name, value] as const),
  );

  test('have an answer to each request, and only those', () => {
    const names = new Set(requests.map(([, name]) => name));
    expect(names.size).toBeGreaterThan(5);
    expect(namesOf(operation, 'application/json')).toEqual([...names, 'partial']);
    expect([
      ...namesOf(operation, 'application/xml'),
      ...namesOf(operation, 'application/xml-external-parsed-entity'),
    ]).toEqual([...[...names].filter((name) => name !== 'list'), 'list']);
  });

  test.each(requests)('%s %s', async (type, name, value) => {
    const body = encode(type, value);
    const query = type === 'text/plain' ? ['to=bob@example.org'] : [];
    expectAsDescribed(
      await ask({ type, body, query: `?${[...query, 'dry_run=true'].join('&')}` }),
      operation,
      name,
    );
    const answer = await ask({ type, body, query: `?${query.join('&')}` });
    expectAsDescribed(answer, operation, name);
    const [first] = (answer.json()['results'] ?? [answer.json()]) as { id: string }[];
    await site.bob.waitForMessage(String(first?.id));
  });

  test('one of a list may be refused', async () => {
    const body = '{"to": ["bob@example.org", "nobody@example.org"], "body": "x"}';
    expectAsDescribed(await ask({ body }), operation, 'partial');
  });
});

describe.each(byId(messageUrls))('the problems of %s', (id, operation) => {
  const ask = createAsk(operation);
  // API accounts do without the server's passwords.
  const unasked = ['internal', ...(id === 'sendAsUser' ? ['authentication-unavailable'] : [])];
  const problems = namesOf(operation, 'application/problem+json').filter(
    (name) => !unasked.includes(name),
  );

  test.each(problems)('%s', async (code) => {
    const answer = await findProvocation(provocations, code)(ask, id);
    expect(answer.json()).toMatchObject({ code });
    expectAsDescribed(answer, operation, code);
  });
});

function createAskAcl({ method }: DescribedOperation): Ask {
  return ({ domain = 'example.org', sender = 'alice', query = '', ...options } = {}) =>
    request(`${site.gateway.url}/api/1.0/xmppdomains/${domain}/users/${sender}/acl${query}`, {
      method,
      auth: [apiAccount.username, apiAccount.password],
      ...(method === 'PUT'
        ? { type: 'application/json', body: '{"acl": {"xmppgateway": false}}' }
        : {}),
      ...options,
    });
}

const aclProvocations: Provocations<CodeAt<'acl' | 'acl-change'>> = {
  ...provocations,
  'management-not-allowed': (ask) => ask({ auth: ['reports', apiAccount.password] }),
  'method-not-allowed': (ask) => ask({ method: 'POST' }),
  'granted-in-configuration': (ask) => ask({ sender: 'bot' }),
  'store-unavailable': async (ask) => {
    const stateFile = join(site.gateway.directory, 'grants.json');
    writeFileSync(stateFile, '{');
    const answer = await ask();
    rmSync(stateFile);
    return answer;
  },
  'unsupported-media-type': (ask) => ask({ type: 'application/xml' }),
  'invalid-message': (ask, id) =>
    ask(id === 'readAcl' ? { query: '?x=1' } : { body: '{"acl": {"xmppgateway": "yes"}}' }),
  overloaded: async (ask, id) => {
    const attempts = Array.from({ length: 400 }, (_, index) =>
      ask({ auth: [`${id}${index}`, 'x'] }),
    );
    const answers = await Promise.all(attempts);
    const refused = answers.find(({ status }) => status === 503);
    if (refused === undefined) throw new Error('expected a refusal');
    return refused;
  },
};

describe('the permissions', () => {
  const [read, change] = aclUrls;
  if (read === undefined || change === undefined) throw new Error('expected GET and PUT');
  const requests = Object.entries(change.requestContent).flatMap(([type, { examples = {} }]) =>
    Object.entries(examples).map(([name, { value }]) => [type, name, value] as const),
  );

  test('have an answer to each request, and only those', () => {
    const names = requests.map(([, name]) => name);
    expect(names).toHaveLength(2);
    expect(namesOf(read, 'application/json')).toEqual(names);
    expect(namesOf(change, 'application/json')).toEqual(names);
  });

  test.each(requests)('%s %s', async (type, name, value) => {
    const body = JSON.stringify(value);
    expectAsDescribed(await createAskAcl(change)({ type, body }), change, name);
    expectAsDescribed(await createAskAcl(read)(), read, name);
  });
});

describe.each(byId(aclUrls))('the problems of %s', (id, operation) => {
  const ask = createAskAcl(operation);
  const problems = namesOf(operation, 'application/problem+json').filter(
    (name) => name !== 'internal',
  );

  test.each(problems)('%s', async (code) => {
    const answer = await findProvocation(aclProvocations, code)(ask, id);
    expect(answer.json()).toMatchObject({ code });
    expectAsDescribed(answer, operation, code);
  });
});

describe('the examples of the pages', () => {
  test.each(pages.map((page) => [page.method, page.path, page] as const))(
    '%s %s',
    async (method, path, page) => {
      const answer = await request(`${site.gateway.url}${path}`, { method });
      const described = page.responses.find(({ status }) => status === answer.status);
      expect(answer.status).toBe(200);
      const content = Object.entries(described?.content ?? {});
      const type = answer.headers['content-type']?.replace(/;.*/, '');
      expect(content.map(([name]) => name)).toContain(type);
      const hasExample = content.some(([, { example }]) => example !== undefined);
      if (method === 'GET' && hasExample) expectAsDescribed(answer, page, '');
      const refused = await request(`${site.gateway.url}${path}`, { method: 'POST' });
      expectAsDescribed(refused, page, 'method-not-allowed');
    },
  );

  test('/readyz while the XMPP server is down', async () => {
    const page = pages.find(({ id }) => id === 'readyz');
    const [ask] = messageUrls.map(createAsk);
    if (page === undefined || ask === undefined) throw new Error('expected /readyz');
    const expected = page.responses.find(({ status }) => status === 503)?.content;
    const reason = mask(expected?.['application/json']?.example);
    await whileDown(ask, () =>
      waitUntil(
        async () => {
          const answer = await request(`${site.gateway.url}/readyz`);
          return JSON.stringify(mask(answer.body)) === JSON.stringify(reason);
        },
        { label: `the answer ${JSON.stringify(reason)}` },
      ),
    );
  });

  test.each(['/problems/x', '/docs/x'])('not-found of %s', async (path) => {
    const page = pages.find((it) => it.template.startsWith(path.slice(0, -1)) && it.path !== path);
    if (page === undefined) throw new Error('expected a page');
    expectAsDescribed(await request(`${site.gateway.url}${path}`), page, 'not-found');
  });
});
