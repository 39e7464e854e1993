import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import type { Writable } from 'node:stream';
import { type Config, loadConfig } from '../config.ts';
import { GatewayError } from '../core/errors.ts';
import { createJid } from '../core/jid.ts';
import type { PasswordCheck } from '../core/password-check.ts';
import { createPasswordCheck } from '../xmpp/sasl.ts';
import { adviceFor } from '../xmpp/server-advice.ts';
import { describeError, type StreamFailure } from '../xmpp/stream-failure.ts';
import { openTrustedStream } from '../xmpp/trusted-stream.ts';

/** What was tried and how it went; `advice` says how to mend what failed. */
interface Finding {
  readonly isGood: boolean;
  readonly text: string;
  readonly advice?: string;
}

/** Most password checks at once. */
const maxPasswordChecks = 4;

/**
 * Tries everything that the gateway needs and prints what is wrong and how to mend it. Returns the
 * exit code: 0 when all is right, else 1; a faulty configuration throws ConfigError.
 */
export async function runCheck(path: string, output: Writable): Promise<number> {
  const config = await loadConfig(path);
  const { c2s, domains } = config;
  const passwordCheck = createPasswordCheck({
    ...c2s,
    timeoutMs: config.auth.timeoutMs,
    maxConcurrent: maxPasswordChecks,
  });
  const listenError = await tryListening(config.http);
  const findings = [
    { isGood: true, text: `configuration: ${path}` },
    describeListening(config.http, listenError),
    ...(await Promise.all([
      checkStream(config, isTaken(listenError)),
      ...domains.map((domain) => checkLogin(passwordCheck, c2s, domain)),
    ])),
  ];
  for (const finding of findings) {
    output.write(format(finding));
  }
  return findings.every(({ isGood }) => isGood) ? 0 : 1;
}

function format({ isGood, text, advice }: Finding): string {
  const more = advice === undefined ? '' : `\n${advice.replace(/^(?=.)/gm, '       ')}\n\n`;
  return `${isGood ? 'ok    ' : 'FAILED'} ${text}\n${more}`;
}

/** Listens for a moment where the gateway will; resolves with what went wrong. */
function tryListening({ host, port }: Config['http']): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen({ host, port }, () => server.close(resolve));
  });
}

function isTaken(error: Error | undefined): boolean {
  return error !== undefined && 'code' in error && error.code === 'EADDRINUSE';
}

function describeListening({ host, port }: Config['http'], error: Error | undefined): Finding {
  const what = `HTTP at ${host}:${port}`;
  if (error === undefined) {
    return { isGood: true, text: `${what}: free to listen` };
  }
  const advice = isTaken(error)
    ? 'If it is the gateway that listens there, ask its /readyz, or stop it first. Else correct http.port.'
    : 'Correct http.host and http.port, or run as a user who may listen there.';
  return { isGood: false, text: `${what}: ${describeError(error)}`, advice };
}

async function checkStream(config: Config, isGatewayRunning: boolean): Promise<Finding> {
  const { component, domains } = config;
  const what = `component ${component.domain} at ${component.host}:${component.port}`;
  if (isGatewayRunning) {
    // On ejabberd a second connection would take away answers that a gateway waits for.
    return { isGood: false, text: `${what}: not tried, so as not to disturb a running gateway` };
  }
  const failure = await tryStream(config);
  if (failure === undefined) {
    return { isGood: true, text: `${what}: connected and trusted for ${domains.join(', ')}` };
  }
  return {
    isGood: false,
    text: `${what}: ${failure.reason}`,
    advice:
      adviceFor(failure, component) ??
      'Is the XMPP server running, and does it listen for components there?',
  };
}

/** Opens a trusted stream once and closes it again; resolves with what went wrong. */
function tryStream({ component, domains, delivery }: Config): Promise<StreamFailure | undefined> {
  return new Promise((resolve) => {
    let isReady = false;
    openTrustedStream(
      component,
      { domains, mode: delivery.mode },
      {
        onReady: (connection) => {
          isReady = true;
          void connection.close();
        },
        onStanza: () => {},
        onDrain: () => {},
        onClose: (failure) => resolve(isReady ? undefined : failure),
      },
    );
  });
}

/** Logs in as nobody: the server must answer with a definite no. */
async function checkLogin(
  passwordCheck: PasswordCheck,
  { host, port, security }: Config['c2s'],
  domain: string,
): Promise<Finding> {
  const text = `password checks for ${domain} at ${host}:${port} (${security})`;
  try {
    const nobody = createJid(`gwcheck-${randomBytes(8).toString('hex')}`, domain);
    await passwordCheck(nobody, randomBytes(16).toString('hex'));
    return { isGood: true, text };
  } catch (error) {
    if (!(error instanceof GatewayError)) {
      throw error;
    }
    return { isGood: false, text: `${text}: ${withCause(error)}`, advice: c2sAdvice };
  }
}

const c2sAdvice = `Compare with the server's listener for clients:

  c2s.host, c2s.port  where it listens
  c2s.security        starttls, tls or plaintext (plaintext on loopback only)
  c2s.ca_file         the CA of its certificate, unless the system knows it
  domains             the certificate has to be one for each`;

function withCause(error: GatewayError): string {
  return error.cause === undefined
    ? error.message
    : `${error.message} (${describeError(error.cause)})`;
}
