import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';
import { text } from './stanza.ts';
import type { XmlStream } from './xml-stream.ts';

/** Mechanisms of the test client, the cheapest one first. */
export const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-1'] as const;
export type Mechanism = (typeof mechanisms)[number];

const namespace = 'urn:ietf:params:xml:ns:xmpp-sasl';

function encode(value: string): string {
  return Buffer.from(value).toString('base64');
}

async function answerOf(stream: XmlStream): Promise<string> {
  const { root, xml } = await stream.waitFor(
    (stanza) => stanza.root.namespace === namespace,
    'an answer to SASL',
  );
  stream.received.length = 0;
  if (root.name === 'failure') throw new Error(`the server refused the login: ${xml}`);
  return Buffer.from(text(root), 'base64').toString();
}

function fieldsOf(message: string): Map<string, string> {
  return new Map(message.split(',').map((field) => [field.slice(0, 1), field.slice(2)]));
}

/** Authenticates (RFC 6120 §6, RFC 5802); throws with the server's answer when it refuses. */
export async function authenticate(
  stream: XmlStream,
  mechanism: Mechanism,
  username: string,
  password: string,
): Promise<void> {
  const begin = (initial: string): void =>
    stream.send(`<auth xmlns='${namespace}' mechanism='${mechanism}'>${encode(initial)}</auth>`);
  if (mechanism === 'PLAIN') {
    begin(`\0${username}\0${password}`);
    await answerOf(stream);
    return;
  }
  const hash = mechanism === 'SCRAM-SHA-1' ? 'sha1' : 'sha256';
  const hmac = (key: Buffer, data: string): Buffer => createHmac(hash, key).update(data).digest();
  const name = username.replaceAll('=', '=3D').replaceAll(',', '=2C');
  const first = `n=${name},r=${randomBytes(12).toString('base64')}`;
  begin(`n,,${first}`);

  const challenge = await answerOf(stream);
  const fields = fieldsOf(challenge);
  const salt = Buffer.from(fields.get('s') ?? '', 'base64');
  const length = hash === 'sha1' ? 20 : 32;
  const salted = pbkdf2Sync(password, salt, Number(fields.get('i')), length, hash);
  const final = `c=biws,r=${fields.get('r')}`;
  const signed = `${first},${challenge},${final}`;
  const key = hmac(salted, 'Client Key');
  const signature = hmac(createHash(hash).update(key).digest(), signed);
  const proof = key.map((byte, index) => byte ^ (signature[index] ?? 0));
  stream.send(
    `<response xmlns='${namespace}'>${encode(`${final},p=${Buffer.from(proof).toString('base64')}`)}</response>`,
  );

  const verifier = Buffer.from(fieldsOf(await answerOf(stream)).get('v') ?? '', 'base64');
  const expected = hmac(hmac(salted, 'Server Key'), signed);
  if (verifier.length !== expected.length || !timingSafeEqual(verifier, expected)) {
    throw new Error("expected the server's signature in <success/>, got another");
  }
}
