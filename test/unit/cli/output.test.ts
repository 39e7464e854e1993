import { PassThrough, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { tolerateLostOutput } from '../../../src/cli/output.ts';

/** A stream that refuses everything, and goes on after that as stdout does. */
function createRefusing(code: string, message: string): Writable {
  return new Writable({
    autoDestroy: false,
    write: (_chunk, _encoding, done) => done(Object.assign(new Error(message), { code })),
  });
}

test.each([
  [
    'ENOSPC',
    'ENOSPC: no space left on device, write',
    'program: the output could not be written: ENOSPC: no space left on device\n',
  ],
  ['EIO', 'write EIO', 'program: the output could not be written: write EIO\n'],
  ['EPIPE', 'write EPIPE', ''],
])('after %s on stdout, the operator reads at most one sentence', async (code, message, said) => {
  const [stdout, stderr] = [createRefusing(code, message), new PassThrough()];
  tolerateLostOutput({ stdout, stderr }, 'program');
  for (const line of ['one\n', 'two\n']) {
    stdout.write(line);
    await setImmediate();
  }
  expect(await text(stderr.end())).toBe(said);
});

test('where stderr cannot be written either, the command still goes on', async () => {
  const [stdout, stderr] = [createRefusing('EIO', 'write EIO'), createRefusing('EIO', 'write EIO')];
  tolerateLostOutput({ stdout, stderr }, 'program');
  stdout.write('one\n');
  await setImmediate();
  expect(stderr.errored).not.toBeNull();
});
