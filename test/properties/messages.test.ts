import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultLimits } from '../../src/config/config.ts';
import { GatewayError, problems } from '../../src/core/errors.ts';
import { parseJid, WrittenAddress } from '../../src/core/jid/jid.ts';
import { parseJson } from '../../src/core/json.ts';
import { parseMessageFromXml } from '../../src/core/message/from-xml.ts';
import { type Message, type Stanza, serializeMessage } from '../../src/core/message/message.ts';
import { decodeUtf8 } from '../../src/core/text.ts';
import { readMessageFromJson } from '../unit/core/message-context.ts';
import { type Expat, startExpat } from './expat.ts';
import { readDocument, readFields } from './expected.ts';
import { messageJson, mutatedJson } from './json-arbitrary.ts';
import { anyText } from './text-arbitrary.ts';
import { type Infoset, readFromWire } from './wire.ts';
import { messageXml, mutatedXml } from './xml-arbitrary.ts';

let expat: Expat;

beforeAll(async () => {
  expat = await startExpat();
});
afterAll(() => expat.stop());

const from = 'myuser@example.org';
const context = {
  from: parseJid(from),
  limits: defaultLimits,
  componentDomain: 'gateway.example.org',
  servedDomains: new Set(['example.org']),
  createId: () => 'made-up',
  caller: 'user alice@example.org',
};

/** SEED in the environment repeats a failure, RUNS looks further. */
const parameters = {
  numRuns: Number(process.env['RUNS'] ?? 1500),
  ...(process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) }),
};

type Read = (text: string) => Message;
const readJson: Read = (text) => readMessageFromJson(parseJson(text), context);
const readXml: Read = (text) => parseMessageFromXml(text, context);

/** The stanza for a body, or the code of its refusal; rethrows any other error. */
function send(read: Read, text: string): Stanza | string {
  try {
    return serializeMessage(read(text), context.limits);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    expect(Object.keys(problems)).toContain(error.code);
    expect(JSON.stringify(error.options.errors ?? []).length).toBeLessThan(100_000);
    return error.code;
  }
}

/** Expects on the wire what the caller meant, from the right sender. */
function compare(stanza: Stanza, actual: Infoset, meant: Infoset): void {
  const own = new Map(actual.attributes);
  const given = new Map(meant.attributes);
  expect(own.get('{}from')).toBe(from);
  expect(own.get('{}id')).toBe(given.get('{}id') ?? 'made-up');
  const to = parseJid(own.get('{}to') ?? '');
  expect(to.toString()).toBe(own.get('{}to'));
  expect(new WrittenAddress(given.get('{}to') ?? '').denotes(to)).toBe(true);
  expect([stanza.id, String(stanza.from), String(stanza.to)]).toEqual([
    own.get('{}id'),
    from,
    own.get('{}to'),
  ]);
  for (const name of ['{}from', '{}id', '{}to']) {
    own.delete(name);
    given.delete(name);
  }
  expect({ ...actual, attributes: [...own] }).toEqual({ ...meant, attributes: [...given] });
}

/** The property itself; true when the body was accepted. */
async function check(
  read: Read,
  text: string,
  meaning: () => Promise<Infoset | undefined>,
): Promise<boolean> {
  const stanza = send(read, text);
  if (typeof stanza === 'string') return false;
  expect(stanza.bytes).toBe(Buffer.byteLength(stanza.xml));
  expect(stanza.bytes).toBeLessThanOrEqual(context.limits.stanzaBytes);
  const meant = await meaning();
  if (meant === undefined) throw new Error('accepted, but libexpat does not read it');
  compare(stanza, await readFromWire(expat, stanza.xml), meant);
  // A stanza of ours that is sent again does not change.
  expect(send(readXml, stanza.xml)).toEqual(stanza);
  return true;
}

async function checkAll(
  texts: fc.Arbitrary<string>,
  leastAccepted: number,
  checkOne: (text: string) => Promise<boolean>,
): Promise<void> {
  let runs = 0;
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      runs += 1;
      if (await checkOne(text)) accepted += 1;
    }),
    parameters,
  );
  // The property would say nothing about bodies that are all refused.
  expect(accepted / runs).toBeGreaterThan(leastAccepted);
}

const checkJson = (text: string): Promise<boolean> =>
  check(readJson, text, () => readFields(expat, JSON.parse(text.replace(/^\ufeff/, ''))));
const checkXml = async (text: string): Promise<boolean> => {
  if (send(readXml, text) === 'malformed-body') {
    // libexpat accepts any version, and the encoding that we tell it.
    const isDeclaredOtherwise = /^\ufeff?<\?xml(?! version='1\.0'\?>)/.test(text);
    if (!isDeclaredOtherwise) expect(await readDocument(expat, text)).toBe(undefined);
    return false;
  }
  return check(readXml, text, () => readDocument(expat, text));
};

test('any JSON value is refused or becomes one message that means the same', async () => {
  await checkAll(messageJson, 0.2, checkJson);
});

test('any JSON text is refused or becomes one message that means the same', async () => {
  await checkAll(mutatedJson, 0.05, checkJson);
});

test('any XML tree is refused or becomes one message that means the same', async () => {
  await checkAll(messageXml, 0.2, checkXml);
});

test('any XML text is, too, and is not called malformed when libexpat reads it', async () => {
  await checkAll(mutatedXml, 0.05, checkXml);
});

test('any text and any bytes are refused with a code', () => {
  const bytes = fc.uint8Array({ maxLength: 40 }).map((all) => {
    try {
      return decodeUtf8(all);
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'malformed-body') return '';
      throw error;
    }
  });
  fc.assert(
    fc.property(fc.oneof(anyText, bytes), (text) => {
      expect(['malformed-body', 'invalid-message']).toContain(send(readJson, text));
      expect(['malformed-body', 'invalid-message']).toContain(send(readXml, text));
    }),
    parameters,
  );
});
