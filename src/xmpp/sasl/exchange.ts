import { authenticationUnavailable } from '../wire/gateway-errors.ts';
import type { ClientStream } from './client-stream.ts';
import { type Mechanism, type ScramMechanism, saslNamespace } from './mechanisms.ts';
import { createScramClient, parseBase64, type ScramClient, ScramError, toBase64 } from './scram.ts';
import type { StreamElement } from './stream-reader.ts';

/** Who logs in, and with which password. */
export interface SaslCredentials {
  readonly username: string;
  /** As the user typed it. */
  readonly password: string;
  /** After SASLprep (RFC 4013). */
  readonly preparedPassword: string;
}

/**
 * How a login ended. The server answers `not-authorized` to a wrong password, but also to a right one
 * when it stores no hash for the mechanism. The step at which it answers so shows which it may be:
 * - `no-hash`, before a challenge: there is no such hash, or no such user.
 * - `wrong-proof`, after the challenge: there was a hash, and the password or the channel binding did not
 *   match.
 *
 * `denied` is final.
 */
export type LoginOutcome = 'accepted' | 'no-hash' | 'wrong-proof' | 'denied';

interface SaslAnswer {
  readonly kind: 'challenge' | 'success' | 'failure';
  /** Decoded data, or the condition of a failure. */
  readonly text: string;
}

/** The conditions, besides `not-authorized`, that reject the credentials (RFC 6120 §6.5). */
const denials: ReadonlySet<string> = new Set(['account-disabled', 'credentials-expired']);

/** The server errors of SCRAM that mean `not-authorized` (RFC 5802 §7). */
const wrongScramCredentials: ReadonlySet<string> = new Set([
  'invalid-proof',
  'unknown-user',
  'invalid-username-encoding',
]);

/** Logs in by SASL (RFC 6120 §6). It stops at `<success/>`, so no resource is bound. */
export async function authenticate(
  stream: ClientStream,
  mechanism: Mechanism,
  credentials: SaslCredentials,
): Promise<LoginOutcome> {
  return 'hash' in mechanism
    ? await authenticateScram(stream, mechanism, credentials)
    : await authenticatePlain(stream, credentials);
}

/** RFC 4616 §2: the server prepares the password. ejabberd may store, and compare, it as typed. */
async function authenticatePlain(
  stream: ClientStream,
  { username, password }: SaslCredentials,
): Promise<LoginOutcome> {
  sendAuth(stream, 'PLAIN', `\0${username}\0${password}`);
  return readVerdict(await nextAnswer(stream), 'wrong-proof');
}

async function authenticateScram(
  stream: ClientStream,
  { name, hash, binding }: ScramMechanism,
  { username, preparedPassword: password }: SaslCredentials,
): Promise<LoginOutcome> {
  const client = createScramClient({ hash, username, password, binding });
  sendAuth(stream, name, client.firstMessage);
  const first = await nextAnswer(stream);
  if (first.kind !== 'challenge') {
    return readFailure(first, 'no-hash');
  }
  sendResponse(stream, await answerChallenge(client, first.text));

  const final = await nextAnswer(stream);
  if (final.kind === 'failure') {
    return readFailure(final, 'wrong-proof');
  }
  if (final.kind === 'challenge' && final.text.startsWith('e=')) {
    assertRefusedByScram(final.text.slice(2));
    sendResponse(stream, '');
    return readFailure(await nextAnswer(stream), 'wrong-proof');
  }
  if (!client.isVerified(final.text)) {
    throw authenticationUnavailable('The XMPP server did not prove that it knows the user.');
  }
  if (final.kind === 'success') {
    return 'accepted';
  }
  // RFC 6120 §6.4.5: a server may put its final message into a separate challenge.
  sendResponse(stream, '');
  return readVerdict(await nextAnswer(stream), 'wrong-proof');
}

async function answerChallenge(client: ScramClient, challenge: string): Promise<string> {
  try {
    return await client.answer(challenge);
  } catch (error) {
    if (error instanceof ScramError) {
      throw authenticationUnavailable(`The XMPP server violates SCRAM. ${error.message}`, error);
    }
    throw error;
  }
}

function sendAuth(stream: ClientStream, mechanism: string, message: string): void {
  stream.write(
    `<auth xmlns='${saslNamespace}' mechanism='${mechanism}'>${toBase64(message)}</auth>`,
  );
}

function sendResponse(stream: ClientStream, message: string): void {
  stream.write(`<response xmlns='${saslNamespace}'>${toBase64(message)}</response>`);
}

async function nextAnswer(stream: ClientStream): Promise<SaslAnswer> {
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

/** RFC 6120 §6.4.2: `=` means data of zero bytes. */
function decode(text: string): string {
  const bytes = text === '=' ? Buffer.alloc(0) : parseBase64(text);
  if (bytes === undefined) {
    throw authenticationUnavailable('The XMPP server sent SASL data that is not Base64.');
  }
  return bytes.toString('utf8');
}

function readCondition(failure: StreamElement): string {
  const condition = failure.children.find(
    ({ name, namespace }) => namespace === saslNamespace && name !== 'text',
  );
  return condition?.name ?? 'no condition';
}

function readVerdict(answer: SaslAnswer, refusal: LoginOutcome): LoginOutcome {
  return answer.kind === 'success' ? 'accepted' : readFailure(answer, refusal);
}

/** `refusal` for `not-authorized`; throws unless the answer is a failure that rejects the credentials. */
function readFailure(answer: SaslAnswer, refusal: LoginOutcome): LoginOutcome {
  if (answer.kind === 'failure' && answer.text === 'not-authorized') {
    return refusal;
  }
  if (answer.kind === 'failure' && denials.has(answer.text)) {
    return 'denied';
  }
  const got = answer.kind === 'failure' ? answer.text.slice(0, 40) : answer.kind;
  throw authenticationUnavailable(`The XMPP server did not decide on the login (${got}).`);
}

function assertRefusedByScram(error: string): void {
  if (!wrongScramCredentials.has(error)) {
    throw authenticationUnavailable('The XMPP server broke off the SCRAM exchange.');
  }
}
