import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { availableParallelism } from 'node:os';
import PQueue from 'p-queue';
import { GatewayError } from '../core/errors.ts';

interface ScryptCost {
  /** log2 of N (RFC 7914 §2). */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
}

interface PasswordHash extends ScryptCost {
  readonly salt: Buffer;
  readonly hash: Buffer;
}

const defaultCost: ScryptCost = { ln: 14, r: 8, p: 1 };
const saltBytes = 16;
const hashBytes = 32;
/** Memory limit of one run; scrypt fills 128 · N · r bytes (RFC 7914 §2). */
const maxMemoryBytes = 256 * 1024 * 1024;
/**
 * Concurrent runs: at most half of libuv's four threads, so that DNS look-ups and SASL checks are not
 * held up, and never on the last processor, which the event loop needs.
 */
const maxRuns = Math.max(1, Math.min(2, availableParallelism() - 1));
const maxWaiting = 256;

/** The PHC string format: https://github.com/P-H-C/phc-string-format, base64 without padding. */
const phcFormat =
  /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

/** Hashes a password with scrypt and a random salt; resolves with a PHC string. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  return format({
    ...defaultCost,
    salt,
    hash: await derive(password, salt, hashBytes, defaultCost),
  });
}

/**
 * Resolves with whether the password matches the PHC string; rejects with GatewayError `overloaded`
 * if too many passwords are waiting already.
 */
export async function verifyPassword(password: string, phc: string): Promise<boolean> {
  const { salt, hash, ...cost } = requirePasswordHash(phc);
  return timingSafeEqual(await derive(password, salt, hash.length, cost), hash);
}

/** Whether it is a PHC string of scrypt with costs that the gateway accepts. */
export function isPasswordHash(phc: string): boolean {
  return parsePasswordHash(phc) !== undefined;
}

/** Creates a PHC string that no password matches, as costly to verify as `phc` or the default. */
export function createUnmatchableHash(phc: string | undefined): string {
  const cost = phc === undefined ? defaultCost : requirePasswordHash(phc);
  const { ln, r, p } = cost;
  return format({ ln, r, p, salt: randomBytes(saltBytes), hash: randomBytes(hashBytes) });
}

function requirePasswordHash(phc: string): PasswordHash {
  const parsed = parsePasswordHash(phc);
  if (parsed === undefined) {
    throw new TypeError('expected a scrypt hash in PHC string format with acceptable costs');
  }
  return parsed;
}

function parsePasswordHash(phc: string): PasswordHash | undefined {
  const [, ln, r, p, salt = '', hash = ''] = phcFormat.exec(phc) ?? [];
  const cost = { ln: Number(ln), r: Number(r), p: Number(p) };
  if (!isAcceptable(cost)) return undefined;
  return { ...cost, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') };
}

function isAcceptable({ ln, r, p }: ScryptCost): boolean {
  const isInRange = ln >= 10 && ln <= 20 && r >= 1 && r <= 32 && p >= 1 && p <= 16;
  return isInRange && 128 * 2 ** ln * r <= maxMemoryBytes;
}

function format({ ln, r, p, salt, hash }: PasswordHash): string {
  return `$scrypt$ln=${ln},r=${r},p=${p}$${toUnpaddedBase64(salt)}$${toUnpaddedBase64(hash)}`;
}

function toUnpaddedBase64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

const turns = new PQueue({ concurrency: maxRuns });

function derive(password: string, salt: Buffer, length: number, cost: ScryptCost): Promise<Buffer> {
  if (turns.size >= maxWaiting) {
    throw new GatewayError('overloaded', 'Too many passwords are being checked.', {
      retryAfterSeconds: 1,
    });
  }
  return turns.add(() => runScrypt(password, salt, length, cost));
}

function runScrypt(
  password: string,
  salt: Buffer,
  length: number,
  { ln, r, p }: ScryptCost,
): Promise<Buffer> {
  // Besides the 128 · N · r bytes, scrypt needs a little for each p and for itself.
  const options = { N: 2 ** ln, r, p, maxmem: maxMemoryBytes + 1024 * 1024 };
  return new Promise((resolve, reject) => {
    // RFC 8265 §4.2.2: passwords are compared in NFC.
    scrypt(password.normalize('NFC'), salt, length, options, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    );
  });
}
