import {
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openGrants } from '../../../src/auth/permission-file.ts';
import { waitUntil } from '../../support/system/wait.ts';

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xmg-grants-'));
  file = join(folder, 'grants.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a missing file has no grants, and the first grant creates it', async () => {
  const grants = await openGrants(file);
  expect(grants.current.size).toBe(0);
  expect(await grants.set('bot@example.org', true)).toBe(true);
  expect(await grants.set('bot@example.org', true)).toBe(false);
  expect(await grants.set('alice@example.org', false)).toBe(false);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ xmppgateway: ['bot@example.org'] });
  expect((await openGrants(file)).current).toEqual(new Set(['bot@example.org']));
  expect(readdirSync(folder)).toEqual(['grants.json']);
});

test('where the folder is missing, a grant says so', async () => {
  const missing = join(folder, 'none');
  const grants = await openGrants(join(missing, 'grants.json'));
  await expect(grants.set('bot@example.org', true)).rejects.toThrow(
    `permissions.state_file ${missing}/grants.json: the folder ${missing} does not exist: create it, or start the service once`,
  );
});

test('a file that root writes belongs to the owner of the old file or of its folder', async () => {
  const isRoot = process.getuid?.() === 0;
  const [first, second] = isRoot ? [4001, 4002] : [process.getuid?.(), process.getuid?.()];
  if (isRoot) chownSync(folder, 4001, 4001);
  const grants = await openGrants(file);
  await grants.set('bot@example.org', true);
  expect(statSync(file).uid).toBe(first);
  if (isRoot) chownSync(file, 4002, 4002);
  await grants.set('alice@example.org', true);
  expect(statSync(file).uid).toBe(second);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('a file that a person wrote is normalised', async () => {
  writeFileSync(file, '{"xmppgateway": ["BOT@Example.org", "*@B\\u00dccher.example"]}');
  expect((await openGrants(file)).current).toEqual(
    new Set(['bot@example.org', '*@bücher.example']),
  );
});

test.each(['', '[]', '{}', '{"xmppgateway": [1]}', '{"xmppgateway": ["example.org"]}', '{"xmppg'])(
  'a file that holds %j is refused by name, and stays',
  async (text) => {
    writeFileSync(file, text);
    await expect(openGrants(file)).rejects.toThrow(`permissions.state_file ${file}: expected`);
    expect(readFileSync(file, 'utf8')).toBe(text);
  },
);

test('no change is lost among many concurrent ones', async () => {
  const owners = await Promise.all([1, 2, 3].map(() => openGrants(file)));
  const patterns = Array.from({ length: 30 }, (_, index) => `bot${index}@example.org`);
  await Promise.all(
    patterns.map(
      (pattern, index) =>
        owners[index % 3]?.set(pattern, true) ?? Promise.reject(new Error('no owner')),
    ),
  );
  expect((await openGrants(file)).current).toEqual(new Set(patterns));
});

const namespace = readlinkSync('/proc/self/ns/pid');

test.each([
  ['the same process id, as in a container', `${process.pid} ${namespace}`],
  ['a process that has ended', `4194304 ${namespace}`],
  ['a process that has ended, of an older version', '4194304'],
])('the lock of %s is taken over', async (_, holder) => {
  const grants = await openGrants(file);
  writeFileSync(`${file}.lock`, holder);
  await grants.set('bot@example.org', true);
  expect(readdirSync(folder)).toEqual(['grants.json']);
});

test.each([process.pid, 4194304])('a lock of another container is obeyed: %s', async (pid) => {
  const grants = await openGrants(file);
  writeFileSync(`${file}.lock`, `${pid} pid:[1]`);
  const setting = grants.set('bot@example.org', true);
  await expect(setting).rejects.toThrow(`${file}.lock is held by another process`);
  expect([...grants.current]).toEqual([]);
});

test.each([
  ['an empty one', '', -61_000],
  ['one with the process id of another by now', String(process.ppid), -61_000],
  ['an empty one of a clock that was ahead', '', 3_600_000],
  ['one of a running process and a clock that was ahead', String(process.ppid), 3_600_000],
])('a lock left by a power failure is taken over: %s', async (_, holder, offsetMs) => {
  const grants = await openGrants(file);
  writeFileSync(`${file}.lock`, holder);
  const then = new Date(Date.now() + offsetMs);
  utimesSync(`${file}.lock`, then, then);
  await grants.set('bot@example.org', true);
  expect(readdirSync(folder)).toEqual(['grants.json']);
});

test('changes by another process are noticed; an unreadable file changes nothing', async () => {
  const grants = await openGrants(file);
  const errors: unknown[] = [];
  grants.watch((error) => void errors.push(error));
  try {
    await (await openGrants(file)).set('bot@example.org', true);
    await waitUntil(() => grants.current.has('bot@example.org'), { label: 'the grant' });
    writeFileSync(file, '{');
    await waitUntil(() => errors.length > 0, { label: 'an error' });
    expect(grants.current.has('bot@example.org')).toBe(true);
    await expect(grants.set('alice@example.org', true)).rejects.toThrow('state_file');
  } finally {
    grants.stop();
  }
});
