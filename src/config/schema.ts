import { isIP, isIPv6 } from 'node:net';
import { z } from 'zod';
import { isPasswordHash } from '../auth/password-hash.ts';
import { parseSenderPattern } from '../auth/patterns.ts';
import { parsePermission } from '../auth/permissions.ts';
import { JidError, parseDomain, parseJid } from '../core/jid/jid.ts';
import { modes } from '../core/message/mode.ts';
import { Secret } from '../core/secret.ts';

// The message of each schema names what is expected: it completes "expected …, got …".

/** A text that `parse` turns into a value; if `parse` throws a JidError, the text is a fault. */
function parsed<T>(expected: string, parse: (text: string) => T) {
  return z.string({ error: expected }).transform((value, context): T => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof JidError)) throw error;
      context.addIssue({ code: 'custom', message: expected });
      return z.NEVER;
    }
  });
}

function text(expected: string, isRight: (value: string) => boolean) {
  return z.string({ error: expected }).refine(isRight, { error: expected });
}

function integer(min: number, max: number, unit = '') {
  const expected = `an integer from ${min} to ${max}${unit && ` (${unit})`}`;
  const isRight = (value: number): boolean =>
    Number.isInteger(value) && value >= min && value <= max;
  return z.number({ error: expected }).refine(isRight, { error: expected });
}

function mapping<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape, {
    error: `a mapping with the keys ${Object.keys(shape).join(', ')}`,
  });
}

function list<T extends z.ZodType>(item: T, expected: string) {
  return z.array(item, { error: expected });
}

function isPrintable(value: string): boolean {
  return value !== '' && !/[\u0000-\u001f\u007f-\u009f]/.test(value);
}

function isHost(value: string): boolean {
  return isIP(value) !== 0 || /^(?=.{1,253}$)\w([\w-]*\w)?(\.\w([\w-]*\w)?)*\.?$/.test(value);
}

function isNetwork(value: string): boolean {
  const [address = '', prefix, ...rest] = value.split('/');
  const bits = isIP(address) === 4 ? 32 : 128;
  const isAddress = isIP(address) !== 0 && !address.includes('%') && rest.length === 0;
  return (
    isAddress && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits))
  );
}

/** A domain that an XMPP server may host. */
const domain = parsed('a domain such as example.org', parseDomain);

/** An IP address, or a name to look up. */
const host = text('a host name or an IP address (IPv6 without brackets)', isHost);

/** The path of a file, relative to the folder of the configuration. */
const file = text('the path of a file', isPrintable);

/** A secret, in the configuration itself or in a file that it names. */
export const secret = text(
  'text without control characters, not empty, in quotes if it looks like a number',
  isPrintable,
).transform((value) => new Secret(value));

/** The users who get a permission. */
const permission = parsed(
  'a bare JID such as bot@example.org, or *@example.org',
  (value) => parsePermission(value).pattern,
);

/** A room (XEP-0045), by its normalised address. */
export const room = parsed(
  'the bare JID of a room such as lobby@conference.example.org',
  (address) => {
    const jid = parseJid(address);
    if (jid.local === undefined || jid.resource !== undefined) throw new JidError('not bare');
    return jid.toString();
  },
);

/** The name of a template, as in a URL. */
const templateName = text('a name of at most 64 small letters, digits and hyphens', (name) =>
  /^[a-z0-9-]{1,64}$/.test(name),
);

/** The name of an API account. */
const username = text(
  'a name without colons and control characters, not empty, in quotes if it looks like a number',
  (name) => isPrintable(name) && !name.includes(':'),
).transform((name) => name.normalize('NFC'));

const port = integer(1, 65_535);
const milliseconds = (min: number, max: number) => integer(min, max, 'milliseconds');
const bytes = (min: number, max: number) => integer(min, max, 'bytes');

const apiAccount = mapping({
  username,
  password_hash: text(
    'a hash made by the hash-password command, such as $scrypt$ln=14,r=8,p=1$…$…',
    isPasswordHash,
  ).transform((hash) => new Secret(hash)),
  domains: list(domain, 'a list of domains').min(1, 'at least one domain'),
  senders: list(
    parsed(
      'a localpart in which * stands for any characters, in quotes if it looks like a number',
      parseSenderPattern,
    ),
    'a list of localparts in which * stands for any characters',
  )
    .min(1, 'at least one sender')
    .default(['*']),
  manage: z.boolean({ error: 'true or false' }).default(false),
});

/**
 * The configuration file: each key with its type, its range and its default. `Config` is derived
 * from it, and the table in docs/configuration.md is compared with it.
 */
export const configSchema = mapping({
  component: mapping({
    domain,
    host: host.default('127.0.0.1'),
    port: port.default(5347),
    secret: secret.optional(),
    secret_file: file.optional(),
  }),
  domains: list(domain, 'a list of domains').min(1, 'at least one domain'),
  c2s: mapping({
    host: host.optional().meta({ default: 'component.host' }),
    port: port.default(5222),
    security: z
      .enum(['starttls', 'tls', 'plaintext'], { error: 'starttls, tls or plaintext' })
      .default('starttls'),
    ca_file: file.optional(),
  }).prefault({}),
  http: mapping({
    host: host.default('127.0.0.1'),
    port: port.default(8080),
    tls: mapping({ cert_file: file, key_file: file }).optional(),
    insecure: z.boolean({ error: 'true or false' }).default(false),
    metrics: mapping({ host: host.default('127.0.0.1'), port: port.default(10_480) }).optional(),
    trusted_proxies: list(
      text('an IP address or a network such as 192.0.2.0/24', isNetwork),
      'a list of IP addresses and networks',
    ).default([]),
    docs: z.boolean({ error: 'true or false' }).default(true),
  }).prefault({}),
  api_accounts: list(apiAccount, 'a list of API accounts').default([]),
  permissions: mapping({
    xmppgateway: list(permission, 'a list of bare JIDs and *@domain').default([]),
    state_file: file.optional(),
  }).prefault({}),
  delivery: mapping({
    confirm_timeout_ms: milliseconds(1, 3_600_000).default(30_000),
    silence_timeout_ms: milliseconds(1, 3_600_000).default(10_000),
    max_in_flight: integer(1, 1_000_000).default(4000),
    max_in_flight_bytes: bytes(1, 1_073_741_824).default(67_108_864),
    mode: z.enum(['auto', ...modes], { error: `auto, ${modes.join(' or ')}` }).default('auto'),
    remote_confirm_ms: milliseconds(0, 600_000).default(0),
  }).prefault({}),
  rooms: mapping({
    idle_ms: milliseconds(1, 86_400_000).default(600_000),
    passwords: z
      .record(room, secret, { error: 'a mapping from the bare JIDs of rooms to their passwords' })
      .default({}),
  }).prefault({}),
  auth: mapping({
    cache_ms: milliseconds(0, 86_400_000).default(60_000),
    timeout_ms: milliseconds(1, 600_000).default(10_000),
    throttle: mapping({
      per_address: integer(1, 1_000_000).default(30),
      per_user: integer(1, 1_000_000).default(10),
      window_ms: milliseconds(1, 86_400_000).default(60_000),
    }).prefault({}),
  }).prefault({}),
  limits: mapping({
    body_bytes: bytes(1, 67_108_864).default(262_144),
    stanza_bytes: bytes(1, 67_108_864).default(262_144),
    // Prosody loses what is nested deeper than 124 levels when it archives it.
    depth: integer(1, 124).default(32),
    attributes: integer(1, 10_000).default(256),
    // What a message costs the servers: `npm run siege:costs` measures it.
    elements: integer(2, 1_000_000).default(512),
    total_attributes: integer(1, 1_000_000).default(1024),
    namespace_bytes: bytes(32, 67_108_864).default(512),
    expanded_bytes: bytes(1024, 1_099_511_627_776).default(524_288),
  }).prefault({}),
  templates: z
    .record(templateName, file, { error: 'a mapping from the names of templates to their files' })
    .default({}),
  /** The URL of the Redis that several processes share; undefined for the memory of this one. */
  store: text(
    'memory, or redis:// or rediss://[user:password@]host:port[/database], user and password percent-encoded',
    (value) => value === 'memory' || isRedisUrl(value),
  )
    .transform((value) => (value === 'memory' ? undefined : new Secret(value)))
    .prefault('memory'),
  /** Redis Sentinels that know the server; then the host in `store` is the name by which they know it. */
  store_sentinels: list(
    // No password: failures name the address.
    text(
      'host:port (IPv6 in brackets)',
      (value) => isRedisUrl(`redis://${value}`) && /^[^@]+:\d+$/.test(value),
    ),
    'a list of host:port',
  ).default([]),
  /** For rediss: the CAs to trust instead of the system's, and the gateway's own certificate. */
  store_tls: mapping({
    ca_file: file.optional(),
    cert_file: file.optional(),
    key_file: file.optional(),
  }).prefault({}),
  log: mapping({
    level: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
        error: 'trace, debug, info, warn, error, fatal or silent',
      })
      .default('info'),
  }).prefault({}),
});

/** The values of all keys, with the defaults filled in. */
export type ConfigValues = z.output<typeof configSchema>;

/** A key that the configuration may hold. */
export interface ConfigKey {
  /** Such as `http.port` or `api_accounts[].username`. */
  readonly path: string;
  /** Whether the mapping that holds the key must have it. */
  readonly isRequired: boolean;
  /** A value, or the name of the key whose value is taken instead; undefined if there is no default. */
  readonly default: unknown;
}

/** Every key that holds a value or a list, in the order of the schema. */
export function configKeys(): readonly ConfigKey[] {
  return keysOf(configSchema, { path: '', isRequired: true, default: undefined });
}

function keysOf(schema: z.core.$ZodType, key: ConfigKey): ConfigKey[] {
  if (schema instanceof z.ZodObject) return membersOf(schema, key.path && `${key.path}.`);
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    const { innerType, defaultValue } = schema.def;
    return keysOf(innerType, { ...key, isRequired: false, default: defaultValue });
  }
  if (schema instanceof z.ZodOptional) {
    const { innerType } = schema.def;
    return keysOf(innerType, { ...key, isRequired: false, default: schema.meta()?.['default'] });
  }
  const element = schema instanceof z.ZodArray ? schema.element : undefined;
  return element instanceof z.ZodObject ? [key, ...membersOf(element, `${key.path}[].`)] : [key];
}

function membersOf(schema: z.ZodObject, prefix: string): ConfigKey[] {
  return Object.entries(schema.shape).flatMap(([name, member]) =>
    keysOf(member, { path: prefix + name, isRequired: true, default: undefined }),
  );
}

const redisUrl =
  /^rediss?:\/\/(?:([^\s/@:]*:[^\s/@:]+)@)?(?:\[([^\]]+)\]|[\w.-]+)(?::(\d{1,5}))?(?:\/\d{0,4})?$/i;

/**
 * Whether it is `redis://[[user]:password@]host[:port][/database]`
 * (https://www.iana.org/assignments/uri-schemes/prov/redis), or the same with `rediss`, for TLS.
 */
export function isRedisUrl(value: string): boolean {
  const parts = redisUrl.exec(value);
  if (parts === null) return false;
  const [, userinfo = '', ipv6 = '::1', portText = '6379'] = parts;
  const isRightPort = Number(portText) >= 1 && Number(portText) <= 65_535;
  return isRightPort && isIPv6(ipv6) && URL.canParse(value) && isDecodable(userinfo);
}

function isDecodable(userinfo: string): boolean {
  try {
    decodeURIComponent(userinfo);
    return true;
  } catch {
    return false;
  }
}
