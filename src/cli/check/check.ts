import { X509Certificate } from 'node:crypto';
import { type Config, ConfigError, loadConfig } from '../../config/config.ts';
import type { Secret } from '../../core/secret.ts';
import { describeError } from '../../core/text.ts';
import { tryStore } from '../../store/store.ts';
import { recogniseServer } from '../../xmpp/probes/recognition.ts';
import { createPasswordCheck } from '../../xmpp/sasl/password-check.ts';
import {
  type Command,
  parseOptions,
  refuseOperands,
  requireOption,
  wantsColour,
} from '../command.ts';
import {
  datesFault,
  httpExposure,
  isTaken,
  listenAdvice,
  metricsExposure,
  tryListening,
} from '../listen-address.ts';
import { checkLogin } from './login.ts';
import { type Finding, findingsToJson, formatFindings } from './report.ts';
import { checkStream } from './stream.ts';

/** Most password checks at once. */
const maxPasswordChecks = 4;

/** EX_CONFIG of sysexits.h. */
const exitConfig = 78;

/** `check` */
export const checkCommand: Command = {
  synopsis: 'check --config FILE [--json]',
  summary: 'say what is wrong and how to mend it',
  help: `Tries the configuration, the certificate, the component stream, the trust, the size of stanzas and
the password checks.
Stop the gateway first: beside one that runs, the component is not tried.

  -c, --config FILE  the configuration
      --json         {"ok": …, "findings": [{"ok", "text", "advice"}]} instead of text

Exit codes: 0 all right, 1 something failed, 78 faulty configuration.
In colour on a terminal, unless NO_COLOR is set.
`,
  run: async (args, surroundings) => {
    const { values, positionals } = parseOptions(args, {
      config: { type: 'string', short: 'c' },
      json: { type: 'boolean' },
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
  const recognising = recogniseServer(config);
  return [
    { isGood: true, text: `configuration: ${path}` },
    describeListening(config.http, listenError),
    ...checkCertificate(config.http),
    ...(await checkMetrics(config.http)),
    ...(
      await Promise.all([
        checkStream(config, recognising, isTaken(listenError)),
        checkStore(config.store),
        ...domains.map(async (domain) => [
          await checkLogin(passwordCheck, c2s, domain, recognising),
        ]),
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

async function checkStore(url: Secret | undefined): Promise<Finding[]> {
  if (url === undefined) return [];
  const what = `store at ${new URL(url.reveal()).host}`;
  const failure = await tryStore(url);
  return failure === undefined
    ? [{ isGood: true, text: `${what}: takes what is written` }]
    : [{ isGood: false, text: `${what}: ${failure}`, advice: storeAdvice }];
}

const storeAdvice = `Is Redis (6 or newer) running there, and are user, password and database in "store" right?`;

/** Until when the certificate is good, without TLS nothing; it has been proven to fit its key. */
function checkCertificate(http: Config['http']): readonly Finding[] {
  if (http.tls === undefined) return [];
  const fault = datesFault(http);
  const { validTo } = new X509Certificate(http.tls.cert);
  if (fault === undefined) {
    return [{ isGood: true, text: `http.tls: certificate and key fit, valid until ${validTo}` }];
  }
  const advice = 'Renew it, and send SIGHUP to the gateway if it runs.';
  return [{ isGood: false, text: `http.tls: ${fault}`, advice }];
}
