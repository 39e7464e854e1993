import { expect, test } from 'vitest';
import { buildLimits, type Config } from '../../../src/config/config.ts';
import { changesThatNeedRestart } from '../../../src/config/reload.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { Secret } from '../../../src/core/secret.ts';

// As it is loaded each time: with values of its own.
function config(overrides: Partial<Config> = {}): Config {
  return {
    component: {
      domain: 'gateway.example.org',
      host: '127.0.0.1',
      port: 5347,
      secret: new Secret('secret'),
    },
    domains: ['example.org'],
    c2s: { host: '127.0.0.1', port: 5222, security: 'starttls', ca: undefined },
    http: {
      host: '127.0.0.1',
      port: 8080,
      tls: { cert: 'cert', key: new Secret('key') },
      insecure: false,
      trustedProxies: [],
      metrics: undefined,
      docs: true,
    },
    apiAccounts: [],
    permissions: { xmppgateway: [], stateFile: undefined },
    delivery: {
      confirmTimeoutMs: 30_000,
      silenceTimeoutMs: 10_000,
      maxInFlight: 4000,
      maxInFlightBytes: 67_108_864,
      mode: 'auto',
      remoteConfirmMs: 0,
    },
    rooms: { idleMs: 600_000, passwords: {} },
    auth: {
      cacheMs: 60_000,
      timeoutMs: 10_000,
      throttle: { perAddress: 30, perUser: 10, windowMs: 60_000 },
    },
    limits: buildLimits(configSchema.shape.limits.parse(undefined)),
    store: undefined,
    log: { level: 'info' },
    ...overrides,
  };
}

const { component, c2s, http, auth } = config();
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
  ['where the store is', { store: new Secret('redis://:hunter2@host:1') }, ['store']],
  [
    'keys of two words, at any depth',
    {
      auth: { ...auth, cacheMs: 0, throttle: { ...auth.throttle, windowMs: 1 } },
      log: { level: 'debug' },
    },
    ['auth.cache_ms', 'auth.throttle.window_ms', 'log.level'],
  ],
])('changed: %s', (_, overrides, keys) => {
  expect(changesThatNeedRestart(config(), config(overrides))).toEqual(keys);
});
