import { BlockList, isIP } from 'node:net';
import { z } from 'zod';
import type { Secret } from '../core/secret.ts';
import type { ConfigPath, FoundFault } from './errors.ts';
import { type ConfigValues, configSchema, room } from './schema.ts';

/** The same value with `undefined` in place of every part that is wrong. */
type Usable<T> = T extends Secret
  ? T
  : T extends readonly (infer Item)[]
    ? readonly (Usable<Item> | undefined)[]
    : T extends object
      ? { readonly [Key in keyof T]?: Usable<T[Key]> | undefined }
      : T;

/** The parts of a configuration that are right, whatever is wrong with the others. */
export type UsableParts = Usable<ConfigValues>;

/** What the schema makes of a configuration file. */
export interface ParsedValues {
  /** `undefined` if there are issues. */
  readonly values: ConfigValues | undefined;
  readonly issues: readonly z.core.$ZodIssue[];
  /** Cross-checks go on with these, so that one fault does not hide another. */
  readonly usable: UsableParts;
}

/** Checks each key by itself. */
export function parseValues(source: unknown): ParsedValues {
  let usable: UsableParts = {};
  const schema = configSchema.superRefine(
    (values, { issues }) => {
      const wrong = issues.filter(({ code }) => code !== 'unrecognized_keys');
      if (wrong.some(({ path }) => path === undefined || path.length === 0)) return;
      for (const { path = [] } of wrong) erase(values, path);
      usable = values;
    },
    { when: () => true },
  );
  const { data, error } = schema.safeParse(source);
  return { values: data, issues: error?.issues ?? [], usable };
}

function erase(value: unknown, [step, ...rest]: ConfigPath): void {
  if (step === undefined || typeof value !== 'object' || value === null) return;
  if (rest.length === 0) Reflect.set(value, step, undefined);
  else erase(Reflect.get(value, step), rest);
}

/** The faults that only show when keys are compared with one another. */
export function findCrossFaults(parts: UsableParts): FoundFault[] {
  return [
    ...checkSecret(parts),
    ...checkDomains(parts),
    ...checkAccountNames(parts),
    ...checkServedDomains(parts),
    ...checkPlaintext(parts),
    ...checkInsecure(parts),
    ...checkMetrics(parts),
    ...checkInFlightBytes(parts),
    ...checkStoreTls(parts),
    ...checkSentinels(parts),
  ];
}

function* checkSecret({ component }: UsableParts): Generator<FoundFault> {
  if (component === undefined) return;
  const hasSecret = 'secret' in component;
  const hasFile = 'secret_file' in component;
  if (hasSecret !== hasFile) return;
  const got = () => (hasSecret ? 'both' : 'neither');
  yield { path: ['component', 'secret'], expected: 'either it or component.secret_file', got };
}

function* checkDomains({ component, domains = [] }: UsableParts): Generator<FoundFault> {
  const own = component?.domain;
  for (const [index, name] of domains.entries()) {
    if (name === undefined) continue;
    const path = ['domains', index];
    if (domains.indexOf(name) !== index) yield { path, expected: 'each domain only once' };
    // The gateway refuses recipients in the component's own domain: no user can live there.
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

function* checkServedDomains(parts: UsableParts): Generator<FoundFault> {
  const served = parts.domains;
  // If one of the domains is wrong, we cannot know which one was meant.
  if (served === undefined || served.includes(undefined)) return;
  const expected = `one of the domains (${served.join(', ')})`;
  for (const [index, entry] of parts.api_accounts?.entries() ?? []) {
    for (const [position, name] of entry?.domains?.entries() ?? []) {
      if (name === undefined || served.includes(name)) continue;
      yield { path: ['api_accounts', index, 'domains', position], expected };
    }
  }
  for (const [index, entry] of parts.permissions?.xmppgateway?.entries() ?? []) {
    if (entry === undefined || served.includes(entry.slice(entry.indexOf('@') + 1))) continue;
    yield { path: ['permissions', 'xmppgateway', index], expected: `an address in ${expected}` };
  }
}

function* checkPlaintext(parts: UsableParts): Generator<FoundFault> {
  const server = parts.c2s?.host ?? parts.component?.host;
  if (parts.c2s?.security !== 'plaintext' || server === undefined || isLoopback(server)) return;
  const expected = `starttls or tls, because ${server} is not a loopback address`;
  yield { path: ['c2s', 'security'], expected, got: () => 'plaintext' };
}

function* checkInsecure(parts: UsableParts): Generator<FoundFault> {
  const { host, insecure } = parts.http ?? {};
  if (host === undefined || insecure !== false || isLoopback(host)) return;
  if (parts.http !== undefined && 'tls' in parts.http) return;
  const expected =
    'a loopback address, or http.tls, or http.insecure: true (passwords cross the network in the clear)';
  yield { path: ['http', 'host'], expected };
}

function* checkMetrics({ http }: UsableParts): Generator<FoundFault> {
  const metrics = http?.metrics;
  if (http?.port === undefined || http.port !== metrics?.port || http.host !== metrics.host) return;
  yield { path: ['http', 'metrics', 'port'], expected: 'another port than http.port' };
}

function* checkInFlightBytes({ delivery, limits }: UsableParts): Generator<FoundFault> {
  const inFlight = delivery?.max_in_flight_bytes;
  const stanza = limits?.stanza_bytes;
  if (inFlight === undefined || stanza === undefined || inFlight >= stanza) return;
  const expected = `at least limits.stanza_bytes (${stanza})`;
  yield { path: ['delivery', 'max_in_flight_bytes'], expected, got: () => String(inFlight) };
}

function* checkStoreTls(parts: UsableParts): Generator<FoundFault> {
  const tls = parts.store_tls;
  if (tls === undefined || Object.keys(tls).length === 0) return;
  if (parts.store?.reveal().toLowerCase().startsWith('rediss:') !== true) {
    yield { path: ['store_tls'], expected: 'a store with rediss://, for TLS' };
  }
  for (const [name, other] of [
    ['cert_file', 'key_file'],
    ['key_file', 'cert_file'],
  ] as const) {
    if (!(name in tls) || other in tls) continue;
    yield { path: ['store_tls', name], expected: `store_tls.${other} beside it` };
  }
}

function* checkSentinels(parts: UsableParts): Generator<FoundFault> {
  if ((parts.store_sentinels?.length ?? 0) === 0 || parts.store !== undefined) return;
  yield { path: ['store_sentinels'], expected: 'a store with redis:// or rediss://' };
}

const writtenRooms = z.object({
  rooms: z.object({ passwords: z.record(z.string(), z.unknown()) }),
});

/** Finds rooms that are written in two ways: the schema keeps only one password of each. */
export function* findRepeatedRooms(source: unknown): Generator<FoundFault> {
  const { passwords = {} } = writtenRooms.safeParse(source).data?.rooms ?? {};
  const seen = new Set<string>();
  for (const key of Object.keys(passwords)) {
    const { data: address } = room.safeParse(key);
    if (address === undefined) continue;
    if (seen.has(address)) {
      const path = ['rooms', 'passwords', key];
      yield { path, expected: `${address} only once`, got: () => 'it twice' };
    }
    seen.add(address);
  }
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether an address or name means this machine, as far as that is known without looking it up. */
export function isLoopback(name: string): boolean {
  const family = isIP(name);
  if (family === 0) return name.toLowerCase() === 'localhost';
  return loopback.check(name, family === 4 ? 'ipv4' : 'ipv6');
}
