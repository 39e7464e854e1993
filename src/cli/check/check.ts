import { openGrants } from '../../auth/permission-file.ts';
import { parsePermission } from '../../auth/permissions.ts';
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
  UsageError,
  wantsColour,
} from '../command.ts';
import { withProgress } from '../live-line.ts';
import { checkListeners } from './listeners.ts';
import { checkLogin } from './login.ts';
import { checkReadable } from './readable.ts';
import { type Finding, findingsToJson, formatFindings, isAllGood } from './report.ts';
import { findServing } from './serving.ts';
import { checkStateFile } from './state-file.ts';
import { checkStream } from './stream.ts';
import { watchReadiness } from './watch.ts';

const maxConcurrentLogins = 4;

/** `check` */
export const checkCommand: Command = {
  synopsis: 'check --config FILE [--json | --watch]',
  summary: 'test the configuration and the XMPP server, and say how to fix what is wrong',
  help: `Tests the configuration, the HTTP certificate, the component stream, whether the XMPP server
trusts the gateway, the size of stanzas, and the password checks. If the gateway is running,
check asks it whether it is ready, and opens no second component stream beside its own. If the file
has changed since the gateway was started, restart the gateway and run check again.

  -c, --config FILE  the configuration
      --json         print {"ok": …, "findings": [{"ok", "needed", "text", "advice"}]}
      --watch        wait until the running gateway is ready, and show what it waits for

Each line begins with ok, FAILED or later. "later" means: this does not work but is not needed yet,
or it cannot be tested before a restart.
The text is coloured on a terminal, unless NO_COLOR is set.

Exit codes: 0 all good, 1 something failed, 78 faulty configuration.
`,
  run: async (args, surroundings) => {
    const { values, positionals } = parseOptions(args, {
      config: { type: 'string', short: 'c' },
      json: { type: 'boolean' },
      watch: { type: 'boolean' },
    });
    refuseOperands(positionals);
    const path = requireOption(values.config, '--config FILE');
    if (values.watch === true) {
      if (values.json === true) throw new UsageError('expected --json or --watch, got both');
      return watchReadiness(await loadConfig(path), path, surroundings);
    }
    const work = withProgress('Testing', surroundings.stderr, runChecks(path));
    const { stdout } = surroundings;
    if (values.json !== true) {
      const findings = await work;
      stdout.write(formatFindings(findings, wantsColour(surroundings)));
      stdout.write(describeVerdict(findings));
      return exitCode(findings);
    }
    try {
      const findings = await work;
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

/** The last line, because advice on what works already may come before it. */
function describeVerdict(findings: readonly Finding[]): string {
  return isAllGood(findings)
    ? 'Everything that is needed works.\n'
    : 'Not everything that is needed works: see the lines with FAILED.\n';
}

function exitCode(findings: readonly Finding[]): number {
  return isAllGood(findings) ? 0 : 1;
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
  const serving = await findServing(path);
  const { findings: listeners, gateway } = await checkListeners(config, serving);
  const recognising = recogniseServer(config);
  const { findings: grants, domainsOfUsers } = await findUsers(config.permissions);
  return [
    { isGood: true, text: `configuration: ${path}` },
    ...(await checkReadable(path)),
    ...(await checkStateFile(config.permissions.stateFile, path)),
    ...listeners,
    ...grants,
    ...(
      await Promise.all([
        checkStream(config, recognising, { gateway, serving }),
        checkStore(config),
        ...domains.map(async (domain) => {
          const finding = await checkLogin(passwordCheck, c2s, domain, recognising);
          const isNeeded = domainsOfUsers === undefined || domainsOfUsers.has(domain);
          return [isNeeded ? finding : describeUnneeded(finding, domain)];
        }),
      ])
    ).flat(),
  ];
}

/**
 * Finds the domains in which an XMPP user has the permission; undefined if the grants cannot be read,
 * so that it is not known.
 */
async function findUsers({ xmppgateway, stateFile }: Config['permissions']): Promise<{
  readonly findings: readonly Finding[];
  readonly domainsOfUsers: ReadonlySet<string> | undefined;
}> {
  try {
    const granted = stateFile === undefined ? [] : (await openGrants(stateFile)).current;
    const domainsOfUsers = [...xmppgateway, ...granted].map((who) => parsePermission(who).domain);
    return { findings: [], domainsOfUsers: new Set(domainsOfUsers) };
  } catch (error) {
    return { findings: [{ isGood: false, text: describeError(error) }], domainsOfUsers: undefined };
  }
}

/** Passwords are checked only for users who have the permission. */
function describeUnneeded(finding: Finding, domain: string): Finding {
  if (finding.isGood) return finding;
  const text = `${finding.text.replace(/\.$/, '')}. This is not needed yet: no user of ${domain} has the permission.`;
  return { ...finding, text, isNeeded: false };
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
