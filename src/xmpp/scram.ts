import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/** The hash functions of SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677). */
export type ScramHash = 'sha1' | 'sha256';

/** One authentication by SCRAM, seen from the client; messages without their Base64. */
export interface ScramClient {
  readonly firstMessage: string;
  /** Answers the server's first message; throws ScramError when it is not one to answer. */
  answer(serverFirstMessage: string): Promise<string>;
  /** Whether the server's final message proves that the server knows the password, too. */
  isVerified(serverFinalMessage: string): boolean;
}

/** The server's side of the exchange breaks the protocol. */
export class ScramError extends Error {
  override readonly name = 'ScramError';
}

interface Challenge {
  readonly nonce: string;
  readonly salt: Buffer;
  readonly iterations: number;
}

/** RFC 5802 §5.1; extensions may follow, a mandatory one (`m=`) would come first. */
const challengePattern = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9]\d*)(?:,|$)/;

/**
 * Bounds the CPU that a server can make us spend, at some half a second. There is no least count:
 * a server that is trusted to see a password under PLAIN may also store it as it likes.
 */
const maxIterations = 1_000_000;

const channelBindingHeader = 'n,,';

const derive = promisify(pbkdf2);

/** Starts an authentication (RFC 5802 §5); user name and password are prepared by SASLprep. */
export function createScramClient(
  hash: ScramHash,
  username: string,
  password: string,
  nonce: string = randomBytes(24).toString('base64'),
): ScramClient {
  const firstBare = `n=${escapeName(username)},r=${nonce}`;
  let expected: Buffer | undefined;

  return {
    firstMessage: `${channelBindingHeader}${firstBare}`,

    answer: async (serverFirst) => {
      const challenge = parseChallenge(serverFirst, nonce);
      const finalBare = `c=${toBase64(channelBindingHeader)},r=${challenge.nonce}`;
      const authMessage = `${firstBare},${serverFirst},${finalBare}`;
      const length = hash === 'sha1' ? 20 : 32;
      const salted = await derive(password, challenge.salt, challenge.iterations, length, hash);
      // RFC 5802 §3: ClientProof := ClientKey XOR HMAC(StoredKey, AuthMessage)
      const clientKey = hmac(hash, salted, 'Client Key');
      const storedKey = createHash(hash).update(clientKey).digest();
      const proof = xor(clientKey, hmac(hash, storedKey, authMessage));
      expected = hmac(hash, hmac(hash, salted, 'Server Key'), authMessage);
      return `${finalBare},p=${proof.toString('base64')}`;
    },

    isVerified: (serverFinal) => {
      const signature = parseBase64(/^v=([^,]*)/.exec(serverFinal)?.[1] ?? '');
      return (
        expected !== undefined &&
        signature?.length === expected.length &&
        timingSafeEqual(signature, expected)
      );
    },
  };
}

function parseChallenge(message: string, clientNonce: string): Challenge {
  const [, nonce, saltText, iterationsText] = challengePattern.exec(message) ?? [];
  const salt = parseBase64(saltText ?? '');
  if (nonce === undefined || salt === undefined) {
    throw new ScramError('The challenge is not one of SCRAM.');
  }
  // RFC 5802 §5.1: without a part of the server's own, an old exchange could be replayed.
  if (!nonce.startsWith(clientNonce) || nonce.length === clientNonce.length) {
    throw new ScramError("The challenge does not extend the client's nonce.");
  }
  const iterations = Number(iterationsText);
  if (iterations > maxIterations) {
    throw new ScramError(`The challenge asks for more than ${maxIterations} iterations.`);
  }
  return { nonce, salt, iterations };
}

/** Decodes canonical Base64 with its padding (RFC 4648 §4); undefined for anything else. */
export function parseBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** Base64 of the text's UTF-8. */
export function toBase64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** RFC 5802 §5.1, `saslname`. */
function escapeName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C');
}

function hmac(hash: ScramHash, key: Buffer, text: string): Buffer {
  return createHmac(hash, key).update(text).digest();
}

function xor(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(left.map((byte, index) => byte ^ (right[index] ?? 0)));
}
