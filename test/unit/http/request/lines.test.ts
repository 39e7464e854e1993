import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createBodyBudget } from '../../../../src/http/request/body.ts';
import { readLines } from '../../../../src/http/request/lines.ts';

async function split(
  chunks: readonly Buffer[],
  maxBytes: number,
  maxBudget?: number,
): Promise<[number, string][]> {
  const req = new IncomingMessage(new Socket());
  for (const chunk of chunks) req.push(chunk);
  req.push(null);
  const found: [number, string][] = [];
  const limits = { maxBytes, budget: createBodyBudget(maxBudget), caller: 'user bot@example.org' };
  for await (const lines of readLines(req, limits, new AbortController().signal)) {
    for (const { number, bytes } of lines) found.push([number, bytes.toString()]);
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
          if (Buffer.byteLength(line) > 8) return [[index + 1, 'too-large']];
          return line.trim() === '' ? [] : [[index + 1, line]];
        });
      expect(await split(chunks, 8)).toEqual(expected);
    }),
  );
});

test('a line in many pieces counts as a body that is being read', async () => {
  const pieces = Array.from({ length: 100 }, () => Buffer.from('x'));
  const chunks = [...pieces, Buffer.from('\nnext\n')];
  expect(await split(chunks, 1000)).toEqual([
    [1, 'x'.repeat(100)],
    [2, 'next'],
  ]);
  expect(await split(chunks, 1000, 50 * 1024)).toEqual([
    [1, 'overloaded'],
    [2, 'next'],
  ]);
});
