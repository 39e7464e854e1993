import { authenticationUnavailable } from '../wire/outcome.ts';
import type { ClientStream } from './client-stream.ts';
import { type Mechanism, type ScramMechanism, saslNamespace } from './mechanisms.ts';
import { createScramClient, parseBase64, type ScramClient, ScramError, toBase64 } from './scram.ts';
import type { StreamElement } from './stream-reader.ts';

/** Who logs in, and with what. */
export interface SaslCredentials {
  readonly username: string;
  /** As the user typed it. */
  readonly password: string;
  /** Under SASLprep (RFC 4013). */
  readonly preparedPassword: string;
}

/**
 * How a login ended. The server says `not-authorized` both to a wrong password and to a right one
 * of which it stores no hash that fits the mechanism; the step at which it does tells more:
 * `no-hash` came before a challenge, so there is no such hash, or no such user; `wrong-proof` came
 * after it, so the hash was there and the password, or the channel binding, did not fit. `denied`
 * is for good.
 */
export type LoginOutcome = 'accepted' | 'no-hash' | 'wrong-proof' | 'denied';

interface SaslAnswer {
  readonly kind: 'challenge' | 'success' | 'failure';
  /** Decoded data, or the condition of a failure. */
  readonly text: string;
}

/** Besides `not-authorized`, the conditions that decide on the credentials (RFC 6120 §6.5). */
const denials: ReadonlySet<string> = new Set(['account-disabled', 'credentials-expired']);

/** The server errors of SCRAM that mean `not-authorized` (RFC 5802 §7). */
const wrongScramCredentials: ReadonlySet<string> = new Set([
  'invalid-proof',
  'unknown-user',
  'invalid-username-encoding',
]);

/** Logs in by SASL (RFC 6120 §6) up to `<success/>`, so that no resource is bound. */
export async function authenticate(
  stream: ClientStream,
  mechanism: Mechanism,
  credentials: SaslCredentials,
): Promise<LoginOutcome> {
  return 'hash' in mechanism
    ? await authenticateScram(stream, mechanism, credentials)
    : await authenticatePlain(stream, credentials);
}

/** RFC 4616 §2: preparing is the server's; ejabberd may hold a password as typed, and compares so. */
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
  // RFC 6120 §6.4.5: a server may put its final message into a challenge of its own.
  sendResponse(stream, '');
  return readVerdict(await nextAnswer(stream), 'wrong-proof');
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

function sendAuth(stream: ClientStream, mechanism: string, message: string): void {
  stream.send(
    `<auth xmlns='${saslNamespace}' mechanism='${mechanism}'>${toBase64(message)}</auth>`,
  );
}

function sendResponse(stream: ClientStream, message: string): void {
  stream.send(`<response xmlns='${saslNamespace}'>${toBase64(message)}</response>`);
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

function readVerdict(answer: SaslAnswer, refusal: LoginOutcome): LoginOutcome {
  return answer.kind === 'success' ? 'accepted' : readFailure(answer, refusal);
}

/** `refusal` for `not-authorized`; throws for everything but a failure that decides. */
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
    throw authenticationUnavailable('The XMPP server broke the SCRAM exchange off.');
  }
}
