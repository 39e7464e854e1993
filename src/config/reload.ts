import { Secret } from '../core/secret.ts';
import type { Config } from './config.ts';

/** Where the YAML names a file whose text the configuration holds. */
const fileKeys = new Map([
  ['c2s.ca', 'c2s.ca_file'],
  ['http.tls.cert', 'http.tls.cert_file'],
  ['http.tls.key', 'http.tls.key_file'],
]);

/**
 * The YAML paths (such as `http.port`) that differ between two configurations and that only a
 * restart takes over: all but the accounts, who has permissions, and the texts of certificate and
 * key where there are both before and after.
 */
export function changesThatNeedRestart(before: Config, after: Config): string[] {
  const hasTls = before.http.tls !== undefined && after.http.tls !== undefined;
  const old = flatten(withoutReloadable(before, hasTls));
  const next = flatten(withoutReloadable(after, hasTls));
  const keys = new Set([...old.keys(), ...next.keys()]);
  return [...keys].filter((key) => old.get(key) !== next.get(key));
}

function withoutReloadable(config: Config, hasTls: boolean): object {
  const { apiAccounts: _accounts, permissions, http, ...others } = config;
  return {
    ...others,
    permissions: { stateFile: permissions.stateFile },
    http: hasTls ? { ...http, tls: undefined } : http,
  };
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
