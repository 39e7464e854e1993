import { X509Certificate } from 'node:crypto';
import type { Config } from '../../config/config.ts';
import { describeError } from '../../core/text.ts';
import {
  datesFault,
  httpExposure,
  isTaken,
  listenAdvice,
  metricsExposure,
  tryListening,
} from '../listen-address.ts';
import {
  describeHolder,
  findHttpHolder,
  findMetricsHolder,
  foreignAdvice,
  type GatewayState,
  type PortHolder,
} from '../port-holder.ts';
import type { Finding } from './report.ts';
import { holdsPort } from './serving.ts';

/** What was found where the gateway listens. */
export interface ListenersReport {
  readonly findings: readonly Finding[];
  /** The state of the gateway that is running there, if one is. */
  readonly gateway: GatewayState | undefined;
}

/**
 * Tests whether the gateway can listen for HTTP and for metrics, or is running already. `serving` is the
 * process that serves this configuration file, whatever it has read from it.
 */
export async function checkListeners(
  config: Config,
  serving: number | undefined,
): Promise<ListenersReport> {
  const { http } = config;
  const { finding, gateway } = await checkHttp(config, serving);
  return {
    findings: [finding, ...checkCertificate(http), ...(await checkMetrics(http, gateway, serving))],
    gateway,
  };
}

async function checkHttp(
  { http, domains }: Config,
  serving: number | undefined,
): Promise<{ finding: Finding; gateway?: GatewayState }> {
  const what = `HTTP at ${addressOf(http)}`;
  const error = await tryListening(http);
  if (error === undefined) {
    return {
      finding: { isGood: true, text: `${what}: free to listen`, advice: httpExposure(http) },
    };
  }
  const holder = isTaken(error) ? await findHttpHolder(http) : undefined;
  const isOurs = serving !== undefined && (await holdsPort(serving, http.port));
  if (holder?.kind === 'foreign' && isOurs) {
    return { finding: describeHung(what, serving, holder) };
  }
  if (holder?.kind !== 'gateway' || (serving !== undefined && !isOurs)) {
    return { finding: describeTaken(what, error, 'http', http.port, holder) };
  }
  const { state } = holder;
  const change = findChange(holder, { http, domains });
  const finding =
    change === undefined
      ? describeGateway(what, state, httpExposure(http))
      : describeChanged(`${what}: ${change}`, serving);
  return { finding, gateway: state };
}

/** What shows that a gateway has not read this configuration; undefined when nothing does. */
function findChange(
  { state, hasTls }: Extract<PortHolder, { kind: 'gateway' }>,
  { http, domains }: Pick<Config, 'http' | 'domains'>,
): string | undefined {
  if (hasTls !== (http.tls !== undefined)) {
    return `a gateway is running there, ${hasTls ? 'still with' : 'but without'} http.tls`;
  }
  if (state.status === 'unavailable') return undefined;
  const served = Object.keys(state.domains);
  return served.toSorted().join() === domains.toSorted().join()
    ? undefined
    : `a gateway for other domains is running there (${served.join(', ')})`;
}

function describeChanged(text: string, serving: number | undefined): Finding {
  return serving === undefined
    ? {
        isGood: false,
        text,
        advice:
          'If it is this one, restart it, because its configuration has changed. Otherwise stop it, or change http.port.',
      }
    : {
        isGood: false,
        isNeeded: false,
        text: `${text}: this one (process ${serving}), which was started before the file changed`,
        advice: restartAdvice,
      };
}

const restartAdvice = 'Restart it, and run check again.';

function describeGateway(what: string, state: GatewayState, exposure: string | undefined): Finding {
  if (state.status === 'unavailable') {
    return {
      isGood: false,
      text: `${what}: the gateway is running, but not ready: ${state.reason}`,
      advice: exposure,
    };
  }
  return { isGood: true, text: `${what}: the gateway is running and ready`, advice: exposure };
}

async function checkMetrics(
  http: Config['http'],
  gateway: GatewayState | undefined,
  serving: number | undefined,
): Promise<readonly Finding[]> {
  const { metrics } = http;
  if (metrics === undefined) return [];
  const what = `metrics at ${addressOf(metrics)}`;
  const error = await tryListening(metrics);
  const exposure = metricsExposure(http);
  if (error === undefined) {
    return [{ isGood: true, text: `${what}: free to listen`, advice: exposure }];
  }
  const holder = isTaken(error) ? await findMetricsHolder(metrics) : undefined;
  const isOurs = serving !== undefined && (await holdsPort(serving, metrics.port));
  if (holder?.kind === 'foreign' && isOurs) return [describeHung(what, serving, holder)];
  if (holder?.kind !== 'metrics') {
    return [describeTaken(what, error, 'http.metrics', metrics.port, holder)];
  }
  if (serving === undefined ? gateway === undefined : !isOurs) {
    const advice = 'Stop that gateway, or change http.metrics.port.';
    return [{ isGood: false, text: `${what}: ${describeHolder(holder)}`, advice }];
  }
  if (gateway !== undefined) {
    return [{ isGood: true, text: `${what}: the gateway is running`, advice: exposure }];
  }
  const text = `${what}: taken by the running gateway (process ${serving})`;
  return [{ isGood: false, isNeeded: false, text, advice: restartAdvice }];
}

/** Describes an address at which the gateway cannot listen; `foreign` has the port, if that is known. */
function describeTaken(
  what: string,
  error: Error,
  key: 'http' | 'http.metrics',
  port: number,
  foreign: Parameters<typeof describeHolder>[0] | undefined,
): Finding {
  return {
    isGood: false,
    text: `${what}: ${foreign === undefined ? describeError(error) : describeHolder(foreign)}`,
    advice: isTaken(error) ? foreignAdvice(key, port) : listenAdvice(key),
  };
}

/** Describes an address that the running gateway has, where it does not answer as it should. */
function describeHung(
  what: string,
  serving: number,
  { answer }: Extract<PortHolder, { kind: 'foreign' }>,
): Finding {
  return {
    isGood: false,
    text: `${what}: the running gateway (process ${serving}) has this port, but ${answer}`,
    advice: restartAdvice,
  };
}

function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host}:${port}`;
}

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
