import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type Config, loadConfig } from '../../../src/config/config.ts';
import { changesThatNeedRestart } from '../../../src/config/reload.ts';
import { Secret } from '../../../src/core/secret.ts';
import { createCertificates } from '../../support/system/certificates.ts';
import { createDirectory, removeDirectory } from '../../support/system/processes.ts';

const folder = createDirectory('reload');
afterAll(() => removeDirectory(folder));
await createCertificates(folder, ['example.org']);
writeFileSync(
  join(folder, 'gateway.yaml'),
  `
component: {domain: gateway.example.org, secret: secret}
domains: [example.org]
http: {tls: {cert_file: server.crt, key_file: server.key}}
`,
);
const load = (): Promise<Config> => loadConfig(join(folder, 'gateway.yaml'));
const before = await load();
const { component, c2s, http, auth } = before;
const account = {
  username: 'alerts',
  passwordHash: new Secret('hash'),
  domains: ['example.org'],
  senders: ['*'],
  manage: false,
};

test.each<[string, Partial<Config>, string[]]>([
  ['nothing', {}, []],
  ['accounts', { apiAccounts: [account] }, []],
  ['permissions', { permissions: { xmppgateway: ['*@example.org'], stateFile: undefined } }, []],
  ['templates', { templates: { mine: 'text' } }, []],
  ['a secret', { component: { ...component, secret: new Secret('n') } }, ['component.secret']],
  ['a list', { domains: ['example.org', 'example.net'] }, ['domains']],
  ['the text of a file that was not named before', { c2s: { ...c2s, ca: 'PEM' } }, ['c2s.ca_file']],
  [
    'the texts of the certificate and its key',
    { http: { ...http, tls: { cert: 'new cert', key: new Secret('new key') } } },
    [],
  ],
  [
    'a mapping that is no longer there',
    { http: { ...http, tls: undefined } },
    ['http.tls.cert_file', 'http.tls.key_file'],
  ],
  [
    'the certificate for the store',
    { storeTls: { ca: undefined, cert: 'new cert', key: new Secret('new key') } },
    ['store_tls.cert_file', 'store_tls.key_file'],
  ],
  ['where the store is', { store: new Secret('redis://:hunter2@host:1') }, ['store']],
  [
    'keys of two words, at any depth',
    {
      auth: { ...auth, cacheMs: 0, throttle: { ...auth.throttle, windowMs: 1 } },
      log: { level: 'debug' },
    },
    ['auth.cache_ms', 'auth.throttle.window_ms', 'log.level'],
  ],
])('changed: %s', async (_, overrides, keys) => {
  const after = { ...(await load()), ...overrides };
  expect(changesThatNeedRestart(before, after)).toEqual(keys);
});
