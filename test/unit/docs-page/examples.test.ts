import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { describe, expect, it } from 'vitest';
import { buildExample, gapEnd, gapStart, type Language } from '../../../docs-page/examples.ts';
import type { FormValues } from '../../../docs-page/message-request.ts';
import { complete, empty } from './values.ts';

const base = 'https://example.org/xmpp/';
const url = `${base}api/1.0/xmppdomains/example.org/gateway/messages`;
const languages = ['curl', 'send', 'python', 'node'] as const;

/** Values that a shell, Python or JavaScript would read as something else. */
const hostile: FormValues = {
  ...complete,
  account: 'api',
  login: "o'brien",
  sender: 'a$b',
  body: `It's $HOME \`id\` \\n "quoted" \u2028 !x\nand a second line ✓`,
  subject: "';#",
  type: 'headline',
  id: '-1',
  key: 'k$(id)',
};

/** The words that a shell makes of a line, except the first. */
function readWords(line: string): string[] {
  const script = line.replace(/^\S+/, "printf '%s\\0'");
  const { stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
  return stdout.split('\0').slice(0, -1);
}

describe('placeholders', () => {
  it.each(languages)('stand for what is missing with %s, and nothing else', (language) => {
    const { code } = buildExample(language, { ...empty, account: 'api' }, base);
    const gaps = [...code.matchAll(new RegExp(`${gapStart}(.*?)${gapEnd}`, 'g'))];
    const names = new Set(gaps.map(([, name]) => name));
    expect(names).toEqual(new Set(['USER', 'DOMAIN', 'SENDER', 'RECIPIENT', 'TEXT']));
    expect(buildExample(language, complete, base).code).not.toMatch(/[\uFDD0\uFDD1]|RECIPIENT/);
  });

  it.each(languages)('never include the password (%s)', (language) => {
    expect(buildExample(language, { ...complete, password: 'geheim' }, base).code).not.toContain(
      'geheim',
    );
  });
});

describe('curl', () => {
  it('sends a form', () => {
    expect(readWords(buildExample('curl', complete, base).code)).toEqual(
      ['-u bot', '--data-urlencode to=bob@example.org', '--data-urlencode body=Hi', url].flatMap(
        (words) => words.split(' '),
      ),
    );
  });

  it('quotes what a shell would read', () => {
    const words = readWords(buildExample('curl', hostile, base).code);
    for (const word of [
      "o'brien",
      'Idempotency-Key: k$(id)',
      `body=${hostile.body}`,
      "subject=';#",
      'id=-1',
      `${url}/a%24b`,
    ]) {
      expect(words).toContain(word);
    }
  });

  it('sends JSON if there are other elements', () => {
    const words = readWords(buildExample('curl', { ...hostile, extra: "<a b='c'/>" }, base).code);
    expect(words).toContain('Content-Type: application/json');
    expect(JSON.parse(words[words.indexOf('-d') + 1] ?? '')).toMatchObject({
      body: hostile.body,
      extra_elements: "<a b='c'/>",
    });
  });
});

describe('send', () => {
  function parse(values: FormValues): unknown {
    const [command, ...args] = readWords(buildExample('send', values, base).code);
    expect(command).toBe('send');
    const names = ['url', 'user', 'from', 'to', 'subject', 'type', 'id', 'idempotency-key'];
    const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }] as const));
    const { values: read, positionals } = parseArgs({ args, options, allowPositionals: true });
    return { ...read, text: positionals };
  }

  it('has the options of a user', () => {
    const expected = { url: 'https://example.org/xmpp', to: 'bob@example.org', text: ['Hi'] };
    expect(parse(complete)).toEqual({ ...expected, user: 'bot@example.org' });
    expect(parse({ ...complete, login: 'bot@example.org' })).toMatchObject({
      user: 'bot@example.org',
    });
  });

  it('has the options of an API account, and a text that looks like one', () => {
    expect(parse({ ...hostile, body: '--to' })).toMatchObject({
      user: "o'brien",
      from: 'a$b@example.org',
      subject: "';#",
      type: 'headline',
      id: '-1',
      'idempotency-key': 'k$(id)',
      text: ['--to'],
    });
  });

  it('says what the command cannot send', () => {
    for (const [values, words] of [
      [{ ...complete, extra: '<a/>' }, 'no option for extra elements'],
      [{ ...complete, body: '', subject: 'x' }, 'sends a text'],
    ] as const) {
      const { code, hint } = buildExample('send', values, base);
      expect([code, hint]).toEqual(['', expect.stringContaining(words)]);
    }
  });
});

describe.each([
  [
    'python',
    'python3',
    ['-'],
    'urllib.request.urlopen = lambda r: (print(json.dumps([r.full_url, json.loads(r.data), dict(r.header_items())])), exit())\n',
  ],
  [
    'node',
    process.execPath,
    ['--input-type=module'],
    'globalThis.fetch = async (u, r) => { console.log(JSON.stringify([u, JSON.parse(r.body), r.headers])); process.exit(); };\n',
  ],
] satisfies [Language, string, string[], string][])('%s', (language, file, args, probe) => {
  it('sends what was filled in', () => {
    const { code } = buildExample(language, { ...hostile, extra: '<a/>' }, base);
    const [imports = '', ...rest] = code.split('\n');
    const input = language === 'python' ? [imports, probe, ...rest].join('\n') : probe + code;
    const env = { ...process.env, XMPP_GATEWAY_PASSWORD: 'p ✓' };
    const { stdout, stderr } = spawnSync(file, args, { input, encoding: 'utf8', env });
    expect(stderr).toBe('');
    const [sentTo, message, headers] = JSON.parse(stdout);
    expect(sentTo).toBe(`${url}/a%24b`);
    expect(message).toEqual({
      to: 'bob@example.org',
      body: hostile.body,
      subject: "';#",
      type: 'headline',
      id: '-1',
      extra_elements: '<a/>',
    });
    const authorization = `Basic ${Buffer.from("o'brien:p ✓").toString('base64')}`;
    expect(headers).toMatchObject({ Authorization: authorization });
    expect(Object.values(headers)).toContain('k$(id)');
  });
});

it('Python prints why the gateway refuses', () => {
  const [imports = '', ...rest] = buildExample('python', complete, base).code.split('\n');
  const probe =
    'import io\ndef refuse(r): raise urllib.error.HTTPError(r.full_url, 422, "", {}, io.BytesIO(b"the reason"))\nurllib.request.urlopen = refuse';
  const input = [imports, probe, ...rest].join('\n');
  const env = { ...process.env, XMPP_GATEWAY_PASSWORD: 'p' };
  const { status, stderr } = spawnSync('python3', ['-'], { input, encoding: 'utf8', env });
  expect([status, stderr]).toEqual([1, 'the reason\n']);
});
