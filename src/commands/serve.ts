import { pino } from 'pino';
import { openGrants } from '../auth/grants.ts';
import { isLoopback } from '../config/rules.ts';
import { ConfigError, loadConfig } from '../config.ts';
import { changesThatNeedRestart } from '../config-changes.ts';
import { describeError } from '../core/describe-error.ts';
import { createGateway } from '../gateway.ts';
import { listenAdvice } from './listening.ts';

/**
 * Runs the gateway until SIGTERM or SIGINT; SIGHUP reads the accounts, the permissions and
 * the certificate again. A second SIGTERM or SIGINT ends the process at once. Returns the exit code.
 */
export async function runServe(path: string): Promise<number> {
  const config = await loadConfig(path);
  const log = pino({ level: config.log.level, base: null });
  const { stateFile } = config.permissions;
  const grants = stateFile === undefined ? undefined : await openGrants(stateFile);
  const gateway = createGateway(config, log, grants);
  const port = await gateway.start().catch((error: unknown) => {
    const { host, port: wanted } = config.http;
    const message = `HTTP at ${host}:${wanted}: ${describeError(error)}\n${listenAdvice(error)}`;
    throw new Error(message, { cause: error });
  });
  const { host, tls } = config.http;
  log.info({ host, port }, 'listening for HTTP');
  if (tls === undefined && !isLoopback(host)) {
    log.warn({ host }, 'http.insecure: passwords cross the network in the clear');
  }

  const reload = async (): Promise<void> => {
    try {
      const next = await loadConfig(path);
      const ignored = changesThatNeedRestart(config, next);
      if (ignored.length > 0) {
        log.warn({ keys: ignored }, 'changed keys need a restart and were ignored');
      }
      gateway.reload(next);
      log.info('accounts and permissions reloaded');
    } catch (error) {
      if (!(error instanceof ConfigError)) {
        throw error;
      }
      log.error({ faults: error.faults }, 'configuration not reloaded: the old one stays');
    }
  };
  let reloading = Promise.resolve();
  process.on('SIGHUP', () => {
    reloading = reloading.then(reload);
  });

  const signal = await firstSignal();
  log.info({ signal }, 'stopping');
  await gateway.stop();
  log.info('stopped');
  return 0;
}

function firstSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (isStopping) {
        process.exit(1);
      }
      isStopping = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
