import { type Logger, pino } from 'pino';
import { openGrants } from '../auth/permission-file.ts';
import { type Config, ConfigError, loadConfig } from '../config/config.ts';
import { changesThatNeedRestart } from '../config/reload.ts';
import { describeError } from '../core/text.ts';
import { createGateway, ListenError } from '../gateway/gateway.ts';
import {
  type Command,
  parseOptions,
  refuseOperands,
  requireOption,
  type Surroundings,
  UsageError,
  wantsColour,
} from './command.ts';
import { datesFault, httpExposure, listenAdvice, metricsExposure } from './listen-address.ts';
import { createLogStream, createPrettyLog, type LogStream } from './log.ts';

const standardOutput = 1;

const reloadAdvice = 'Correct it and send SIGHUP again.';

/** How long at the end, in milliseconds, a reader of the log has to take what is left. */
const logEndMs = 1000;

/** After how long, in milliseconds, it is clear that a signal has not ended the process. */
const firstProcessMs = 100;

/** `serve` */
export const serveCommand: Command = {
  synopsis: '[serve] --config FILE [--log-format json|pretty]',
  summary: 'run the gateway',
  help: `Runs until SIGTERM or SIGINT; SIGHUP reads accounts and permissions again.

  -c, --config FILE         the configuration
      --log-format FORMAT   json (default): one object a line; pretty: to be read by people

Exit codes: 0 stopped, 1 failed, 78 faulty configuration. A second SIGTERM or SIGINT ends it at
once, by that signal.
`,
  run: (args, surroundings) => {
    const { values, positionals } = parseOptions(args, {
      config: { type: 'string', short: 'c' },
      'log-format': { type: 'string', default: 'json' },
    });
    refuseOperands(positionals);
    const path = requireOption(values.config, '--config FILE');
    const format = values['log-format'];
    if (format !== 'json' && format !== 'pretty') {
      throw new UsageError(`expected --log-format json or pretty, got ${JSON.stringify(format)}`);
    }
    return runServe(path, ({ level }) => createLog(level, format, surroundings));
  },
};

/** The log, and what ends it (`LogStream`). */
interface ServeLog extends Pick<LogStream, 'end'> {
  readonly log: Logger;
}

function createLog(
  level: Config['log']['level'],
  format: 'json' | 'pretty',
  surroundings: Surroundings,
): ServeLog {
  const output = createLogStream(standardOutput, (lines) => log.warn({ lines }, 'log lines lost'));
  const stream = format === 'json' ? output : createPrettyLog(output, wantsColour(surroundings));
  const log = pino({ level, base: null }, stream);
  return { log, end: output.end };
}

/**
 * Runs the gateway until SIGTERM or SIGINT; SIGHUP reads the accounts, the permissions and
 * the certificate again. A second SIGTERM or SIGINT ends the process at once, by that signal. Returns
 * the exit code.
 */
async function runServe(
  path: string,
  openLog: (config: Config['log']) => ServeLog,
): Promise<number> {
  // A service manager may say it before the gateway runs, and the configuration may have changed then.
  const onHangUp = catchHangUps();
  const config = await loadConfig(path);
  const { log, end } = openLog(config.log);
  try {
    const signal = await runGateway(path, config, log, onHangUp);
    log.info('stopped');
    if (!(await end(logEndMs))) endBySignal(signal);
    return 0;
  } catch (error) {
    await end(logEndMs);
    throw error;
  }
}

/** Resolves with the signal that has ended it. */
async function runGateway(
  path: string,
  config: Config,
  log: Logger,
  onHangUp: ReturnType<typeof catchHangUps>,
): Promise<NodeJS.Signals> {
  const { stateFile } = config.permissions;
  const grants = stateFile === undefined ? undefined : await openGrants(stateFile);
  const gateway = await createGateway(config, log, grants);
  const port = await gateway.start().catch((error: unknown) => {
    throw error instanceof ListenError ? describeListenError(error) : error;
  });
  const { host } = config.http;
  log.info({ host, port }, 'listening for HTTP');
  const exposure = httpExposure(config.http);
  if (exposure !== undefined) log.warn({ host }, exposure);
  warnOfDates(config.http, log);
  const ofMetrics = metricsExposure(config.http);
  if (ofMetrics !== undefined) log.warn({ host: config.http.metrics?.host }, ofMetrics);

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
      // Also of an error that should not be: a signal is no reason to end.
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

function warnOfDates(http: Config['http'], log: Logger): void {
  const fault = datesFault(http);
  if (fault !== undefined) log.warn(`http.tls: ${fault}`);
}

function describeListenError({ key, address, cause }: ListenError): Error {
  const what = `${key === 'http' ? 'HTTP' : 'metrics'} at ${address.host}:${address.port}`;
  return new Error(`${what}: ${describeError(cause)}\n${listenAdvice(cause, key)}`, { cause });
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
 * Ends the process as the signal does where nobody listens to it: `process.exit()` would wait for all
 * that threads are at, such as a write to a terminal that stands still.
 */
function endBySignal(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // The first process of a container is not ended by its own signals.
  setTimeout(() => process.exit(1), firstProcessMs);
}

/**
 * Catches SIGHUP from now on; returns what sets the handler, which is called at once when a signal
 * has come before, and never runs twice at a time.
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
