import { Secret } from '../core/secret.ts';
import { type Config, isMapping } from './config.ts';

/** The keys that name a file, by where the configuration holds the contents of that file. */
const fileKeys = new Map([
  ['c2s.ca', 'c2s.ca_file'],
  ['http.tls.cert', 'http.tls.cert_file'],
  ['http.tls.key', 'http.tls.key_file'],
  ['store_tls.ca', 'store_tls.ca_file'],
  ['store_tls.cert', 'store_tls.cert_file'],
  ['store_tls.key', 'store_tls.key_file'],
]);

/**
 * The keys (such as `http.port`) that differ between two configurations and need a restart. That is
 * every key except the accounts, the permissions, the templates, and the contents of the certificate
 * and key files if TLS was and stays on.
 */
export function changesThatNeedRestart(before: Config, after: Config): string[] {
  const hasTls = before.http.tls !== undefined && after.http.tls !== undefined;
  const old = flatten(withoutReloadable(before, hasTls));
  const next = flatten(withoutReloadable(after, hasTls));
  const keys = new Set([...old.keys(), ...next.keys()]);
  return [...keys].filter((key) => old.get(key) !== next.get(key));
}

function withoutReloadable(config: Config, hasTls: boolean): object {
  const { apiAccounts: _accounts, templates: _templates, permissions, http, ...others } = config;
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
    if (isMapping(member)) {
      flatten(member, `${key}.`, into);
    } else if (member !== undefined) {
      into.set(fileKeys.get(key) ?? key, reveal(member));
    }
  }
  return into;
}

function reveal(value: unknown): string {
  return value instanceof Secret ? value.reveal() : JSON.stringify(value);
}
