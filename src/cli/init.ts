import { randomBytes } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { hashPassword } from '../auth/password-hash.ts';
import { recogniseServer, type ServerPlaces } from '../xmpp/probes/probes.ts';
import { buildGatewayFile } from '../xmpp/server/config-lines.ts';
import { describeServer, type ServerKind } from '../xmpp/server/identity.ts';
import {
  type Command,
  parseOptions,
  programName,
  quoteForShell,
  refuseOperands,
  type Surroundings,
  UsageError,
} from './command.ts';
import {
  buildConfigText,
  findAnswers,
  type InitChoices,
  type InitFlags,
  secretFile,
} from './init-answers.ts';
import { withProgress } from './live-line.ts';
import { createFiles, type NewFile } from './new-files.ts';
import {
  findInstalledServers,
  includeByHand,
  isOfService,
  serverKinds,
  setupCommands,
  setupFiles,
  startCommands,
} from './server-setup.ts';

/** `init` */
export const initCommand: Command = {
  synopsis: 'init [--domain DOMAIN] [--server prosody|ejabberd] [option…]',
  summary: 'create a configuration, and the file that the XMPP server needs',
  help: `Writes a first configuration with an API account, and beside it component.secret and the file
with the same secret for the XMPP server. Then it prints the commands to type next.
It never overwrites a file. On a terminal it asks for the options that are missing;
otherwise --domain is required.

      --domain DOMAIN     domain of the XMPP users; may be given several times
      --component DOMAIN  the gateway's own domain; default: gateway.DOMAIN
      --server NAME       the XMPP server: prosody, ejabberd or both;
                          default: the server found on this machine, or else both
      --account NAME      name of the API account; default: alerts
      --bot JID           XMPP user who may send under its own name; default: none
  -c, --config FILE       the configuration to write; default: gateway.yaml

The account's password is printed only once: the configuration contains only its hash.
`,
  run: init,
};

/** The addresses of the server that a new configuration assumes. */
const defaultPlaces: ServerPlaces = {
  component: { host: '127.0.0.1', port: 5347 },
  c2s: { host: '127.0.0.1', port: 5222, security: 'starttls' },
};

/**
 * Writes the files, and prints the commands to type next; resolves with the exit code. `installed` are
 * the servers on this machine.
 */
export async function init(
  args: readonly string[],
  surroundings: Surroundings,
  places: ServerPlaces = defaultPlaces,
  installed: readonly ServerKind[] = findInstalledServers(),
): Promise<number> {
  const { config, flags } = readFlags(args);
  refuseTaken(config);
  const found =
    flags.server === undefined
      ? await findServer(places, installed, surroundings.stderr)
      : undefined;
  const server = flags.server ?? found?.kind;
  const answers = await findAnswers({ ...flags, server }, surroundings, installed);
  const password = randomBytes(18).toString('base64url');
  const secret = randomBytes(32).toString('hex');
  const passwordHash = await hashPassword(password);
  const kinds = answers.server === 'both' ? serverKinds : [answers.server];
  const created = await mkdir(dirname(config), { recursive: true });
  const isService = await isOfService(config);
  const text = buildConfigText({ ...answers, passwordHash, isService });
  const files: readonly NewFile[] = [
    { path: config, text, ...(isService && { mode: 0o640 }) },
    { path: beside(config, secretFile), text: `${secret}\n` },
    ...kinds.map((kind) => ({
      path: beside(config, setupFiles[kind]),
      text: buildServerFile(kind, answers.component, secret),
    })),
  ];
  try {
    await createFiles(files);
  } catch (error) {
    if (created !== undefined) await rm(created, { recursive: true });
    throw error;
  }
  surroundings.stdout.write(
    `Created ${listInWords(files.map(({ path }) => path))}

API account: ${answers.account}
Password:    ${password}   (shown once)

${found === undefined ? '' : describeFound(found)}${nextCommands(programName(surroundings), config, kinds, answers, isService)}`,
  );
  return 0;
}

/** The name of a file beside the configuration. */
function beside(config: string, name: string): string {
  return join(dirname(config), name);
}

/** Refuses a name that cannot be that of the configuration, and files that exist. */
function refuseTaken(config: string): void {
  if (config.endsWith('/') || statSync(config, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new UsageError('--config: expected the name of a file, got a folder');
  }
  const others = [secretFile, ...Object.values(setupFiles)];
  if (others.includes(basename(config))) {
    throw new UsageError(
      `--config: expected another name than ${basename(config)}, which init gives to a file beside it`,
    );
  }
  for (const path of [config, ...others.map((name) => beside(config, name))]) {
    if (existsSync(path))
      throw new Error(
        `${path} already exists and was not changed; with --config, choose another folder`,
      );
  }
}

/** A server on this machine. */
interface FoundServer {
  readonly kind: ServerKind;
  readonly isRunning: boolean;
}

/** Finds the server that runs here, or else the only one that is installed. */
async function findServer(
  places: ServerPlaces,
  installed: readonly ServerKind[],
  screen: Surroundings['stderr'],
): Promise<FoundServer | undefined> {
  const running = await withProgress(
    'Looking for the XMPP server',
    screen,
    recogniseServer(places),
  );
  if (running !== undefined) return { kind: running, isRunning: true };
  const [kind, ...others] = installed;
  return kind === undefined || others.length > 0 ? undefined : { kind, isRunning: false };
}

function buildServerFile(kind: ServerKind, domain: string, secret: string): string {
  const { host, port } = defaultPlaces.component;
  const name = nameOf(kind);
  const comment = `Lets xmpp-message-gateway connect to ${name}. Keep it private: the secret allows speaking as any user.`;
  const text = buildGatewayFile({ kind, version: undefined }, { domain, host, port }, secret);
  return `${kind === 'prosody' ? '--' : '#'} ${comment}\n${text}`;
}

function readFlags(args: readonly string[]): { config: string; flags: InitFlags } {
  const { values, positionals } = parseOptions(args, {
    domain: { type: 'string', multiple: true },
    component: { type: 'string' },
    server: { type: 'string' },
    account: { type: 'string' },
    bot: { type: 'string' },
    config: { type: 'string', short: 'c', default: 'gateway.yaml' },
  });
  refuseOperands(positionals);
  const { domain, component, server, account, bot, config } = values;
  return { config, flags: { domain: domain?.join(' '), component, server, account, bot } };
}

function describeFound({ kind, isRunning }: FoundServer): string {
  return `${nameOf(kind)} is ${isRunning ? 'running' : 'installed'} on this machine. (To choose another server, use --server.)\n\n`;
}

function nameOf(kind: ServerKind): string {
  return describeServer({ kind, version: undefined });
}

/** `a, b and c` */
function listInWords(texts: readonly string[]): string {
  return texts.join(', ').replace(/, ([^,]*)$/, ' and $1');
}

function inLines(commands: readonly string[]): string {
  return commands.map((command) => `   ${command}\n`).join('');
}

/** The sender of the first message is a user, because in mode client the sender must exist. */
function nextCommands(
  program: string,
  config: string,
  kinds: readonly ServerKind[],
  { account, domains }: InitChoices,
  isService: boolean,
): string {
  const file = quoteForShell(config);
  const you = `YOU@${domains[0] ?? ''}`;
  const setups = kinds.map((kind) => {
    const commands = setupCommands(kind, join(dirname(config), setupFiles[kind]));
    const title =
      kinds.length > 1
        ? `If the server is ${nameOf(kind)}`
        : `Let ${nameOf(kind)} know the gateway`;
    const byHand = kind === 'ejabberd' ? `\n   ${includeByHand}\n` : '';
    return `1. ${title}:\n\n${inLines(commands)}${byHand}`;
  });
  const start = isService ? startCommands() : [`${program} serve --config ${file}`];
  return `== Next steps

${setups.join('\n')}
2. Test everything; it says what is still wrong, and how to fix it:

   ${program} check --config ${file}

3. Start the gateway:

${inLines(start)}
Then${isService ? '' : ', in another terminal,'} send yourself a message (it asks for the password above):

   ${program} send --url http://127.0.0.1:8080 --user ${quoteForShell(account)} --from ${you} --to ${you} 'Hello'
`;
}
