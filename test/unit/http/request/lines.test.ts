import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { readLines } from '../../../../src/http/request/lines.ts';

async function split(chunks: readonly Buffer[], maxBytes: number): Promise<[number, string][]> {
  const req = new IncomingMessage(new Socket());
  for (const chunk of chunks) req.push(chunk);
  req.push(null);
  const found: [number, string][] = [];
  for await (const lines of readLines(req, maxBytes, new AbortController().signal)) {
    for (const { number, bytes } of lines) found.push([number, bytes?.toString() ?? 'too long']);
  }
  return found;
}

test('lines are the same however they arrive', async () => {
  const text = fc.array(fc.constantFrom('\n', '\r\n', 'a', 'bcd', ' ', 'é', '{}', 'x'.repeat(9)));
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat(200)), async (parts, cuts) => {
      const bytes = Buffer.from(parts.join(''));
      const ends = [...cuts.filter((cut) => cut < bytes.length), bytes.length].toSorted(
        (a, b) => a - b,
      );
      const chunks = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
      const expected = bytes
        .toString()
        .split('\n')
        .flatMap((line, index): [number, string][] => {
          if (Buffer.byteLength(line) > 8) return [[index + 1, 'too long']];
          return line.trim() === '' ? [] : [[index + 1, line]];
        });
      expect(await split(chunks, 8)).toEqual(expected);
    }),
  );
});
