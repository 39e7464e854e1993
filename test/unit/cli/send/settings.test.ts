import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findSettings } from '../../../../src/cli/send/settings.ts';

const options = { url: undefined, user: undefined, from: undefined, domain: undefined };
const complete = 'url: http://127.0.0.1:8080\nuser: alerts\npassword: secret\n';

/** Finds settings, by default with only the default file; `file` is its text. */
async function find({
  file,
  mode = 0o600,
  env = {},
  given = {},
  named = false,
  terminal = false,
}: {
  readonly file?: string | Uint8Array;
  readonly mode?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly given?: Partial<Record<keyof typeof options, string>>;
  /** Whether the file is given with --config. */
  readonly named?: boolean;
  readonly terminal?: boolean;
}): Promise<object> {
  const home = mkdtempSync(join(tmpdir(), 'xmg-send-'));
  onTestFinished(() => rmSync(home, { recursive: true }));
  const folder = join(home, '.config', 'xmpp-message-gateway');
  const path = join(named ? home : folder, 'send.yaml');
  if (file !== undefined) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path, file);
    chmodSync(path, mode);
  }
  const stdin = Object.assign(new PassThrough(), { isTTY: terminal });
  const surroundings = { env: { HOME: home, ...env }, stdin };
  try {
    return await findSettings({ ...options, ...given }, named ? path : undefined, surroundings);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw Object.assign(new Error(error.message.replaceAll(path, 'FILE')), { name: error.name });
  }
}

const inFile = {
  url: 'http://127.0.0.1:8080',
  user: 'alerts',
  password: 'secret',
  from: undefined,
  domain: undefined,
};

test('all settings in the file', async () => {
  const file = `${complete}from: alice\ndomain: example.org\n`;
  const settings = { ...inFile, from: 'alice', domain: 'example.org' };
  expect(await find({ file })).toEqual(settings);
  expect(await find({ file, named: true })).toEqual(settings);
});

test('all settings in the environment', async () => {
  const env = {
    XMPP_GATEWAY_URL: 'http://127.0.0.1:1',
    XMPP_GATEWAY_USER: 'u',
    XMPP_GATEWAY_PASSWORD: 'p',
    XMPP_GATEWAY_FROM: 'f',
    XMPP_GATEWAY_DOMAIN: 'd',
  };
  const settings = { url: 'http://127.0.0.1:1', user: 'u', password: 'p', from: 'f', domain: 'd' };
  expect(await find({ env })).toEqual(settings);
});

test('options come before the environment, and the environment before the file', async () => {
  const env = { XMPP_GATEWAY_URL: 'http://127.0.0.1:1', XMPP_GATEWAY_PASSWORD: 'p' };
  const given = { from: 'carol@example.org' };
  const file = `${complete}from: alice@example.org\n`;
  expect(await find({ file, env, given })).toEqual({
    ...inFile,
    url: 'http://127.0.0.1:1',
    password: 'p',
    from: 'carol@example.org',
  });
  expect(await find({ file, env: { XMPP_GATEWAY_URL: '' } })).toMatchObject({ url: inFile.url });
});

describe('what the file says about its user is not used for another', () => {
  const file = `${complete}from: alice\ndomain: example.org\n`;
  const env = { XMPP_GATEWAY_PASSWORD: 'p' };

  test.each(['bot@example.org', 'bot'])('%s', async (user) => {
    const settings = { ...inFile, user, password: 'p' };
    expect(await find({ file, env, given: { user } })).toEqual(settings);
    await expect(find({ file, given: { user } })).rejects.toThrow(
      /^password is missing: .* or in FILE, which is about the user "alerts"$/,
    );
  });

  test('but for the same', async () => {
    const settings = { ...inFile, from: 'alice', domain: 'example.org' };
    expect(await find({ file, given: { user: 'alerts' } })).toEqual(settings);
  });
});

describe('a password is not sent to another gateway than the one that its place names', () => {
  const url = 'http://127.0.0.1:1';

  test.each([{ given: { url } }, { env: { XMPP_GATEWAY_URL: url } }])('%j', async (places) => {
    await expect(find({ file: complete, ...places })).rejects.toThrow(
      /^password is missing: .* or in FILE, which is about another gateway$/,
    );
    const settings = { ...inFile, url, password: undefined };
    expect(await find({ file: complete, terminal: true, ...places })).toEqual(settings);
  });

  test('nor that of the environment', async () => {
    const env = { XMPP_GATEWAY_URL: inFile.url, XMPP_GATEWAY_PASSWORD: 'secret' };
    await expect(find({ env, given: { url, user: 'alerts' } })).rejects.toThrow(
      /\(XMPP_GATEWAY_PASSWORD\), which is about another gateway, or in FILE$/,
    );
  });

  test('but to the same, however it is spelt', async () => {
    const same = 'HTTP://127.0.0.1:8080/';
    const settings = { ...inFile, url: same };
    expect(await find({ file: complete, given: { url: same } })).toEqual(settings);
  });
});

test('the domain of the file is for names without one; that of an option always counts', async () => {
  const file = `${complete}domain: example.org\n`;
  const from = 'alice@example.net';
  expect(await find({ file, given: { from } })).toEqual({ ...inFile, from });
  const given = { from, domain: 'example.com' };
  expect(await find({ file, given })).toEqual({ ...inFile, ...given });
});

test.each(['', '# url: http://127.0.0.1:8080\n'])('a file may be empty: %j', async (file) => {
  await expect(find({ file, named: true })).rejects.toThrow(/^url, user, password are missing/);
});

test('a terminal can ask for the password, and only for that', async () => {
  const file = 'url: http://127.0.0.1:8080\nuser: alerts\n';
  expect(await find({ file, terminal: true })).toEqual({ ...inFile, password: undefined });
  await expect(find({ terminal: true })).rejects.toThrow(/^url, user are missing/);
});

test('$XDG_CONFIG_HOME moves the file, if it is an absolute path', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'xmg-send-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'xmpp-message-gateway'));
  writeFileSync(join(folder, 'xmpp-message-gateway/send.yaml'), complete, { mode: 0o600 });
  expect(await find({ env: { XDG_CONFIG_HOME: folder } })).toEqual(inFile);
  expect(await find({ file: complete, env: { XDG_CONFIG_HOME: '.' } })).toEqual(inFile);
});

test('what is missing can be given in three ways', async () => {
  await expect(find({})).rejects.toMatchObject({
    name: 'UsageError',
    message:
      'url, user, password are missing: give them as --url, --user, in the environment ' +
      '(XMPP_GATEWAY_URL, XMPP_GATEWAY_USER, XMPP_GATEWAY_PASSWORD) or in FILE',
  });
  const given = { url: 'http://127.0.0.1:1', user: 'u' };
  await expect(find({ given })).rejects.toThrow(
    /^password is missing: give it in the environment \(XMPP_GATEWAY_PASSWORD\) or in FILE$/,
  );
});

describe('what is not the URL of a gateway', () => {
  const env = { XMPP_GATEWAY_USER: 'u', XMPP_GATEWAY_PASSWORD: 'p' };

  test.each([
    '127.0.0.1:18080',
    'chat.example.org',
    'ftp://example.org',
    'http://bot:secret@127.0.0.1:18080',
    'http://example.org/?a',
    'http://127.0.0.1:8080/api/1.0/xmppdomains/example.org/gateway/messages',
  ])('%s', async (url) => {
    const expected =
      'expected only the URL of the gateway, such as http://127.0.0.1:8080, without user name, password and /api/…, got something else';
    await expect(find({ env: { ...env, XMPP_GATEWAY_URL: url } })).rejects.toMatchObject({
      name: 'UsageError',
      message: `XMPP_GATEWAY_URL: ${expected}`,
    });
    await expect(find({ env, given: { url } })).rejects.toThrow(
      new RegExp(`^url: ${expected.replaceAll('.', '\\.')}$`),
    );
  });
});

describe('neither a password behind the user nor one with a line break is sent or shown', () => {
  const url = 'http://127.0.0.1:1';
  const user =
    'expected a name without a colon (the password is asked for, or taken from XMPP_GATEWAY_PASSWORD or the file), got something else';

  test.each([
    [{ given: { url, user: 'bot:secret' } }, `user: ${user}`],
    [{ given: { url, user: 'bot:secret', from: 'alice@example.org' } }, `user: ${user}`],
    [
      { given: { url, user: 'u' }, env: { XMPP_GATEWAY_USER: 'u:x' } },
      `XMPP_GATEWAY_USER: ${user}`,
    ],
    [
      { given: { url, user: 'u' }, env: { XMPP_GATEWAY_PASSWORD: 'sec\nret' } },
      'XMPP_GATEWAY_PASSWORD: expected text without control characters, not empty, got something else',
    ],
  ])('%j', async (places, message) => {
    await expect(find(places)).rejects.toMatchObject({ name: 'UsageError', message });
  });
});

describe('faulty files', () => {
  test.each<[string | Uint8Array, string]>([
    ['usr: a\n', 'FILE:1: usr: expected a known key (did you mean user?), got an unknown one'],
    [
      'url: http://127.0.0.1:8080\ncomponent: {}\n',
      'FILE:2: component: expected one of the keys url, user, password, from, domain, got an unknown one',
    ],
    [
      '\npassword: 12345\n',
      'FILE:2: password: expected text without control characters, not empty, in quotes if it looks like a number, got a number',
    ],
    [
      'password: #x\n',
      'FILE:1: expected quotes around a text that begins with #, such as "#example", got nothing',
    ],
    ['user:\n', 'FILE:1: user: expected text without control characters, .*, got nothing'],
    ['user: bot:secret\n', 'FILE:1: user: expected a name without a colon .*, got other text'],
    ['user: "a\\tb"\n', 'FILE:1: user: expected text without control .*, got other text'],
    [
      'url: http://bot:secret@127.0.0.1:8080\n',
      'FILE:1: url: expected only the URL of the gateway, such as http://127.0.0.1:8080, without user name, password and /api/…, got other text',
    ],
    ['url: [secret]\n', 'FILE:1: url: expected only the URL .*, got a list'],
    ['user: a\nuser: b\n', 'FILE:2: user: expected each key only once, got it twice'],
    ['user: a\nusr: b\nurl: 1\n', 'FILE:2: usr: .*\nFILE:3: url: .*, got a number'],
    ['secret\n', 'FILE: expected a mapping with the keys url, user, .*, got text'],
    [
      'user: "secret\n',
      'FILE:2: expected a " at the end of a text that begins with ", got something else',
    ],
    [Uint8Array.of(0x75, 0xff), 'FILE: expected text in UTF-8, got something else'],
  ])('%j', async (file, expected) => {
    const error: unknown = await find({ file }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'ConfigError' });
    const message = error instanceof Error ? error.message : '';
    const pattern = expected.replaceAll(/[()?[\]]/g, '\\$&');
    expect(message).toMatch(new RegExp(`^${pattern}$`));
    expect(message).not.toContain('secret');
  });

  test.each([0o640, 0o604, 0o660])('a password that others can read: mode %o', async (mode) => {
    await expect(find({ file: complete, mode })).rejects.toThrow(
      `FILE: expected mode 600, because it contains a password, got ${mode.toString(8)}; type: chmod 600 FILE`,
    );
  });

  test('without a password, everybody may read it', async () => {
    const env = { XMPP_GATEWAY_PASSWORD: 'p' };
    const file = 'url: http://127.0.0.1:8080\nuser: alerts\n';
    expect(await find({ file, mode: 0o644, env })).toEqual({ ...inFile, password: 'p' });
  });

  test('one that is named must exist', async () => {
    await expect(find({ named: true })).rejects.toMatchObject({
      name: 'ConfigError',
      message: 'FILE: expected a file that can be read, got ENOENT: no such file or directory',
    });
  });
});
