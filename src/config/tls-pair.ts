import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { duplexPair } from 'node:stream';
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import { describeError } from '../core/text.ts';

/** What is wrong with a certificate chain, with its key, or with the two together. */
export interface PairFault {
  readonly of: 'cert' | 'key' | 'pair';
  readonly reason: string;
}

/** Far longer than a handshake within the process takes, even on a busy machine. */
const handshakeTimeoutMs = 10_000;

const certificateBlock =
  /-----BEGIN (X509 |TRUSTED |)CERTIFICATE-----[^-]*(?:-----END \1CERTIFICATE-----)?/g;

const isWhole = /-----END [A-Z0-9 ]+-----$/;

/** A `BEGIN` line that is cut off. */
const cutBegin = /-----BEGIN(?! [A-Z0-9 ]+-----)/;

/**
 * Parses all certificates of a text in PEM, in order; throws an Error that says what is wrong. We
 * check this ourselves because Node.js accepts an empty text, and silently skips CA certificates that
 * it cannot read.
 */
export function parseCertificates(text: string): readonly X509Certificate[] {
  if (text.trim() === '') throw new Error('an empty file');
  const blocks = text.match(certificateBlock) ?? [];
  if (cutBegin.test(text) || blocks.some((block) => !isWhole.test(block))) {
    throw new Error('a file that is cut off');
  }
  if (blocks.length === 0) throw new Error('no certificate in PEM');
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Error(`certificate ${index + 1} in it is damaged`, { cause: error });
    }
  });
}

/**
 * Checks that a certificate chain and a key, both in PEM, can serve clients: both can be read, the key
 * belongs to the first certificate, and a handshake within the process succeeds. Resolves with the
 * fault, or undefined if there is none.
 */
export async function findPairFault(cert: string, key: string): Promise<PairFault | undefined> {
  let chain: readonly X509Certificate[];
  try {
    chain = parseCertificates(cert);
  } catch (error) {
    return { of: 'cert', reason: describeError(error) };
  }
  let privateKey: KeyObject;
  try {
    privateKey = parseKey(key);
  } catch (error) {
    return { of: 'key', reason: describeError(error) };
  }
  if (chain[0]?.checkPrivateKey(privateKey) === false) {
    const isAnother = chain.some((other) => other.checkPrivateKey(privateKey));
    const order = 'the key is that of another certificate in the chain: its own has to come first';
    return { of: 'pair', reason: isAnother ? order : 'the key is that of another certificate' };
  }
  try {
    await shakeHands(createSecureContext({ cert, key, minVersion: 'TLSv1.2' }));
    return undefined;
  } catch (error) {
    return { of: 'pair', reason: `a TLS handshake fails: ${describeError(error)}` };
  }
}

function parseKey(text: string): KeyObject {
  if (text.trim() === '') throw new Error('an empty file');
  if (/^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    throw new Error('an encrypted key: write it without a passphrase (openssl pkey -in … -out …)');
  }
  try {
    return createPrivateKey(text);
  } catch (error) {
    const isKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text) || cutBegin.test(text);
    const what = isKey ? 'a damaged or cut off private key' : 'no private key in PEM';
    throw new Error(what, { cause: error });
  }
}

/** Plays both sides of a handshake in memory; rejects with an Error if it fails. */
function shakeHands(secureContext: SecureContext): Promise<void> {
  const [near, far] = duplexPair();
  return new Promise<void>((resolve, reject) => {
    const server = new TLSSocket(far, { isServer: true, secureContext });
    // Clients decide for themselves whether they trust the certificate.
    const client = connect({ socket: near, rejectUnauthorized: false });
    const deadline = setTimeout(() => {
      client.destroy(new Error(`no end within ${handshakeTimeoutMs} ms`));
    }, handshakeTimeoutMs);
    const end = (settle: () => void): void => {
      clearTimeout(deadline);
      client.destroy();
      server.destroy();
      settle();
    };
    client.once('secureConnect', () => end(resolve));
    for (const side of [client, server]) side.on('error', (error) => end(() => reject(error)));
  });
}
