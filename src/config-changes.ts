import type { Config } from './config.ts';
import { Secret } from './core/secret.ts';

/** Where the YAML names a file whose text the configuration holds. */
const fileKeys = new Map([
  ['c2s.ca', 'c2s.ca_file'],
  ['http.tls.cert', 'http.tls.cert_file'],
  ['http.tls.key', 'http.tls.key_file'],
]);

/**
 * The YAML paths (such as `http.port`) that differ between two configurations and that only a
 * restart takes over: all but the accounts and who has permissions.
 */
export function changesThatNeedRestart(before: Config, after: Config): string[] {
  const old = flatten(withoutReloadable(before));
  const next = flatten(withoutReloadable(after));
  const keys = new Set([...old.keys(), ...next.keys()]);
  return [...keys].filter((key) => old.get(key) !== next.get(key));
}

function withoutReloadable(config: Config): object {
  const { apiAccounts: _accounts, permissions, ...others } = config;
  return { ...others, permissions: { stateFile: permissions.stateFile } };
}

function flatten(
  value: object,
  prefix = '',
  into = new Map<string, string>(),
): Map<string, string> {
  for (const [name, member] of Object.entries(value)) {
    const key = prefix + name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (isPlainObject(member)) {
      flatten(member, `${key}.`, into);
    } else if (member !== undefined) {
      into.set(fileKeys.get(key) ?? key, reveal(member));
    }
  }
  return into;
}

function isPlainObject(value: unknown): value is object {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Secret)
  );
}

function reveal(value: unknown): string {
  return value instanceof Secret ? value.reveal() : JSON.stringify(value);
}
