import { isUtf8 } from 'node:buffer';
import { open } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import {
  ConfigError,
  type ConfigFault,
  describeKind,
  findNearest,
  formatPath,
  reasonOf,
} from '../../config/errors.ts';
import { isRecord } from '../../core/json.ts';
import { quote } from '../../core/text.ts';
import { quoteForShell, type Surroundings, UsageError } from '../command.ts';
import { gatewayUrl, isGatewayUrl, isSameUrl } from './request.ts';

/** Where the gateway is, and who sends: what all messages of a machine may have in common. */
export interface Settings {
  readonly url: string;
  readonly user: string;
  /** Undefined if a terminal can ask for it. */
  readonly password: string | undefined;
  readonly from: string | undefined;
  readonly domain: string | undefined;
}

const keys = ['url', 'user', 'password', 'from', 'domain'] as const;

type Key = (typeof keys)[number];

/** The settings that one place has. */
type Place = { readonly [Name in Key]?: string | undefined };

/** The environment variable of each setting. */
const variables: Readonly<Record<Key, string>> = {
  url: 'XMPP_GATEWAY_URL',
  user: 'XMPP_GATEWAY_USER',
  password: 'XMPP_GATEWAY_PASSWORD',
  from: 'XMPP_GATEWAY_FROM',
  domain: 'XMPP_GATEWAY_DOMAIN',
};

/**
 * Takes each setting from the options, else from the environment, else from the file, by default
 * `~/.config/xmpp-message-gateway/send.yaml`. Rejects with a UsageError if one is missing or wrong, and with a
 * ConfigError if the file is faulty, or if one is named that cannot be read.
 */
export async function findSettings(
  options: Omit<Place, 'password'>,
  namedFile: string | undefined,
  { env, stdin }: Pick<Surroundings, 'env' | 'stdin'>,
): Promise<Settings> {
  const { settings, file } = await readFile(namedFile, env);
  const environment = readEnvironment(env);
  checkPlace(options, (key) => key);
  checkPlace(environment, (key) => variables[key]);
  const places: Place[] = [options, environment, settings];
  const first = (key: Key, among = places): string | undefined =>
    among.map((place) => place[key]).find((value) => value !== undefined);

  const [url, user] = [first('url'), first('user')];
  // A place that names another user is about that user: its password must not be sent for this one.
  const own = places.filter((place) => place.user === undefined || place.user === user);
  const from = first('from', own);
  // A name that has a domain needs no other one; but an option has to agree with it.
  const domain = (from ?? user)?.includes('@') ? options.domain : first('domain', own);

  // Nor may it be sent to another gateway than the one that its place names.
  const trusted = own.filter((place) => place.url === undefined || isSameUrl(place.url, url));
  const password = first('password', trusted);
  const canAsk = stdin.isTTY === true;
  if (url === undefined || user === undefined || (password === undefined && !canAsk)) {
    const needed: Place = { url, user, ...(canAsk ? {} : { password }) };
    const missing = keys.filter((key) => key in needed && needed[key] === undefined);
    const about = (place: Place): string | undefined => {
      if (!own.includes(place)) return `which is about the user ${quote(place.user ?? '')}`;
      return trusted.includes(place) ? undefined : 'which is about another gateway';
    };
    throw new UsageError(describeMissing(missing, about(environment), file, about(settings)));
  }
  return { url, user, password, from, domain };
}

/** Says in which ways the missing settings can be given, and what else the places are about. */
function describeMissing(
  missing: readonly Key[],
  aboutEnvironment: string | undefined,
  file: string,
  aboutFile: string | undefined,
): string {
  // There is no option for the password, because other users of the machine could read it.
  const options = missing.filter((key) => key !== 'password').map((key) => `--${key}`);
  const names = missing.map((key) => variables[key]).join(', ');
  const asOptions = options.length === 0 ? '' : `as ${options.join(', ')}, `;
  const environment = `in the environment (${names})${aboutEnvironment === undefined ? '' : `, ${aboutEnvironment},`}`;
  const inFile = `in ${file}${aboutFile === undefined ? '' : `, ${aboutFile}`}`;
  const [are, them] = missing.length === 1 ? ['is', 'it'] : ['are', 'them'];
  return `${missing.join(', ')} ${are} missing: give ${them} ${asOptions}${environment} or ${inFile}`;
}

/** Throws a UsageError if a setting is wrong, also if another place comes before this one. */
function checkPlace(place: Place, nameOf: (key: Key) => string): void {
  for (const key of keys) {
    const text = place[key];
    const expected = text === undefined ? undefined : findExpected(key, text);
    if (expected !== undefined) {
      throw new UsageError(`${nameOf(key)}: expected ${expected}, got something else`);
    }
  }
}

/** An empty variable counts as one that is not set. */
function readEnvironment(env: Surroundings['env']): Place {
  return Object.fromEntries(keys.map((key) => [key, env[variables[key]] || undefined]));
}

async function readFile(
  named: string | undefined,
  env: Surroundings['env'],
): Promise<{ settings: Place; file: string }> {
  const file = named ?? findDefaultFile(env);
  if (file === undefined) return { settings: {}, file: 'a file that --config names' };
  try {
    return { settings: await readSettings(file), file };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    const reason = reasonOf(error);
    if (named === undefined) {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return { settings: {}, file };
      // With sudo, the home folder may be somebody else's.
      if (error.code === 'EACCES') return { settings: {}, file: `${file} (${reason})` };
    }
    throw faulty(file, 'a file that can be read', reason);
  }
}

function findDefaultFile(env: Surroundings['env']): string | undefined {
  const base = env['XDG_CONFIG_HOME'] ?? '';
  const home = env['HOME'] || findHome();
  // The XDG Base Directory Specification ignores relative paths.
  const folder = isAbsolute(base) ? base : home && join(home, '.config');
  return folder && join(folder, 'xmpp-message-gateway', 'send.yaml');
}

/** Returns undefined for a user whom the system does not know, as in containers. */
function findHome(): string | undefined {
  try {
    return homedir();
  } catch {
    return undefined;
  }
}

/** Rejects with a ConfigError, or with the system's error if the file cannot be read. */
async function readSettings(file: string): Promise<Place> {
  const handle = await open(file);
  try {
    const { mode } = await handle.stat();
    const bytes = await handle.readFile();
    if (!isUtf8(bytes)) throw faulty(file, 'text in UTF-8', 'something else');
    const settings = await parseSettings(file, bytes.toString('utf8'));
    if (settings.password !== undefined && (mode & 0o077) !== 0) {
      const got = `${(mode & 0o777).toString(8)}; type: chmod 600 ${quoteForShell(file)}`;
      throw faulty(file, 'mode 600, because it contains a password', got);
    }
    return settings;
  } finally {
    await handle.close();
  }
}

function faulty(file: string, expected: string, got: string): ConfigError {
  return new ConfigError(file, [{ path: '', line: undefined, expected, got }]);
}

async function parseSettings(file: string, text: string): Promise<Place> {
  // Loaded only for a file, because it takes longer to load than all the rest of `send`.
  const { parseConfigSource } = await import('../../config/yaml.ts');
  const { value, faults, lineOf } = parseConfigSource(text);
  if (value === undefined) throw new ConfigError(file, faults);
  // A file in which everything is commented out is empty.
  const settings = value ?? {};
  if (!isRecord(settings)) {
    throw faulty(file, `a mapping with the keys ${keys.join(', ')}`, describeKind(value));
  }
  const found = Object.entries(settings).flatMap(([key, given]): ConfigFault[] => {
    const fault = findFault(key, given);
    return fault === undefined ? [] : [{ path: formatPath([key]), line: lineOf([key]), ...fault }];
  });
  if (faults.length + found.length > 0) throw new ConfigError(file, [...faults, ...found]);
  return settings;
}

/** The values may be secret, so none is repeated. */
function findFault(key: string, value: unknown): Pick<ConfigFault, 'expected' | 'got'> | undefined {
  if (!isKey(key)) {
    const meant = findNearest(key, keys);
    const hint = `a known key (did you mean ${meant}?)`;
    const expected = meant === undefined ? `one of the keys ${keys.join(', ')}` : hint;
    return { expected, got: 'an unknown one' };
  }
  if (typeof value !== 'string') {
    return { expected: key === 'url' ? gatewayUrl : quotedText, got: describeKind(value) };
  }
  const expected = findExpected(key, value);
  return expected === undefined ? undefined : { expected, got: 'other text' };
}

const plainText = 'text without control characters, not empty';
const quotedText = `${plainText}, in quotes if it looks like a number`;

// HTTP Basic allows no colon in a name; `curl -u` takes the password from behind one.
const userName =
  'a name without a colon (the password is asked for, or taken from XMPP_GATEWAY_PASSWORD or the file)';

/** What the text of a setting has to be, if it is something else. */
function findExpected(key: Key, text: string): string | undefined {
  if (key === 'url') return isGatewayUrl(text) ? undefined : gatewayUrl;
  if (!/^[^\u0000-\u001f\u007f-\u009f]+$/.test(text)) return plainText;
  return key === 'user' && text.includes(':') ? userName : undefined;
}

function isKey(text: string): text is Key {
  return keys.some((key) => key === text);
}
