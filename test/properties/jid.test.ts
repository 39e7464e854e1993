import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Jid, JidError, parseJid, WrittenAddress } from '../../src/core/jid/jid.ts';
import { anyAddress } from './text-arbitrary.ts';

function read(text: string): Jid | undefined {
  try {
    return parseJid(text);
  } catch (error) {
    if (error instanceof JidError) return undefined;
    throw error;
  }
}

/** A prepared address does not change when it is prepared again, and neither do its parts. */
function check(text: string): void {
  const jid = read(text);
  if (jid === undefined) return;
  const again = parseJid(String(jid));
  expect(String(again)).toBe(String(jid));
  expect([again.local, again.domain, again.resource]).toEqual([
    jid.local,
    jid.domain,
    jid.resource,
  ]);
  expect(new WrittenAddress(text).denotes(jid)).toBe(true);
  expect(/[\p{Cc}\p{Cs}]/u.test(String(jid))).toBe(false);
}

test('an address that is prepared twice equals one that is prepared once', () => {
  fc.assert(fc.property(anyAddress, check), { numRuns: 5000 });
});

test('the same holds for every character, in each part and beside others', () => {
  for (let code = 0; code <= 0x10ffff; code += code < 0x3000 ? 1 : 37) {
    const character = String.fromCodePoint(code);
    check(`${character}@example.org`);
    check(`a${character}\u0301@${character}x.example/${character}`);
  }
});
