import { dirname, resolve } from 'node:path';
import type { ApiAccountOptions } from '../auth/api-accounts.ts';
import type { MessageLimits } from '../core/message/message.ts';
import type { Mode } from '../core/message/mode.ts';
import { Secret } from '../core/secret.ts';
import { findRuleFaults, findUsableParts } from './cross-checks.ts';
import { ConfigError, type ConfigFault } from './errors.ts';
import { type ConfigFiles, readConfigFiles, readText, reasonOf } from './files.ts';
import { type ConfigValues, configSchema } from './schema.ts';
import { parseConfigSource } from './yaml.ts';
import { locate, readIssue } from './zod-issues.ts';

export { ConfigError, type ConfigFault } from './errors.ts';
export { type ConfigKey, configKeys } from './schema.ts';

/** The configuration, complete and valid; frozen to its depths. Domains and JIDs are normalised. */
export interface Config {
  readonly component: {
    readonly domain: string;
    readonly host: string;
    readonly port: number;
    readonly secret: Secret;
  };
  readonly domains: readonly string[];
  readonly c2s: {
    readonly host: string;
    readonly port: number;
    readonly security: 'starttls' | 'tls' | 'plaintext';
    /** CA certificates in PEM, in place of the system's. */
    readonly ca: string | undefined;
  };
  readonly http: {
    readonly host: string;
    readonly port: number;
    /** Certificate and private key in PEM. */
    readonly tls: { readonly cert: string; readonly key: Secret } | undefined;
    readonly insecure: boolean;
    /** IP addresses and CIDR networks. */
    readonly trustedProxies: readonly string[];
    /** Where Prometheus may read; undefined for nowhere. */
    readonly metrics: { readonly host: string; readonly port: number } | undefined;
    /** Whether /docs is there. */
    readonly docs: boolean;
  };
  readonly apiAccounts: readonly ApiAccountOptions[];
  readonly permissions: {
    /** Bare JIDs and `*@domain`. */
    readonly xmppgateway: readonly string[];
    /** Absolute path of the file that keeps what is granted besides. */
    readonly stateFile: string | undefined;
  };
  readonly delivery: {
    readonly confirmTimeoutMs: number;
    readonly silenceTimeoutMs: number;
    readonly maxInFlight: number;
    readonly maxInFlightBytes: number;
    readonly mode: Mode | 'auto';
    readonly remoteConfirmMs: number;
  };
  readonly rooms: {
    readonly idleMs: number;
    /** By the bare JID of the room. */
    readonly passwords: Readonly<Record<string, Secret>>;
  };
  readonly auth: {
    readonly cacheMs: number;
    readonly timeoutMs: number;
    readonly throttle: {
      readonly perAddress: number;
      readonly perUser: number;
      readonly windowMs: number;
    };
  };
  readonly limits: Limits;
  /** URL of the Redis that several processes share; undefined for what is kept in memory alone. */
  readonly store: Secret | undefined;
  readonly log: { readonly level: ConfigValues['log']['level'] };
}

/** Caps on requests and on what they hold. */
export type Limits = MessageLimits & { readonly bodyBytes: number };

/** The limits that a file sets. */
export function buildLimits(limits: ConfigValues['limits']): Limits {
  return {
    bodyBytes: limits.body_bytes,
    stanzaBytes: limits.stanza_bytes,
    depth: limits.depth,
    attributes: limits.attributes,
    elements: limits.elements,
    totalAttributes: limits.total_attributes,
    namespaceBytes: limits.namespace_bytes,
    expandedBytes: limits.expanded_bytes,
  };
}

/** Reads a configuration file and the files that it names; rejects with ConfigError, all faults in it. */
export async function loadConfig(path: string): Promise<Config> {
  const source = parseConfigSource(await readConfigText(path));
  if (source.value === undefined) throw new ConfigError(path, source.faults);
  const parsed = configSchema.safeParse(source.value);
  const parts = findUsableParts(source.value) ?? {};
  const found = [...(parsed.error?.issues ?? []).flatMap(readIssue), ...findRuleFaults(parts)];
  const folder = dirname(path);
  const files = await readConfigFiles(parts, folder, found);
  const faults = [...source.faults, ...found.map((fault) => locate(fault, source))];
  if (!parsed.success || faults.length > 0) throw new ConfigError(path, sortByLine(faults));
  return freeze(buildConfig(parsed.data, files, folder));
}

async function readConfigText(path: string): Promise<string> {
  try {
    return await readText(path);
  } catch (error) {
    const expected = 'a configuration file that can be read';
    throw new ConfigError(path, [{ path: '', line: undefined, expected, got: reasonOf(error) }]);
  }
}

function sortByLine(faults: readonly ConfigFault[]): ConfigFault[] {
  return faults.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
}

function buildConfig(values: ConfigValues, files: ConfigFiles, folder: string): Config {
  const { component, domains, c2s, http, permissions, delivery, rooms, auth, limits, log } = values;
  return {
    component: {
      domain: component.domain,
      host: component.host,
      port: component.port,
      secret: buildSecret(component.secret ?? files.secret),
    },
    domains,
    c2s: {
      host: c2s.host ?? component.host,
      port: c2s.port,
      security: c2s.security,
      ca: files.ca,
    },
    http: {
      host: http.host,
      port: http.port,
      tls: buildTls(files),
      insecure: http.insecure,
      trustedProxies: http.trusted_proxies,
      metrics: http.metrics,
      docs: http.docs,
    },
    apiAccounts: values.api_accounts.map((account) => ({
      username: account.username,
      passwordHash: new Secret(account.password_hash),
      domains: account.domains,
      senders: account.senders,
      manage: account.manage,
    })),
    permissions: {
      xmppgateway: permissions.xmppgateway.map(({ pattern }) => pattern),
      stateFile: permissions.state_file && resolve(folder, permissions.state_file),
    },
    delivery: {
      confirmTimeoutMs: delivery.confirm_timeout_ms,
      silenceTimeoutMs: delivery.silence_timeout_ms,
      maxInFlight: delivery.max_in_flight,
      maxInFlightBytes: delivery.max_in_flight_bytes,
      mode: delivery.mode,
      remoteConfirmMs: delivery.remote_confirm_ms,
    },
    rooms: {
      idleMs: rooms.idle_ms,
      passwords: Object.fromEntries(
        Object.entries(rooms.passwords).map(([room, password]) => [room, new Secret(password)]),
      ),
    },
    auth: {
      cacheMs: auth.cache_ms,
      timeoutMs: auth.timeout_ms,
      throttle: {
        perAddress: auth.throttle.per_address,
        perUser: auth.throttle.per_user,
        windowMs: auth.throttle.window_ms,
      },
    },
    limits: buildLimits(limits),
    store: values.store === 'memory' ? undefined : new Secret(values.store),
    log,
  };
}

function buildSecret(text: string | undefined): Secret {
  if (text === undefined) throw new TypeError('a configuration without faults has a secret');
  return new Secret(text);
}

function buildTls({ cert, key }: ConfigFiles): Config['http']['tls'] {
  return cert === undefined || key === undefined ? undefined : { cert, key: new Secret(key) };
}

function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) freeze(member);
  }
  return Object.freeze(value);
}
