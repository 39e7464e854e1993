import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import { openGrants } from '../auth/permission-file.ts';
import { type Config, ConfigError, loadConfig } from '../config/config.ts';
import { changesThatNeedRestart } from '../config/reload.ts';
import { describeError } from '../core/text.ts';
import { createGateway, type Gateway, ListenError } from '../gateway/gateway.ts';
import { recogniseServer } from '../xmpp/probes/probes.ts';
import {
  type Command,
  parseOptions,
  refuseOperands,
  requireOption,
  type Surroundings,
  UsageError,
  wantsColour,
} from './command.ts';
import {
  datesFault,
  httpExposure,
  isTaken,
  listenAdvice,
  metricsExposure,
} from './listen-address.ts';
import { createPrettyLog, LogStream } from './log.ts';
import { describeHolder, findHttpHolder, findMetricsHolder, foreignAdvice } from './port-holder.ts';
import { adviceForRefusal } from './server-setup.ts';

const standardOutput = 1;

/** How often to look whether the first attempt to connect has ended, in milliseconds. */
const firstAttemptPollMs = 100;

const reloadAdvice = 'Correct it and send SIGHUP again.';

/** How long a reader of the log has, at the end, to take the remaining lines. */
const logEndMs = 1000;

/** A signal that has not ended the process after this time was without effect. */
const signalMs = 100;

/** `serve` */
export const serveCommand: Command = {
  synopsis: '[serve] --config FILE [--log-format json|pretty]',
  summary: 'run the gateway',
  help: `Runs the gateway until SIGTERM or SIGINT. A second one of these ends it at once.
SIGHUP reloads the API accounts, permissions.xmppgateway, the templates and the HTTP
certificate; other keys need a restart.

  -c, --config FILE        the configuration
      --log-format FORMAT  json: one JSON object per line; pretty: for people to read;
                           default: pretty on a terminal, otherwise json

Exit codes: 0 stopped, 1 failed, 78 faulty configuration.
`,
  run: (args, surroundings) => {
    const { values, positionals } = parseOptions(args, {
      config: { type: 'string', short: 'c' },
      'log-format': { type: 'string' },
    });
    refuseOperands(positionals);
    const path = requireOption(values.config, '--config FILE');
    const format = values['log-format'] ?? (surroundings.stdout.isTTY === true ? 'pretty' : 'json');
    if (format !== 'json' && format !== 'pretty') {
      throw new UsageError(`expected --log-format json or pretty, got ${JSON.stringify(format)}`);
    }
    return runServe(path, ({ level }) => createLog(level, format, surroundings));
  },
};

interface ServeLog {
  readonly log: Logger;
  readonly output: LogStream;
}

async function createLog(
  level: Config['log']['level'],
  format: 'json' | 'pretty',
  surroundings: Surroundings,
): Promise<ServeLog> {
  const output = new LogStream(standardOutput, (lines) => log.warn({ lines }, 'log lines lost'));
  const stream =
    format === 'json' ? output : await createPrettyLog(output, wantsColour(surroundings));
  const log = pino({ level, base: null }, stream);
  return { log, output };
}

/** Runs the gateway until a signal ends it; resolves with the exit code. */
async function runServe(
  path: string,
  openLog: (config: Config['log']) => Promise<ServeLog>,
): Promise<number> {
  // First of all: a service manager may send SIGHUP, for a changed configuration, before the gateway
  // is running.
  const onHangUp = catchHangUps();
  const config = await loadConfig(path);
  const { log, output } = await openLog(config.log);
  try {
    const signal = await runGateway(path, config, log, onHangUp);
    log.info('stopped');
    if (!(await output.end(logEndMs))) endBySignal(signal);
    return 0;
  } catch (error) {
    await output.end(logEndMs);
    throw error;
  }
}

/** Resolves with the signal that ended the gateway. */
async function runGateway(
  path: string,
  config: Config,
  log: Logger,
  onHangUp: ReturnType<typeof catchHangUps>,
): Promise<NodeJS.Signals> {
  const { stateFile } = config.permissions;
  const grants = stateFile === undefined ? undefined : await openGrants(stateFile);
  const gateway = await createGateway(config, log, grants);
  const port = await gateway.start().catch(async (error: unknown) => {
    throw error instanceof ListenError ? await describeListenError(error, config.http) : error;
  });
  const { host } = config.http;
  log.info({ host, port }, 'listening for HTTP');
  const exposure = httpExposure(config.http);
  if (exposure !== undefined) log.warn({ host }, exposure);
  warnOfDates(config.http, log);
  const ofMetrics = metricsExposure(config.http);
  if (ofMetrics !== undefined) log.warn({ host: config.http.metrics?.host }, ofMetrics);
  void adviseOnRefusal(config, log, gateway);

  const reload = async (): Promise<void> => {
    try {
      const next = await loadConfig(path);
      const ignored = changesThatNeedRestart(config, next);
      if (ignored.length > 0) {
        log.warn({ keys: ignored }, 'changed keys need a restart and were ignored');
      }
      gateway.reload(next);
      log.info('accounts and permissions reloaded');
      warnOfDates(next.http, log);
    } catch (error) {
      // Even an unexpected error is only logged: SIGHUP must not end the gateway.
      const why = error instanceof ConfigError ? { faults: error.faults } : { err: error };
      log.error({ ...why, advice: reloadAdvice }, 'configuration not reloaded: the old one stays');
    }
  };
  onHangUp(reload);

  const signal = await firstSignal();
  log.info({ signal }, 'stopping');
  await gateway.stop();
  return signal;
}

/**
 * Logs, once, how to let the server listen for components, if the first attempt finds that nothing does.
 * Later it may refuse connections because it is being restarted, which needs no advice.
 */
async function adviseOnRefusal(config: Config, log: Logger, gateway: Gateway): Promise<void> {
  const { component } = config;
  const before = reasonOf(gateway);
  let reason = before;
  while (reason !== undefined && reason === before) {
    await sleep(firstAttemptPollMs, undefined, { ref: false });
    reason = reasonOf(gateway);
  }
  if (reason?.includes('ECONNREFUSED') !== true) return;
  const kind = await recogniseServer(config);
  const advice = adviceForRefusal(component, kind && { kind, version: undefined });
  const { host, port } = component;
  log.warn({ host, port, advice }, 'nothing listens for components');
}

function reasonOf(gateway: Gateway): string | undefined {
  const readiness = gateway.readiness();
  return readiness.ready ? undefined : readiness.reason;
}

function warnOfDates(http: Config['http'], log: Logger): void {
  const fault = datesFault(http);
  if (fault !== undefined) log.warn(`http.tls: ${fault}`);
}

async function describeListenError(
  { key, address, cause }: ListenError,
  http: Config['http'],
): Promise<Error> {
  const what = `${key === 'http' ? 'HTTP' : 'metrics'} at ${address.host}:${address.port}`;
  if (!isTaken(cause)) {
    return new Error(`${what}: ${describeError(cause)}\n${listenAdvice(key)}`, { cause });
  }
  const holder = await (key === 'http' ? findHttpHolder(http) : findMetricsHolder(address));
  const why = holder === undefined ? describeError(cause) : describeHolder(holder);
  return new Error(`${what}: ${why}\n${foreignAdvice(key, address.port)}`, { cause });
}

function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (isStopping) endBySignal(signal);
      isStopping = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}

/**
 * Ends the process by the signal's default action. `process.exit()` would wait for the threads of the
 * process, and one of them may be blocked, for example in a write to a stopped terminal.
 */
function endBySignal(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // The first process of a container is immune to its own signals.
  setTimeout(() => process.exit(1), signalMs);
}

/**
 * Catches SIGHUP from now on. Returns a function that sets the handler; it calls the handler at once if
 * a signal has already arrived. Runs of the handler never overlap.
 */
function catchHangUps(): (handle: () => Promise<void>) => void {
  let handler: (() => Promise<void>) | undefined;
  let handling = Promise.resolve();
  let isEarly = false;
  process.on('SIGHUP', () => {
    if (handler === undefined) isEarly = true;
    else handling = handling.then(handler);
  });
  return (handle) => {
    handler = handle;
    if (isEarly) handling = handling.then(handle);
  };
}
