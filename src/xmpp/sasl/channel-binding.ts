import { createHash } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

/** Ties a login to the TLS connection that carries it (RFC 5056). */
export interface ChannelBinding {
  /** The registered name, as in the gs2 header (RFC 5802 §7, `cb-name`). */
  readonly type: string;
  readonly data: Buffer;
}

/** RFC 9266 §2 */
const exporterLabel = 'EXPORTER-Channel-Binding';
const exporterLength = 32;

/**
 * The strongest binding that both sides support; undefined when there is none. `announced` is the
 * server's list of types (XEP-0440 §2), undefined when it sent none.
 */
export function findChannelBinding(
  socket: TLSSocket,
  announced: readonly string[] | undefined,
): ChannelBinding | undefined {
  // RFC 5802 §6.1: tls-unique is the default. TLS 1.3 does not have it (RFC 8446 appendix C.5). A server
  // that knows its successor announces that, and any other server would refuse it.
  const types = announced ?? (isTls13(socket) ? [] : ['tls-unique']);
  for (const [type, read] of supportedBindings(socket)) {
    const data = types.includes(type) ? read() : undefined;
    if (data !== undefined) {
      return { type, data };
    }
  }
  return undefined;
}

/** The types of binding that this side of the connection supports, strongest first. */
export function supportedBindingTypes(socket: TLSSocket): readonly string[] {
  return supportedBindings(socket).map(([type]) => type);
}

type Reader = () => Buffer | undefined;

function supportedBindings(socket: TLSSocket): readonly (readonly [string, Reader])[] {
  return [
    isTls13(socket)
      ? [
          'tls-exporter',
          () => socket.exportKeyingMaterial(exporterLength, exporterLabel, Buffer.alloc(0)),
        ]
      : // Not tls-exporter: below TLS 1.3 it needs the extended master secret (RFC 9266 §4.1), and
        // Node.js does not say whether that was negotiated. RFC 5929 §3.1: the first Finished
        // message of a full handshake is the client's, and no session is ever resumed here.
        ['tls-unique', () => socket.getFinished()],
    ['tls-server-end-point', () => hashCertificate(socket)],
  ];
}

function isTls13(socket: TLSSocket): boolean {
  return socket.getProtocol() === 'TLSv1.3';
}

function hashCertificate(socket: TLSSocket): Buffer | undefined {
  const certificate = socket.getPeerX509Certificate()?.raw;
  if (certificate === undefined) {
    return undefined;
  }
  const hash = readSignatureHash(certificate);
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest();
}

/**
 * The hash of tls-server-end-point for each signature algorithm, keyed by the hexadecimal DER of its
 * identifier: the signature's own hash, but SHA-256 instead of MD5 and SHA-1 (RFC 5929 §4.1). Ed25519
 * has no hash, and RSASSA-PSS has it in a parameter: neither can be bound to.
 */
const signatureHashes: ReadonlyMap<string, string> = new Map([
  ['2a864886f70d010104', 'sha256'], // md5WithRSAEncryption
  ['2a864886f70d010105', 'sha256'], // sha1WithRSAEncryption
  ['2a864886f70d01010b', 'sha256'], // sha256WithRSAEncryption
  ['2a864886f70d01010c', 'sha384'], // sha384WithRSAEncryption
  ['2a864886f70d01010d', 'sha512'], // sha512WithRSAEncryption
  ['2a8648ce3d0401', 'sha256'], // ecdsa-with-SHA1
  ['2a8648ce3d040302', 'sha256'], // ecdsa-with-SHA256
  ['2a8648ce3d040303', 'sha384'], // ecdsa-with-SHA384
  ['2a8648ce3d040304', 'sha512'], // ecdsa-with-SHA512
]);

/** RFC 5280 §4.1: Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature }. */
function readSignatureHash(certificate: Buffer): string | undefined {
  const tbsCertificate = readContent(certificate, readContent(certificate, 0).start);
  const signatureAlgorithm = readContent(certificate, tbsCertificate.end);
  const identifier = readContent(certificate, signatureAlgorithm.start);
  return signatureHashes.get(certificate.toString('hex', identifier.start, identifier.end));
}

/** Where the content of the DER value at `offset` lies. OpenSSL has already checked the encoding. */
function readContent(
  der: Buffer,
  offset: number,
): { readonly start: number; readonly end: number } {
  const first = der.readUInt8(offset + 1);
  if (first < 0x80) {
    return { start: offset + 2, end: offset + 2 + first };
  }
  const lengthBytes = first & 0x7f;
  const start = offset + 2 + lengthBytes;
  return { start, end: start + der.readUIntBE(offset + 2, lengthBytes) };
}
