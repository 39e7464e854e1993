import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type Config, ConfigError, loadConfig } from '../config.ts';
import { describeError, describeWithCause } from '../core/describe-error.ts';
import { GatewayError } from '../core/errors.ts';
import { createJid } from '../core/jid.ts';
import type { PasswordCheck } from '../core/password-check.ts';
import type { Secret } from '../core/secret.ts';
import { tryStore } from '../store/store.ts';
import { createPasswordCheck } from '../xmpp/sasl.ts';
import { adviceFor } from '../xmpp/server-advice.ts';
import type { StreamFailure } from '../xmpp/stream-failure.ts';
import type { DomainModes } from '../xmpp/trust-proof.ts';
import { openTrustedStream } from '../xmpp/trusted-stream.ts';
import { checkCertificate } from './certificate.ts';
import { wantsColour } from './colour.ts';
import { type Command, refuseOperands, requireOption } from './command.ts';
import { httpExposure, metricsExposure } from './exposure.ts';
import type { Finding } from './finding.ts';
import { findingsToJson, formatFindings } from './findings.ts';
import { isTaken, listenAdvice, tryListening } from './listening.ts';
import { describeModes } from './modes-found.ts';

/** Most password checks at once. */
const maxPasswordChecks = 4;

/** EX_CONFIG of sysexits.h. */
const exitConfig = 78;

/** `check` */
export const checkCommand: Command = {
  synopsis: 'check --config FILE [--json]',
  summary: 'say what is wrong and how to mend it',
  help: `Tries the configuration, the component stream, the trust and the password checks.
Stop the gateway first: beside one that runs, the component is not tried.

  -c, --config FILE  the configuration
      --json         {"ok": …, "findings": [{"ok", "text", "advice"}]} instead of text

Exit codes: 0 all right, 1 something failed, 78 faulty configuration.
In colour on a terminal, unless NO_COLOR is set.
`,
  run: async (args, surroundings) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { config: { type: 'string', short: 'c' }, json: { type: 'boolean' } },
    });
    refuseOperands(positionals);
    const path = requireOption(values.config, '--config FILE');
    const { stdout } = surroundings;
    if (values.json !== true) {
      const findings = await findOut(path);
      stdout.write(formatFindings(findings, wantsColour(surroundings)));
      return exitCode(findings);
    }
    try {
      const findings = await findOut(path);
      stdout.write(findingsToJson(findings));
      return exitCode(findings);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const faults = error.message.split('\n').map((text) => ({ isGood: false, text }));
      stdout.write(findingsToJson(faults));
      return exitConfig;
    }
  },
};

function exitCode(findings: readonly Finding[]): number {
  return findings.every(({ isGood }) => isGood) ? 0 : 1;
}

/** Tries everything that the gateway needs; throws ConfigError. */
async function findOut(path: string): Promise<readonly Finding[]> {
  const config = await loadConfig(path);
  const { c2s, domains } = config;
  const passwordCheck = createPasswordCheck({
    ...c2s,
    timeoutMs: config.auth.timeoutMs,
    maxConcurrent: maxPasswordChecks,
  });
  const listenError = await tryListening(config.http);
  return [
    { isGood: true, text: `configuration: ${path}` },
    describeListening(config.http, listenError),
    ...checkCertificate(config.http),
    ...(await checkMetrics(config.http)),
    ...(
      await Promise.all([
        checkStream(config, isTaken(listenError)),
        checkStore(config.store),
        ...domains.map(async (domain) => [await checkLogin(passwordCheck, c2s, domain)]),
      ])
    ).flat(),
  ];
}

function describeListening(http: Config['http'], error: Error | undefined): Finding {
  const what = `HTTP at ${http.host}:${http.port}`;
  if (error === undefined) {
    return { isGood: true, text: `${what}: free to listen`, advice: httpExposure(http) };
  }
  const advice = listenAdvice(error, 'http');
  return { isGood: false, text: `${what}: ${describeError(error)}`, advice };
}

async function checkMetrics(http: Config['http']): Promise<Finding[]> {
  const { metrics } = http;
  if (metrics === undefined) return [];
  const what = `metrics at ${metrics.host}:${metrics.port}`;
  const error = await tryListening(metrics);
  if (error === undefined) {
    return [{ isGood: true, text: `${what}: free to listen`, advice: metricsExposure(http) }];
  }
  const advice = listenAdvice(error, 'http.metrics');
  return [{ isGood: false, text: `${what}: ${describeError(error)}`, advice }];
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

function c2sAdvice({ message, cause }: GatewayError): string {
  if (message.includes('policy-violation')) return banAdvice;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return /CERT|SIGNATURE|ALERT/.test(code) ? certificateAdvice : listenerAdvice;
}

const banAdvice = `If it is ejabberd with mod_fail2ban, it has banned the gateway's address for wrong passwords of its
users. Let it spare that address (trusted_network is Debian's rule for loopback), where mod_fail2ban
stands now, then restart it:

  modules:
    mod_fail2ban:
      access: trusted_network`;

const certificateAdvice = `The server needs a certificate that names the domain, from a CA that this machine knows:

  Prosody   prosodyctl --root cert import …
  ejabberd  certfiles in ejabberd.yml

If the certificate is of a CA of your own, or signed by itself, name it: c2s.ca_file in the configuration.`;

const storeAdvice = `Is Redis (6 or newer) running there, and are user, password and database in "store" right?`;

const listenerAdvice = `Compare with the server's listener for clients:

  c2s.host, c2s.port  where it listens
  c2s.security        starttls, tls or plaintext (plaintext on loopback only)
  c2s.ca_file         the CA of its certificate, unless the system knows it
  domains             the certificate has to be one for each`;
