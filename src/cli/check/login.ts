import { randomBytes } from 'node:crypto';
import type { PasswordCheck } from '../../auth/users.ts';
import type { Config } from '../../config/config.ts';
import { GatewayError } from '../../core/errors.ts';
import { createJid } from '../../core/jid/jid.ts';
import { describeWithCause, reasonOfOpenSsl } from '../../core/text.ts';
import type { ServerKind } from '../../xmpp/server/identity.ts';
import type { Finding } from './report.ts';

/** Tries to log in as a user that does not exist: the server must answer with a definite no. */
export async function checkLogin(
  passwordCheck: PasswordCheck,
  { host, port, security }: Config['c2s'],
  domain: string,
  recognising: Promise<ServerKind | undefined>,
): Promise<Finding> {
  const text = `password checks for ${domain} at ${host}:${port} (${security})`;
  try {
    const nobody = createJid(`gwcheck-${randomBytes(8).toString('hex')}`, domain);
    const isAccepted = await passwordCheck(nobody, randomBytes(16).toString('hex'));
    return isAccepted
      ? {
          isGood: false,
          text: `${text}: the server accepted a random password for a user that does not exist`,
        }
      : { isGood: true, text };
  } catch (error) {
    if (!(error instanceof GatewayError)) {
      throw error;
    }
    return {
      isGood: false,
      text: `${text}: ${describeFailure(error)}`,
      advice: c2sAdvice(error, await recognising),
    };
  }
}

function describeFailure(error: GatewayError): string {
  const reason = reasonOfOpenSsl(error.cause);
  return reason === undefined
    ? describeWithCause(error)
    : `${error.message.replace(/\.$/, '')}: ${reason}`;
}

function c2sAdvice({ message, cause }: GatewayError, kind: ServerKind | undefined): string {
  if (message.includes('policy-violation') && kind !== 'prosody') return banAdvice(kind);
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return nameAdvice(kind);
  return /CERT|SIGNATURE|ALERT/.test(code) ? certificateAdvice(kind) : listenerAdvice;
}

function banAdvice(kind: ServerKind | undefined): string {
  const culprit = kind === 'ejabberd' ? 'mod_fail2ban' : 'If it is ejabberd with mod_fail2ban, it';
  return `${culprit} has banned the gateway's address because its users gave wrong passwords.
Exempt that address (trusted_network is Debian's rule for loopback) where mod_fail2ban is configured
now, then restart the server:

  modules:
    mod_fail2ban:
      access: trusted_network`;
}

const certificateLines = {
  prosody: '  Prosody   prosodyctl --root cert import …',
  ejabberd: '  ejabberd  certfiles in ejabberd.yml',
};

function linesFor(kind: ServerKind | undefined): string {
  const lines = kind === undefined ? Object.values(certificateLines) : [certificateLines[kind]];
  return lines.join('\n');
}

/** Trust does not help where the names do not fit. */
function nameAdvice(kind: ServerKind | undefined): string {
  return `The server needs another certificate, with the domain among its names:

${linesFor(kind)}

API accounts work without it.`;
}

function certificateAdvice(kind: ServerKind | undefined): string {
  return `The server needs a certificate for the domain, from a CA that this Node.js trusts:

${linesFor(kind)}

If it is for the domain but self-signed, or signed by your own CA, set c2s.ca_file to a copy of that
certificate (or of the CA's) that the gateway's user can read. Debian's Node.js trusts the CAs of the
system, others only their own list: for them, set it to /etc/ssl/certs/ca-certificates.crt. Then restart the gateway: a reload does not read it.
${kind === 'prosody' ? '' : "Debian's stock ejabberd.pem is for no domain. "}API accounts work without it.`;
}

const listenerAdvice = `Compare with the server's listener for clients:

  c2s.host, c2s.port  where it listens
  c2s.security        starttls, tls or plaintext (plaintext on loopback only)
  c2s.ca_file         the CA of its certificate, unless the system trusts it
  domains             the certificate must be valid for each of them`;
