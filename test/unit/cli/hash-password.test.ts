import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { verifyPassword } from '../../../src/auth/password-hash.ts';
import { runHashPassword } from '../../../src/cli/hash-password.ts';

async function run(input: string | Buffer, isTTY: boolean) {
  const stdin = Object.assign(new PassThrough(), { isTTY });
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  stdin.end(input);
  const code = await runHashPassword({ stdin, stdout, stderr });
  stdout.end();
  stderr.end();
  return { code, out: await text(stdout), err: await text(stderr) };
}

describe('from a pipe', () => {
  test.each([
    ['s3cret', 's3cret'],
    ['s3cret\n', 's3cret'],
    ['s3cret\r\n', 's3cret'],
    ['pä:ss wörd\nsecond line\n', 'pä:ss wörd'],
    [' s3cret ', ' s3cret '],
    ['\ufeffs3cret\r\n', 's3cret'],
  ])('hashes the first line of %j', async (input, password) => {
    const { code, out, err } = await run(input, false);
    expect(code).toBe(0);
    expect(err).toBe('');
    expect(out).toMatch(/^\$scrypt\$[^\n]+\n$/);
    expect(await verifyPassword(password, out.trimEnd())).toBe(true);
  });

  test('does not wait for a second line', async () => {
    const stdin = new PassThrough();
    stdin.write('s3cret\n');
    const streams = { stdin, stdout: new PassThrough(), stderr: new PassThrough() };
    expect(await runHashPassword(streams)).toBe(0);
  });

  test.each([
    ['', 'empty'],
    ['\n', 'empty'],
    ['a\tb\n', 'control characters'],
    ['a\u0000', 'control characters'],
    [Buffer.from([0x61, 0xff, 0x0a]), 'UTF-8'],
    ['x'.repeat(5000), 'at most 4096 bytes'],
  ])('refuses %j', async (input, reason) => {
    const { code, out, err } = await run(input, false);
    expect(code).toBe(64);
    expect(out).toBe('');
    expect(err).toContain(reason);
  });
});

describe('from a terminal', () => {
  test('asks twice, without echo', async () => {
    const { code, out, err } = await run('s3cretx\u007f\rs3cret\r', true);
    expect(code).toBe(0);
    expect(await verifyPassword('s3cret', out.trimEnd())).toBe(true);
    expect(err).toBe('Password: \nRepeat the password: \n');
  });

  test.each([
    ['s3cret\rother\r', 'two different ones'],
    ['\r\r', 'empty'],
    ['s3cret\r\u0003', 'got none'],
    ['\u0004', 'got none'],
    [Buffer.from('p\xe4ss\rp\xe4ss\r', 'latin1'), 'expected an answer in UTF-8'],
    ['', 'got none'],
  ])('refuses %j', async (input, reason) => {
    const { code, out, err } = await run(input, true);
    expect(code).toBe(64);
    expect(out).toBe('');
    expect(err).toContain(reason);
    expect(err).not.toContain('s3cret');
  });
});
