import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import type { FoundFault } from './errors.ts';
import { configSchema } from './schema.ts';

const { component, domains, c2s, http, api_accounts, permissions, delivery, limits } =
  configSchema.shape;
const account = api_accounts.unwrap().element;

/** What is right of a value, `undefined` for the rest: a fault must not hide another elsewhere. */
function right<T extends z.ZodType>(schema: T) {
  return schema.optional().catch(undefined);
}

function rightOf<T extends z.ZodType>(list: z.ZodArray<T>) {
  return right(z.array(right(list.element)));
}

const tls = http.unwrap().shape.tls.unwrap().shape;
const metrics = http.unwrap().shape.metrics.unwrap().shape;
const bytesInFlight = delivery.unwrap().shape.max_in_flight_bytes;
const stanzaBytes = limits.unwrap().shape.stanza_bytes;

const usable = z.object({
  component: right(
    z.object({
      domain: right(component.shape.domain),
      host: right(component.shape.host),
      secret: z.unknown().optional(),
      secret_file: right(component.shape.secret_file),
    }),
  ),
  domains: rightOf(domains),
  c2s: right(
    z.object({
      host: right(c2s.unwrap().shape.host),
      security: right(c2s.unwrap().shape.security),
      ca_file: right(c2s.unwrap().shape.ca_file),
    }),
  ),
  http: right(
    z.object({
      host: right(http.unwrap().shape.host),
      port: right(http.unwrap().shape.port),
      insecure: right(http.unwrap().shape.insecure),
      metrics: right(z.object({ host: right(metrics.host), port: right(metrics.port) })),
      tls: right(z.object({ cert_file: right(tls.cert_file), key_file: right(tls.key_file) })),
    }),
  ),
  api_accounts: rightOf(
    z.array(
      z.object({
        username: right(account.shape.username),
        domains: rightOf(account.shape.domains),
      }),
    ),
  ),
  permissions: right(
    z.object({ xmppgateway: rightOf(permissions.unwrap().shape.xmppgateway.unwrap()) }),
  ),
  delivery: right(z.object({ max_in_flight_bytes: right(bytesInFlight) })),
  limits: right(z.object({ stanza_bytes: right(stanzaBytes) })),
});

/** The parts of a configuration that can be judged whatever is wrong with the others. */
export type UsableParts = z.output<typeof usable>;

/** Picks the parts that are right; `undefined` when it is no mapping at all. */
export function findUsableParts(source: unknown): UsableParts | undefined {
  return usable.safeParse(source).data;
}

/** The faults that show only when keys are compared with one another. */
export function findRuleFaults(parts: UsableParts): FoundFault[] {
  return [
    ...checkSecret(parts),
    ...checkDomains(parts),
    ...checkAccountNames(parts),
    ...checkDomainsServed(parts),
    ...checkPlaintext(parts),
    ...checkHttp(parts),
    ...checkMetrics(parts),
    ...checkRoomInFlight(parts),
  ];
}

function* checkSecret({ component: own }: UsableParts): Generator<FoundFault> {
  if (own === undefined) return;
  const hasSecret = 'secret' in own;
  const hasFile = 'secret_file' in own;
  if (hasSecret !== hasFile) return;
  const got = () => (hasSecret ? 'both' : 'neither');
  yield { path: ['component', 'secret'], expected: 'either it or component.secret_file', got };
}

function* checkDomains(parts: UsableParts): Generator<FoundFault> {
  const own = parts.component?.domain;
  for (const [index, name] of parts.domains?.entries() ?? []) {
    if (name === undefined) continue;
    const path = ['domains', index];
    if (parts.domains?.indexOf(name) !== index) yield { path, expected: 'each domain only once' };
    // Recipients in the component's own domain are refused: no user can live there.
    if (own !== undefined && (name === own || name.endsWith(`.${own}`))) {
      yield { path, expected: 'a domain of users, neither component.domain nor one below it' };
    }
  }
}

function* checkAccountNames(parts: UsableParts): Generator<FoundFault> {
  const names = parts.api_accounts?.map((entry) => entry?.username) ?? [];
  for (const [index, name] of names.entries()) {
    if (name === undefined || names.indexOf(name) === index) continue;
    yield {
      path: ['api_accounts', index, 'username'],
      expected: 'a name that no other account has',
    };
  }
}

function* checkDomainsServed(parts: UsableParts): Generator<FoundFault> {
  const served = parts.domains;
  // With a fault among the domains it is not known which ones are served.
  if (served === undefined || served.length === 0 || served.includes(undefined)) return;
  const expected = `one of the domains (${served.join(', ')})`;
  for (const [index, entry] of parts.api_accounts?.entries() ?? []) {
    for (const [position, name] of entry?.domains?.entries() ?? []) {
      if (name === undefined || served.includes(name)) continue;
      yield { path: ['api_accounts', index, 'domains', position], expected };
    }
  }
  for (const [index, entry] of parts.permissions?.xmppgateway?.entries() ?? []) {
    if (entry === undefined || served.includes(entry.domain)) continue;
    yield { path: ['permissions', 'xmppgateway', index], expected: `an address in ${expected}` };
  }
}

function* checkPlaintext(parts: UsableParts): Generator<FoundFault> {
  const server = parts.c2s?.host ?? parts.component?.host;
  if (parts.c2s?.security !== 'plaintext' || server === undefined || isLoopback(server)) return;
  const expected = `starttls or tls, because ${server} is not a loopback address`;
  yield { path: ['c2s', 'security'], expected, got: () => 'plaintext' };
}

function* checkHttp(parts: UsableParts): Generator<FoundFault> {
  const { host, insecure } = parts.http ?? {};
  if (host === undefined || insecure !== false || isLoopback(host)) return;
  if (parts.http !== undefined && 'tls' in parts.http) return;
  const expected =
    'a loopback address, or http.tls, or http.insecure: true (passwords cross the network in the clear)';
  yield { path: ['http', 'host'], expected };
}

function* checkMetrics({ http: own }: UsableParts): Generator<FoundFault> {
  const other = own?.metrics;
  if (own?.port === undefined || own.port !== other?.port || own.host !== other.host) return;
  yield { path: ['http', 'metrics', 'port'], expected: 'another port than http.port' };
}

function* checkRoomInFlight(parts: UsableParts): Generator<FoundFault> {
  const room = parts.delivery?.max_in_flight_bytes ?? bytesInFlight.parse(undefined);
  const stanza = parts.limits?.stanza_bytes ?? stanzaBytes.parse(undefined);
  if (room >= stanza) return;
  const expected = `at least limits.stanza_bytes (${stanza})`;
  yield { path: ['delivery', 'max_in_flight_bytes'], expected, got: () => String(room) };
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether an address or name stands for this machine alone, as far as the name itself tells. */
export function isLoopback(name: string): boolean {
  const family = isIP(name);
  if (family === 0) return name.toLowerCase() === 'localhost';
  return loopback.check(name, family === 4 ? 'ipv4' : 'ipv6');
}
