import { authenticationUnavailable } from './authentication-unavailable.ts';
import type { ClientStream } from './client-stream.ts';
import {
  createScramClient,
  parseBase64,
  type ScramClient,
  ScramError,
  type ScramHash,
  toBase64,
} from './scram.ts';
import { findChild, type StreamElement } from './stream-reader.ts';

/** Who logs in, and with what. */
export interface SaslCredentials {
  readonly username: string;
  /** As the user typed it. */
  readonly password: string;
  /** Under SASLprep (RFC 4013). */
  readonly preparedPassword: string;
}

type Mechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-1' | 'PLAIN';

interface Answer {
  readonly kind: 'challenge' | 'success' | 'failure';
  /** Decoded data, or the condition of a failure. */
  readonly text: string;
}

const saslNamespace = 'urn:ietf:params:xml:ns:xmpp-sasl';

const hashes: Readonly<Record<Exclude<Mechanism, 'PLAIN'>, ScramHash>> = {
  'SCRAM-SHA-256': 'sha256',
  'SCRAM-SHA-1': 'sha1',
};

/** The conditions that are a definite no to the credentials (RFC 6120 §6.5). */
const wrongCredentials: ReadonlySet<string> = new Set([
  'not-authorized',
  'account-disabled',
  'credentials-expired',
]);

/** The same among the server errors of SCRAM (RFC 5802 §7). */
const wrongScramCredentials: ReadonlySet<string> = new Set([
  'invalid-proof',
  'unknown-user',
  'invalid-username-encoding',
]);

/**
 * Logs in by SASL (RFC 6120 §6) up to `<success/>`, so that no resource is bound; `false` when the
 * server says that the credentials are wrong.
 */
export async function authenticate(
  stream: ClientStream,
  credentials: SaslCredentials,
): Promise<boolean> {
  const mechanism = chooseMechanism(stream);
  return mechanism === 'PLAIN'
    ? await authenticatePlain(stream, credentials)
    : await authenticateScram(stream, mechanism, credentials);
}

function chooseMechanism(stream: ClientStream): Mechanism {
  const offered = readMechanisms(stream.features);
  if (offered.includes('SCRAM-SHA-256')) {
    return 'SCRAM-SHA-256';
  }
  if (offered.includes('SCRAM-SHA-1')) {
    return 'SCRAM-SHA-1';
  }
  // RFC 4616 §4: the password itself only where nobody can listen.
  if (offered.includes('PLAIN') && stream.isEncrypted) {
    return 'PLAIN';
  }
  const list = offered.join(', ').slice(0, 100) || 'none';
  throw authenticationUnavailable(
    `The XMPP server offers no usable SASL mechanism: expected SCRAM-SHA-256, SCRAM-SHA-1${stream.isEncrypted ? ' or PLAIN' : ''}, got ${list}.`,
  );
}

function readMechanisms(features: StreamElement): string[] {
  const list = findChild(features, 'mechanisms', saslNamespace)?.children ?? [];
  return list
    .filter(({ name, namespace }) => name === 'mechanism' && namespace === saslNamespace)
    .map(({ text }) => text);
}

/** RFC 4616 §2: preparing is the server's; ejabberd may hold a password as typed, and compares so. */
async function authenticatePlain(
  stream: ClientStream,
  { username, password }: SaslCredentials,
): Promise<boolean> {
  sendAuth(stream, 'PLAIN', `\0${username}\0${password}`);
  const answer = await nextAnswer(stream);
  return answer.kind === 'success' || isRefused(answer);
}

async function authenticateScram(
  stream: ClientStream,
  mechanism: keyof typeof hashes,
  { username, preparedPassword }: SaslCredentials,
): Promise<boolean> {
  const client = createScramClient(hashes[mechanism], username, preparedPassword);
  sendAuth(stream, mechanism, client.firstMessage);
  const first = await nextAnswer(stream);
  if (first.kind !== 'challenge') {
    return isRefused(first);
  }
  sendResponse(stream, await answerChallenge(client, first.text));

  const final = await nextAnswer(stream);
  if (final.kind === 'failure') {
    return isRefused(final);
  }
  if (final.text.startsWith('e=')) {
    return isRefusedByScram(final.text.slice(2));
  }
  if (!client.isVerified(final.text)) {
    throw authenticationUnavailable('The XMPP server did not prove that it knows the user.');
  }
  return final.kind === 'success' || (await acknowledge(stream));
}

/** RFC 6120 §6.4.5: a server may put its final message into a challenge of its own. */
async function acknowledge(stream: ClientStream): Promise<boolean> {
  sendResponse(stream, '');
  const answer = await nextAnswer(stream);
  return answer.kind === 'success' || isRefused(answer);
}

async function answerChallenge(client: ScramClient, challenge: string): Promise<string> {
  try {
    return await client.answer(challenge);
  } catch (error) {
    if (error instanceof ScramError) {
      throw authenticationUnavailable(`The XMPP server breaks SCRAM. ${error.message}`, error);
    }
    throw error;
  }
}

function sendAuth(stream: ClientStream, mechanism: Mechanism, message: string): void {
  stream.send(
    `<auth xmlns='${saslNamespace}' mechanism='${mechanism}'>${toBase64(message)}</auth>`,
  );
}

function sendResponse(stream: ClientStream, message: string): void {
  stream.send(`<response xmlns='${saslNamespace}'>${toBase64(message)}</response>`);
}

async function nextAnswer(stream: ClientStream): Promise<Answer> {
  const element = await stream.next();
  if (element.namespace === saslNamespace) {
    if (element.name === 'challenge' || element.name === 'success') {
      return { kind: element.name, text: decode(element.text) };
    }
    if (element.name === 'failure') {
      return { kind: 'failure', text: readCondition(element) };
    }
  }
  throw authenticationUnavailable('The XMPP server did not follow SASL.');
}

/** RFC 6120 §6.4.2: `=` stands for data of no bytes. */
function decode(text: string): string {
  const bytes = text === '=' ? Buffer.alloc(0) : parseBase64(text);
  if (bytes === undefined) {
    throw authenticationUnavailable('The XMPP server sent SASL data that is no Base64.');
  }
  return bytes.toString('utf8');
}

function readCondition(failure: StreamElement): string {
  const condition = failure.children.find(
    ({ name, namespace }) => namespace === saslNamespace && name !== 'text',
  );
  return condition?.name ?? 'no condition';
}

/** `false` for a definite no; throws for every other answer. */
function isRefused(answer: Answer): false {
  if (answer.kind === 'failure' && wrongCredentials.has(answer.text)) {
    return false;
  }
  const got = answer.kind === 'failure' ? answer.text.slice(0, 40) : answer.kind;
  throw authenticationUnavailable(`The XMPP server did not decide on the login (${got}).`);
}

function isRefusedByScram(error: string): false {
  if (wrongScramCredentials.has(error)) {
    return false;
  }
  throw authenticationUnavailable('The XMPP server broke the SCRAM exchange off.');
}
