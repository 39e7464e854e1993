import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import type { Certificates } from '../system/certificates.ts';

/** The accounts of a scripted server, and how it authenticates them. */
export interface C2sAccounts {
  readonly certificates?: Pick<Certificates, 'certFile' | 'keyFile'>;
  /** Localpart → password, as SASLprep leaves it. */
  readonly users?: Readonly<Record<string, string>>;
  /** Localpart → the only hash of the password that is stored; every hash by default. */
  readonly stored?: Readonly<Record<string, Hash>>;
  /** Sends a challenge even to users for whom it has no hash of the mechanism. */
  readonly hidesUsers?: boolean;
  readonly iterations?: number;
  /** Sends SCRAM's last message in a challenge (RFC 6120 §6.4.5). */
  readonly finalInChallenge?: boolean;
  /** Types of channel binding that are announced (XEP-0440) and accepted. */
  readonly bindings?: readonly string[];
  /** The certificate for tls-server-end-point, if it differs from the one that clients see. */
  readonly boundTo?: string;
}

/** A hash function of SCRAM. */
export type Hash = 'sha1' | 'sha256' | 'sha512';

/** The namespace of SASL elements. */
export const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl';

const notAuthorized = `<failure xmlns='${sasl}'><not-authorized/></failure>`;
const malformed = `<failure xmlns='${sasl}'><malformed-request/></failure>`;

const hashes = new Map<string, Hash>([
  ['SCRAM-SHA-1', 'sha1'],
  ['SCRAM-SHA-256', 'sha256'],
  ['SCRAM-SHA-512', 'sha512'],
]);

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

function decode(xml: string): string {
  return Buffer.from(/>([^<]*)</.exec(xml)?.[1] ?? '', 'base64').toString();
}

/** The server's channel binding, computed with other library functions than the client's. */
function bindingData(type: string, tls: TLSSocket, accounts: C2sAccounts): Buffer {
  switch (type) {
    case 'tls-exporter':
      return tls.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
    case 'tls-unique':
      return tls.getPeerFinished() ?? Buffer.alloc(0);
    case 'tls-server-end-point': {
      const pem = readFileSync(accounts.boundTo ?? accounts.certificates?.certFile ?? '', 'utf8');
      const der = Buffer.from(pem.replaceAll(/-----[^-]*-----/g, ''), 'base64');
      // Test certificates are signed with SHA-256.
      return createHash('sha256').update(der).digest();
    }
    default:
      throw new Error(`expected a type of channel binding, got ${type}`);
  }
}

/** Base64 of the value that `c=` must have; undefined for a header that does not fit the mechanism. */
function expectedBinding(
  header: string,
  isBound: boolean,
  tls: TLSSocket | undefined,
  accounts: C2sAccounts,
): string | undefined {
  if (!isBound) return header === 'n,,' ? encode('n,,') : undefined;
  const type = /^p=([^,]*),,$/.exec(header)?.[1] ?? '';
  if (tls === undefined || !(accounts.bindings ?? ['tls-unique']).includes(type)) return undefined;
  return Buffer.concat([Buffer.from(header), bindingData(type, tls, accounts)]).toString('base64');
}

/** The server's side of SASL on one stream: the client's element → the server's. */
export function createSasl(
  accounts: C2sAccounts,
  tls: TLSSocket | undefined,
): (xml: string) => string {
  const users = new Map(Object.entries(accounts.users ?? {}));
  const stored = new Map(Object.entries(accounts.stored ?? {}));
  let respond: ((message: string) => string) | undefined;

  const plain = (message: string): string => {
    const [, username = '', password] = message.split('\0');
    return users.get(username) === password ? `<success xmlns='${sasl}'/>` : notAuthorized;
  };
  const findPassword = (name: string, hash: Hash): string | undefined =>
    (stored.get(name) ?? hash) === hash ? users.get(name) : undefined;

  const scram = (hash: Hash, isBound: boolean, clientFirst: string): string => {
    const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
    const [, header = '', bare = '', escaped = '', nonce = ''] =
      /^([^,]*,[^,]*,)(n=([^,]*),r=(.*))$/.exec(clientFirst) ?? [];
    const binding = expectedBinding(header, isBound, tls, accounts);
    if (binding === undefined) return malformed;
    const password = findPassword(escaped.replaceAll('=2C', ',').replaceAll('=3D', '='), hash);
    if (password === undefined && accounts.hidesUsers !== true) return notAuthorized;
    const salt = randomBytes(16);
    const iterations = accounts.iterations ?? 4096;
    const serverFirst = `r=${nonce}${randomBytes(9).toString('base64')},s=${salt.toString('base64')},i=${iterations}`;
    respond = (clientFinal) => {
      const [, withoutProof = '', bound, proof = ''] =
        /^(c=([^,]*),.*),p=(.*)$/.exec(clientFinal) ?? [];
      if (password === undefined || bound !== binding) return notAuthorized;
      const length = createHash(hash).digest().length;
      const salted = pbkdf2Sync(password, salt, iterations, length, hash);
      const clientKey = hmac(salted, 'Client Key');
      const authMessage = `${bare},${serverFirst},${withoutProof}`;
      const signature = hmac(createHash(hash).update(clientKey).digest(), authMessage);
      const expected = Buffer.from(clientKey.map((byte, index) => byte ^ signature[index]!));
      if (proof !== expected.toString('base64')) return notAuthorized;
      const verifier = hmac(hmac(salted, 'Server Key'), authMessage).toString('base64');
      if (accounts.finalInChallenge !== true) {
        return `<success xmlns='${sasl}'>${encode(`v=${verifier}`)}</success>`;
      }
      respond = () => `<success xmlns='${sasl}'/>`;
      return `<challenge xmlns='${sasl}'>${encode(`v=${verifier}`)}</challenge>`;
    };
    return `<challenge xmlns='${sasl}'>${encode(serverFirst)}</challenge>`;
  };

  return (xml) => {
    if (xml.startsWith('<response')) return respond?.(decode(xml)) ?? notAuthorized;
    const name = /mechanism='([^']*)'/.exec(xml)?.[1] ?? '';
    const hash = hashes.get(name.replace(/-PLUS$/, ''));
    if (hash !== undefined) return scram(hash, name.endsWith('-PLUS'), decode(xml));
    if (name === 'PLAIN') return plain(decode(xml));
    if (name === 'ANONYMOUS') return `<success xmlns='${sasl}'/>`;
    return `<failure xmlns='${sasl}'><invalid-mechanism/></failure>`;
  };
}
