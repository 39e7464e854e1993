import { randomBytes } from 'node:crypto';
import type { Writable } from 'node:stream';
import { type Config, loadConfig } from '../config.ts';
import { describeError, describeWithCause } from '../core/describe-error.ts';
import { GatewayError } from '../core/errors.ts';
import { createJid } from '../core/jid.ts';
import type { PasswordCheck } from '../core/password-check.ts';
import type { Secret } from '../core/secret.ts';
import { tryStore } from '../store/store.ts';
import { createPasswordCheck } from '../xmpp/sasl.ts';
import { adviceFor } from '../xmpp/server-advice.ts';
import type { StreamFailure } from '../xmpp/stream-failure.ts';
import { type DomainModes, openTrustedStream } from '../xmpp/trusted-stream.ts';
import type { Finding } from './finding.ts';
import { isTaken, listenAdvice, tryListening } from './listening.ts';
import { describeModes } from './modes-found.ts';

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
    ...(
      await Promise.all([
        checkStream(config, isTaken(listenError)),
        checkStore(config.store),
        ...domains.map(async (domain) => [await checkLogin(passwordCheck, c2s, domain)]),
      ])
    ).flat(),
  ];
  findings.forEach((finding, index) => {
    // Domains often fail alike: one advice is enough.
    const isRepeated = findings[index + 1]?.advice === finding.advice;
    output.write(format(finding, isRepeated ? undefined : finding.advice));
  });
  return findings.every(({ isGood }) => isGood) ? 0 : 1;
}

function format({ isGood, text }: Finding, advice: string | undefined): string {
  const lines = advice === undefined ? '' : `${advice.replace(/^(?=.)/gm, '       ')}\n`;
  // Lines to copy stand apart, a sentence does not.
  const more = lines.trimEnd().includes('\n') ? `\n${lines}\n` : lines;
  return `${isGood ? 'ok    ' : 'FAILED'} ${text}\n${more}`;
}

function describeListening({ host, port }: Config['http'], error: Error | undefined): Finding {
  const what = `HTTP at ${host}:${port}`;
  if (error === undefined) {
    return { isGood: true, text: `${what}: free to listen` };
  }
  return { isGood: false, text: `${what}: ${describeError(error)}`, advice: listenAdvice(error) };
}

async function checkStream(config: Config, isGatewayRunning: boolean): Promise<Finding[]> {
  const { component, domains, delivery } = config;
  const what = `component ${component.domain} at ${component.host}:${component.port}`;
  if (isGatewayRunning) {
    // On ejabberd a second connection would take away answers that a gateway waits for.
    const text = `${what}: not tried, so as not to disturb a running gateway`;
    return [{ isGood: false, text }];
  }
  const found = await tryStream(config);
  if (!('kind' in found)) {
    const text = `${what}: connected and trusted for ${domains.join(', ')}`;
    const isChosen = delivery.mode !== 'auto';
    return [{ isGood: true, text }, ...describeModes(found, component.domain, isChosen)];
  }
  const advice =
    adviceFor(found, component) ??
    'Is the XMPP server running, and does it listen for components there?';
  return [{ isGood: false, text: `${what}: ${found.reason}`, advice }];
}

/** Opens a trusted stream once and closes it again; resolves with the modes or what went wrong. */
function tryStream({ component, domains, delivery }: Config): Promise<DomainModes | StreamFailure> {
  return new Promise((resolve) => {
    let found: DomainModes | undefined;
    openTrustedStream(
      component,
      { domains, mode: delivery.mode },
      {
        onReady: (connection, modes) => {
          found = modes;
          void connection.close();
        },
        onStanza: () => {},
        onDrain: () => {},
        onClose: (failure) => resolve(found ?? failure),
      },
    );
  });
}

async function checkStore(url: Secret | undefined): Promise<Finding[]> {
  if (url === undefined) return [];
  const what = `store at ${new URL(url.reveal()).host}`;
  const failure = await tryStore(url);
  return failure === undefined
    ? [{ isGood: true, text: `${what}: takes what is written` }]
    : [{ isGood: false, text: `${what}: ${failure}`, advice: storeAdvice }];
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
    return {
      isGood: false,
      text: `${text}: ${describeWithCause(error)}`,
      advice: c2sAdvice(error),
    };
  }
}

function c2sAdvice({ message }: GatewayError): string {
  return message.includes('policy-violation') ? banAdvice : listenerAdvice;
}

const banAdvice = `If it is ejabberd with mod_fail2ban, it has banned the gateway's address for wrong passwords of its
users. Let it spare that address (trusted_network is Debian's rule for loopback), then restart it:

  modules:
    mod_fail2ban:
      access: trusted_network`;

const storeAdvice = `Is Redis (6 or newer) running there, and are user, password and database in "store" right?`;

const listenerAdvice = `Compare with the server's listener for clients:

  c2s.host, c2s.port  where it listens
  c2s.security        starttls, tls or plaintext (plaintext on loopback only)
  c2s.ca_file         the CA of its certificate, unless the system knows it
  domains             the certificate has to be one for each`;
