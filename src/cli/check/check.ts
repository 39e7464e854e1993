import { X509Certificate } from 'node:crypto';
import { type Config, ConfigError, loadConfig } from '../../config/config.ts';
import { describeError } from '../../core/text.ts';
import { tryStore } from '../../store/store.ts';
import { recogniseServer } from '../../xmpp/probes/probes.ts';
import { createPasswordCheck } from '../../xmpp/sasl/password-check.ts';
import {
  type Command,
  exitConfig,
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

const maxConcurrentLogins = 4;

/** `check` */
export const checkCommand: Command = {
  synopsis: 'check --config FILE [--json]',
  summary: 'test the configuration and the XMPP server, and say how to fix what is wrong',
  help: `Tests the configuration, the HTTP certificate, the component stream, whether the XMPP server
trusts the gateway, the size of stanzas, and the password checks. Stop the gateway first:
while one is running, the component stream is not tested.

  -c, --config FILE  the configuration
      --json         print {"ok": …, "findings": [{"ok", "text", "advice"}]} instead of text

The text is coloured on a terminal, unless NO_COLOR is set.

Exit codes: 0 all good, 1 something failed, 78 faulty configuration.
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
      const findings = await runChecks(path);
      stdout.write(formatFindings(findings, wantsColour(surroundings)));
      return exitCode(findings);
    }
    try {
      const findings = await runChecks(path);
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

/** Tests everything that the gateway needs; throws ConfigError. */
async function runChecks(path: string): Promise<readonly Finding[]> {
  const config = await loadConfig(path);
  const { c2s, domains } = config;
  const passwordCheck = createPasswordCheck({
    ...c2s,
    timeoutMs: config.auth.timeoutMs,
    maxConcurrent: maxConcurrentLogins,
  });
  const listenError = await tryListening(config.http);
  const recognising = recogniseServer(config);
  return [
    { isGood: true, text: `configuration: ${path}` },
    describeListening(
      `HTTP at ${addressOf(config.http)}`,
      listenError,
      'http',
      httpExposure(config.http),
    ),
    ...checkCertificate(config.http),
    ...(await checkMetrics(config.http)),
    ...(
      await Promise.all([
        checkStream(config, recognising, isTaken(listenError)),
        checkStore(config),
        ...domains.map(async (domain) => [
          await checkLogin(passwordCheck, c2s, domain, recognising),
        ]),
      ])
    ).flat(),
  ];
}

async function checkMetrics(http: Config['http']): Promise<Finding[]> {
  const { metrics } = http;
  if (metrics === undefined) return [];
  const error = await tryListening(metrics);
  const what = `metrics at ${addressOf(metrics)}`;
  return [describeListening(what, error, 'http.metrics', metricsExposure(http))];
}

function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host}:${port}`;
}

function describeListening(
  what: string,
  error: Error | undefined,
  key: 'http' | 'http.metrics',
  exposure: string | undefined,
): Finding {
  if (error === undefined) {
    return { isGood: true, text: `${what}: free to listen`, advice: exposure };
  }
  const advice = listenAdvice(error, key);
  return { isGood: false, text: `${what}: ${describeError(error)}`, advice };
}

async function checkStore(config: Config): Promise<Finding[]> {
  const { store: url, storeSentinels: sentinels, storeTls: tls } = config;
  if (url === undefined) return [];
  const what = `store at ${new URL(url.reveal()).host}`;
  const failure = await tryStore({ url, sentinels, tls });
  return failure === undefined
    ? [{ isGood: true, text: `${what}: accepts writes` }]
    : [{ isGood: false, text: `${what}: ${failure}`, advice: storeAdvice }];
}

const storeAdvice =
  'Is Redis (6 or newer) running there, and does "store" have the right user, password and database? With rediss://, does "store_tls" have the CA of its certificate, and the certificate that it asks for?';

/** Reports the dates of the certificate, if there is TLS; loadConfig has checked that the key fits. */
function checkCertificate(http: Config['http']): readonly Finding[] {
  if (http.tls === undefined) return [];
  const fault = datesFault(http);
  const { validTo } = new X509Certificate(http.tls.cert);
  if (fault === undefined) {
    return [{ isGood: true, text: `http.tls: certificate and key fit, valid until ${validTo}` }];
  }
  const advice = 'Renew it. If the gateway is running, send it SIGHUP.';
  return [{ isGood: false, text: `http.tls: ${fault}`, advice }];
}
