import { expect, test } from 'vitest';
import { PostFailure } from '../../../../src/cli/send/failure.ts';

const openSsl = (reason: string): string =>
  `write EPROTO 80AC61D9877F0000:error:0A00042E:SSL routines:ssl3_read_bytes:${reason}:../deps/openssl/ssl/record/rec_layer_s3.c:1601:SSL alert number 70\n`;
const notTrusted = 'the certificate of the gateway is not trusted: ';

test.each([
  [
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'self-signed certificate; if the root CA is installed locally, try running Node.js with --use-system-ca',
    `${notTrusted}self-signed certificate: name its CA in NODE_EXTRA_CA_CERTS`,
  ],
  [
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'unable to verify the first certificate',
    `${notTrusted}unable to verify the first certificate: name its CA in NODE_EXTRA_CA_CERTS`,
  ],
  [
    'ERR_TLS_CERT_ALTNAME_INVALID',
    "Hostname/IP does not match certificate's altnames",
    `${notTrusted}Hostname/IP does not match certificate's altnames: give a URL with a name that it is for`,
  ],
  ['CERT_NOT_YET_VALID', 'not yet valid', `${notTrusted}not yet valid: check the clock`],
  [
    'EPROTO',
    openSsl('wrong version number'),
    'the gateway does not speak HTTPS there: try http://',
  ],
])('%s: another attempt does not help', (code, text, message) => {
  const cause = Object.assign(new Error(text), { code });
  expect(new PostFailure(cause, 'https:', false)).toMatchObject({ message, mayRetry: false });
});

test.each([
  ['https:', 'ECONNREFUSED', 'connect ECONNREFUSED ::1:1', 'connect ECONNREFUSED ::1:1'],
  ['https:', 'EPROTO', openSsl('tlsv1 alert internal error'), 'tlsv1 alert internal error'],
  ['https:', 'ECONNRESET', 'socket hang up', 'socket hang up'],
  ['http:', 'ECONNRESET', 'socket hang up', 'socket hang up (does it expect https?)'],
])('%s %s: another attempt may help', (protocol, code, text, message) => {
  const cause = Object.assign(new Error(text), { code });
  expect(new PostFailure(cause, protocol, false)).toMatchObject({ message, mayRetry: true });
});
