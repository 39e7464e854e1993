import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { hashPassword } from '../auth/password-hash.ts';
import { recogniseServer, type ServerPlaces } from '../xmpp/probes/recognition.ts';
import { setupLines } from '../xmpp/server/config-lines.ts';
import { describeServer, type ServerIdentity, type ServerKind } from '../xmpp/server/identity.ts';
import { type Command, parseOptions, refuseOperands, type Surroundings } from './command.ts';
import {
  buildConfigText,
  findAnswers,
  type InitChoices,
  type InitFlags,
  secretFile,
} from './init-answers.ts';

/** `init` */
export const initCommand: Command = {
  synopsis: 'init [--domain DOMAIN] [--server prosody|ejabberd] [option…]',
  summary: 'write a first gateway.yaml, and say what the XMPP server needs',
  help: `Asks on a terminal for what is not given; elsewhere --domain is needed.
Nothing that exists is overwritten.

      --domain DOMAIN     of the users on the XMPP server; may stand several times
      --component DOMAIN  the gateway's own; default: gateway.DOMAIN
      --server NAME       prosody, ejabberd or both: whose lines to print;
                          default: the one that answers on this machine
      --account NAME      of the first API account; default: alerts
      --bot JID           an XMPP user who may send as itself; default: none
      --config PATH       default: gateway.yaml; component.secret is put beside it

Prints the password of the API account, once: the file holds only its hash.
`,
  run: init,
};

/** Where the server is that listens as the new configuration expects. */
const defaultPlaces: ServerPlaces = {
  component: { host: '127.0.0.1', port: 5347 },
  c2s: { host: '127.0.0.1', port: 5222, security: 'starttls' },
};

/** Writes the files and says what the server at these places needs; resolves with the exit code. */
export async function init(
  args: readonly string[],
  surroundings: Surroundings,
  places: ServerPlaces = defaultPlaces,
): Promise<number> {
  const { config, flags } = readFlags(args);
  const secretPath = join(dirname(config), secretFile);
  for (const path of [config, secretPath]) {
    if (existsSync(path)) throw new Error(`${path} is there already, and stays as it is`);
  }
  const found = flags.server === undefined ? await recogniseServer(places) : undefined;
  const answers = await findAnswers({ ...flags, server: flags.server ?? found }, surroundings);
  const password = randomBytes(18).toString('base64url');
  const text = buildConfigText({ ...answers, passwordHash: await hashPassword(password) });
  await mkdir(dirname(config), { recursive: true });
  await writeNew(secretPath, `${randomBytes(32).toString('hex')}\n`);
  await writeNew(config, text);
  const { server, component, domains, account } = answers;
  surroundings.stdout.write(
    `Written: ${config} and ${secretPath}

API account: ${account}
Password:    ${password}   (shown once)

== What the XMPP server needs

${found === undefined ? '' : describeFound(found)}${serverLines(server, component)}

<the same as component.secret> is the line in ${secretPath}. Then restart the server.

== Next

${nextCommands(programName(surroundings), config, account, domains[0] ?? '')}`,
  );
  return 0;
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

/** Both files hold what others must not read or change: the one the secret, the other who may. */
async function writeNew(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: 'wx', mode: 0o600 });
}

function describeFound(kind: ServerKind): string {
  return `${describeServer({ kind, version: undefined })} answers on this machine. (For another server: --server.)\n\n`;
}

function serverLines(server: InitChoices['server'], domain: string): string {
  const { host, port } = defaultPlaces.component;
  const identity: ServerIdentity | undefined =
    server === 'both' ? undefined : { kind: server, version: undefined };
  return setupLines({ domain, host, port }, identity);
}

/** How the program was called, so that what is printed can be pasted. */
function programName({ argv }: Surroundings): string {
  const [, file = ''] = argv;
  const isBare = basename(file) === 'main.js';
  return isBare ? `node ${quoteForShell(relative('', file))}` : 'xmpp-message-gateway';
}

/** A user as the sender: where the gateway counts as a client, it has to be one that exists. */
function nextCommands(program: string, config: string, account: string, domain: string): string {
  const file = quoteForShell(config);
  const you = `YOU@${domain}`;
  return `${program} check --config ${file}     # says what is still wrong, and how to mend it
${program} serve --config ${file}     # then, in another terminal:
${program} send --url http://127.0.0.1:8080 --user ${quoteForShell(account)} --from ${you} --to ${you} 'Hello'
`;
}

function quoteForShell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
