import { dirname, resolve } from 'node:path';
import { Secret } from '../core/secret.ts';
import { findCrossFaults, findRepeatedRooms, parseValues } from './cross-checks.ts';
import { ConfigError, type ConfigFault, reasonOf } from './errors.ts';
import { type ConfigFiles, readConfigFiles, readText } from './files.ts';
import { type ConfigValues, configSchema } from './schema.ts';
import { parseConfigSource } from './yaml.ts';
import { locate, readIssue } from './zod-issues.ts';

export { ConfigError, type ConfigFault } from './errors.ts';
export { type ConfigKey, configKeys } from './schema.ts';

/**
 * The configuration, complete and valid: the keys of the schema in camel case, the contents of files
 * in place of their names. Deeply frozen.
 */
export type Config = ReturnType<typeof buildConfig>;

/** The limits of a configuration that sets none. */
export const defaultLimits: Config['limits'] = toCamelCase(
  configSchema.shape.limits.parse(undefined),
);

/**
 * Reads a configuration file and the files that it names; rejects with a ConfigError that lists all
 * faults.
 */
export async function loadConfig(path: string): Promise<Config> {
  const source = parseConfigSource(await readConfigText(path));
  if (source.value === undefined) throw new ConfigError(path, source.faults);
  const { values, issues, usable } = parseValues(source.value);
  const folder = dirname(path);
  const files = await readConfigFiles(usable, folder);
  const found = [
    ...issues.flatMap(readIssue),
    ...findCrossFaults(usable),
    ...findRepeatedRooms(source.value),
    ...files.faults,
  ];
  const faults = [...source.faults, ...found.map((fault) => locate(fault, source))];
  if (values === undefined || faults.length > 0) throw new ConfigError(path, sortByLine(faults));
  return freeze(buildConfig(values, files, folder));
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

/** Names only the keys whose values change, beyond how the key is spelt. */
function buildConfig(values: ConfigValues, files: ConfigFiles, folder: string) {
  const all = toCamelCase(values);
  const { secretFile: _secretFile, secret = files.secret, ...component } = all.component;
  const { caFile: _caFile, ...c2s } = all.c2s;
  const { stateFile, ...permissions } = all.permissions;
  if (secret === undefined) throw new TypeError('a configuration without faults has a secret');
  return {
    ...all,
    component: { ...component, secret },
    c2s: { ...c2s, host: c2s.host ?? component.host, ca: files.ca },
    http: { ...all.http, tls: files.tls },
    storeTls: { ca: files.storeTls.ca, ...files.storeTls.pair },
    templates: files.templates,
    permissions: { ...permissions, stateFile: stateFile && resolve(folder, stateFile) },
  } as const;
}

type CamelCase<Name> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : Name;

type InCamelCase<T> = T extends Secret
  ? T
  : T extends readonly (infer Item)[]
    ? readonly InCamelCase<Item>[]
    : T extends object
      ? { readonly [Key in keyof T as CamelCase<Key>]: InCamelCase<T[Key]> }
      : T;

function toCamelCase<T>(value: T): InCamelCase<T>;
function toCamelCase(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => toCamelCase(item));
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [nameInCamelCase(name), toCamelCase(member)]),
  );
}

/** Only our own keys: the rooms in `rooms.passwords` are JIDs, with an `@`. */
function nameInCamelCase(name: string): string {
  return name.includes('@')
    ? name
    : name.replace(/_[a-z]/g, (part) => part.charAt(1).toUpperCase());
}

/** Whether a value of the configuration holds others by name. */
export function isMapping(value: unknown): value is object {
  const isObject = typeof value === 'object' && value !== null;
  return isObject && !Array.isArray(value) && !(value instanceof Secret);
}

function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) freeze(member);
  }
  return Object.freeze(value);
}
