import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import type { ChannelBinding } from './channel-binding.ts';

/**
 * The hash functions of SCRAM-SHA-1 (RFC 5802), SCRAM-SHA-256 (RFC 7677) and SCRAM-SHA-512
 * (registered with IANA, by the rules of RFC 7677).
 */
export type ScramHash = 'sha1' | 'sha256' | 'sha512';

/** The input of an authentication by SCRAM. */
export interface ScramOptions {
  readonly hash: ScramHash;
  /** After SASLprep (RFC 4013), like the password. */
  readonly username: string;
  readonly password: string;
  /** For the `-PLUS` variants. */
  readonly binding?: ChannelBinding | undefined;
  /** Random by default. */
  readonly nonce?: string;
}

/** The client's side of one authentication by SCRAM. Messages are without their Base64. */
export interface ScramClient {
  readonly firstMessage: string;
  /** Answers the server's first message; throws ScramError when that message is not acceptable. */
  answer(serverFirstMessage: string): Promise<string>;
  /** Whether the server's final message proves that the server knows the password as well. */
  isVerified(serverFinalMessage: string): boolean;
}

/** The server violates the protocol. */
export class ScramError extends Error {
  override readonly name = 'ScramError';
}

interface Challenge {
  readonly nonce: string;
  readonly salt: Buffer;
  readonly iterations: number;
}

/** RFC 5802 §5.1; extensions may follow, but a mandatory one (`m=`) would come first. */
const challengePattern = /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9]\d*)(?:,|$)/;

/**
 * Limits the CPU time that a server can make us spend to about half a second. There is no minimum: a
 * server that we trust to see a password under PLAIN may also store it as it likes.
 */
const maxIterations = 1_000_000;

const digestBytes: Readonly<Record<ScramHash, number>> = { sha1: 20, sha256: 32, sha512: 64 };

const derive = promisify(pbkdf2);

/** Starts an authentication (RFC 5802 §5). */
export function createScramClient(options: ScramOptions): ScramClient {
  const { hash, username, password, binding } = options;
  const nonce = options.nonce ?? randomBytes(24).toString('base64');
  const header = buildGs2Header(binding);
  const firstBare = `n=${escapeName(username)},r=${nonce}`;
  let expected: Buffer | undefined;

  return {
    firstMessage: `${header}${firstBare}`,

    answer: async (serverFirst) => {
      const challenge = parseChallenge(serverFirst, nonce);
      // RFC 5802 §7: cbind-input = gs2-header [ cbind-data ]
      const bindingInput = Buffer.concat([Buffer.from(header), binding?.data ?? Buffer.alloc(0)]);
      const finalBare = `c=${bindingInput.toString('base64')},r=${challenge.nonce}`;
      const authMessage = `${firstBare},${serverFirst},${finalBare}`;
      const { salt, iterations } = challenge;
      const salted = await derive(password, salt, iterations, digestBytes[hash], hash);
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

/**
 * RFC 5802 §6. The flag is `p` for the `-PLUS` variants and `n` for the others: without `-PLUS` this is
 * a client that does not bind. It is never `y`, which lets a server notice that an attacker removed its
 * `-PLUS` variants from the list. An attacker that can do so under a verified certificate can remove all
 * of SCRAM, so `y` would protect nobody; and servers whose operator has turned `-PLUS` off refuse `y`
 * (Prosody 0.12 under TLS 1.2 and 13.0, ejabberd 24.12).
 */
function buildGs2Header(binding: ChannelBinding | undefined): string {
  return binding === undefined ? 'n,,' : `p=${binding.type},,`;
}

function parseChallenge(message: string, clientNonce: string): Challenge {
  const [, nonce, saltText, iterationsText] = challengePattern.exec(message) ?? [];
  const salt = parseBase64(saltText ?? '');
  if (nonce === undefined || salt === undefined) {
    throw new ScramError('The challenge is not a SCRAM challenge.');
  }
  // RFC 5802 §5.1: unless the server adds a part, an old exchange could be replayed.
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
