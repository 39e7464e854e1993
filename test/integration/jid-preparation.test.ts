import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { constantFrom, integer, oneof, sample, string } from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { JidError, parseDomain, parseLocalpart } from '../../src/core/jid/jid.ts';
import { prosodyCode } from '../support/servers/versions.ts';
import { createDirectory, removeDirectory, runToSuccess } from '../support/system/processes.ts';

/** What a server makes of each text; undefined where it refuses. */
type Preparation = readonly (string | undefined)[];

const directory = createDirectory('jid');
afterAll(() => removeDirectory(directory));

/** Feeds the texts to a program in hexadecimal, one a line; `-` in its answer is a refusal. */
async function runPreparation(texts: readonly string[], args: readonly string[]) {
  const input = join(directory, randomUUID());
  await writeFile(input, texts.map((text) => `${Buffer.from(text).toString('hex')}\n`).join(''));
  const shell = ['-c', 'exec "$@" <"$0"', input];
  const output = await runToSuccess({ file: 'sh', args: [...shell, ...args] });
  const lines = output.split('\n').slice(0, -1);
  expect(lines).toHaveLength(texts.length);
  return lines.map((line) => (line === '-' ? undefined : Buffer.from(line, 'hex').toString()));
}

/** As util.jid does for each stanza that it routes; `strict` as for accounts. */
async function prepareOnProsody(profile: string, texts: readonly string[], strict: boolean) {
  const { lua, directory: code } = prosodyCode();
  const script = `
    package.cpath = ${JSON.stringify(join(code, '?.so'))}
    local prepare = require "util.encodings".stringprep.${profile}
    for line in io.lines() do
      local text = line:gsub("..", function (byte) return string.char(tonumber(byte, 16)) end)
      local prepared = prepare(text, ${strict ? 'true' : 'nil'})
      if prepared then
        prepared = prepared:gsub(".", function (byte) return ("%02x"):format(byte:byte()) end)
      end
      io.write(prepared or "-", "\\n")
    end`;
  return runPreparation(texts, [lua, '-e', script]);
}

/** As ejabberd does for each address that it reads. */
async function prepareOnEjabberd(profile: string, texts: readonly string[]) {
  const script = `
    {ok, _} = application:ensure_all_started(stringprep),
    {ok, Input} = file:read_file("/dev/stdin"),
    Prepare = fun(error) -> "-\\n"; (Text) -> [binary:encode_hex(Text), "\\n"] end,
    io:put_chars([Prepare(jid:${profile}(binary:decode_hex(Line)))
      || Line <- binary:split(Input, <<"\\n">>, [global, trim])]),
    halt().`;
  return runPreparation(texts, ['erl', '-noshell', '-eval', script]);
}

function* range(from: number, to: number, step = 1) {
  for (let codePoint = from; codePoint <= to; codePoint += step) {
    if (codePoint < 0xd800 || codePoint > 0xdfff) yield String.fromCodePoint(codePoint);
  }
}

/** IDNA's full stops are dots to us, and the one at the end goes (RFC 7622 §3.2). */
function normalizeFullStops(domain: string): string {
  return domain.replace(/[\u3002\uff0e\uff61]/g, '.').replace(/\.$/, '');
}

/** The whole BMP, the astral blocks where preparation changes something, and a sample of the rest. */
const characters = [
  ...range(0, 0xffff),
  ...range(0x10300, 0x104ff),
  ...range(0x1d000, 0x1d7ff),
  ...range(0x2f800, 0x2fa1f),
  ...range(0xe0000, 0xe01ff),
  ...range(0x10000, 0x10ffff, 293),
];

/** Without the Han, Hangul and private blocks, which are one case each. */
const fewCharacters = characters.filter(
  (character) => !/[\u3401-\u9fa4\uac01-\ud7a2\ue001-\uf8fe]/.test(character),
);

const oneOf = (text: string) => constantFrom(...Array.from(text));
const sequences = sample(
  string({
    minLength: 1,
    maxLength: 6,
    unit: oneof(
      // Case, compatibility forms, width, digits, dots.
      oneOf('aAzßſςΣİIıµŉǅΐᾳῼKÅℌⅨﬁﬅ㎏㏆㍱ＡａｱﾞＺ0９٣۳.-。．｡․Ӏ'),
      // Marks of many classes, characters that compose with the one before them.
      oneOf('\u0300\u0301\u0308\u0323\u0327\u0328\u031b\u0334\u0345\u093c\u0903\u3099'),
      oneOf('\u0b47\u0b3e\u0bc6\u0bbe\u0cbf\u0cca\u0dd9\u0dcf\u1025\u102e\u{1d157}\u{1d165}'),
      oneOf('ᄀᄒ\u1161\u1175\u11a8\u11c2가각힣ㄱㅏ'),
      // Directions.
      oneOf('אבשׁعيﷲלּ\u05b0\u064b\u06dd\u0661܀ހ1!⠀'),
      integer({ min: 0x20, max: 0x33ff }).map((codePoint) => String.fromCodePoint(codePoint)),
    ),
  }),
  { seed: 3454, numRuns: 20_000 },
);

/** RFC 3454 B.1: servers drop them. */
const dropped = /[\u034f\u180b-\u180d\ufe00-\ufe0f\xad\u1806\u200b-\u200d\u2060\ufeff]/u;
/** Corrigendum #4: today's normalisation differs from that of Unicode 3.2. */
const corrected = /[\u{2f868}\u{2f874}\u{2f91f}\u{2f95f}\u{2f9bf}]/u;
/** RFC 3454 C.8 prohibits them, but they do not outlive NFKC. */
const deprecated = /[\u0340\u0341]/;
/** No letters to today's IDNA: capitals that Unicode 3.2 had no small letter for, and fillers. */
const notInDomains = /[\u17b4\u17b5\u04c0\u10a0-\u10c5\u115f\u1160\u2132\u2183\u3164\uffa0]/;
/** Arabic numbers, which no label holds together with Latin letters (RFC 5893 §2). */
const arabicNumbers = /[\u0660-\u0669\u066b\u066c]/;
/** Characters that no host name may contain, even as a result of the preparation. */
const notInHostNames = /[\0-,/:-@[-`{-\x7f]|\.\./;

const parts = [
  {
    part: 'localpart',
    profile: 'nodeprep',
    parse: parseLocalpart,
    singles: characters,
    // Beside right-to-left letters, most others are refused.
    more: [...fewCharacters.map((character) => `א${character}א`), ...sequences],
    split: (text: string) => text,
    isRefusedByUs: (text: string) =>
      [dropped, corrected, deprecated].some((characterClass) => characterClass.test(text)),
  },
  {
    part: 'domainpart',
    profile: 'nameprep',
    parse: parseDomain,
    singles: fewCharacters.map((character) => `a${character}a`),
    more: sequences,
    split: normalizeFullStops,
    isRefusedByUs: (text: string, prepared: string) =>
      [dropped, corrected, deprecated, notInDomains, arabicNumbers].some((it) => it.test(text)) ||
      notInHostNames.test(prepared),
  },
];

describe.each(parts)('$part', ({ profile, parse, singles, more, split, isRefusedByUs }) => {
  const texts = [...singles, ...more];
  const ours = texts.map((text) => {
    try {
      return parse(text);
    } catch (error) {
      if (error instanceof JidError) return undefined;
      throw error;
    }
  });
  let prosody: Preparation;
  let ejabberd: Preparation;
  beforeAll(async () => {
    const given = texts.map(split);
    [prosody, ejabberd] = await Promise.all([
      prepareOnProsody(profile, given, false),
      prepareOnEjabberd(profile, given),
    ]);
  });

  test('what we accept, both servers leave as it is', async () => {
    const accepted = [...new Set(ours.filter((text) => text !== undefined))];
    expect(accepted.length).toBeGreaterThan(10_000);
    const prepared = await Promise.all([
      prepareOnProsody(profile, accepted, false),
      prepareOnProsody(profile, accepted, true),
      prepareOnEjabberd(profile, accepted),
    ]);
    for (const answers of prepared) {
      expect(accepted.filter((text, index) => answers[index] !== text)).toEqual([]);
    }
  });

  test('where both servers prepare alike, so do we, or we refuse', () => {
    const differing = texts.filter((_, index) => {
      const prepared = prosody[index];
      if (prepared === undefined || prepared !== ejabberd[index]) return false;
      return ours[index] !== undefined && ours[index] !== prepared;
    });
    expect(differing).toEqual([]);
  });

  test('what a server refuses, we refuse', () => {
    const refused = [prosody, ejabberd].flatMap((server) =>
      texts.filter((_, index) => server[index] === undefined && ours[index] !== undefined),
    );
    expect(refused).toEqual([]);
  });

  test('of characters that both servers take, we refuse only those listed', () => {
    const refused = singles.filter((text, index) => {
      const prepared = prosody[index];
      if (prepared === undefined || prepared === '' || prepared !== ejabberd[index]) return false;
      return ours[index] === undefined && !isRefusedByUs(text, prepared);
    });
    expect(refused).toEqual([]);
  });
});
