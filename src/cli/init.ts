import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { hashPassword } from '../auth/password-hash.ts';
import { recogniseServer, type ServerPlaces } from '../xmpp/probes/probes.ts';
import { setupLines } from '../xmpp/server/config-lines.ts';
import { describeServer, type ServerIdentity, type ServerKind } from '../xmpp/server/identity.ts';
import {
  type Command,
  parseOptions,
  quoteForShell,
  refuseOperands,
  type Surroundings,
} from './command.ts';
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
  summary: 'create a configuration, and print the lines that the XMPP server needs',
  help: `Writes a first configuration with an API account, and a file component.secret beside it.
It never overwrites a file. On a terminal it asks for the options that are missing;
otherwise --domain is required.

      --domain DOMAIN     domain of the XMPP users; may be given several times
      --component DOMAIN  the gateway's own domain; default: gateway.DOMAIN
      --server NAME       print the lines for prosody, ejabberd or both;
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

/** Writes the files and prints the lines that the server needs; resolves with the exit code. */
export async function init(
  args: readonly string[],
  surroundings: Surroundings,
  places: ServerPlaces = defaultPlaces,
): Promise<number> {
  const { config, flags } = readFlags(args);
  const secretPath = join(dirname(config), secretFile);
  for (const path of [config, secretPath]) {
    if (existsSync(path))
      throw new Error(
        `${path} already exists and was not changed; with --config, choose another folder`,
      );
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
    `Created ${config} and ${secretPath}

API account: ${account}
Password:    ${password}   (shown once)

== What the XMPP server needs

${found === undefined ? '' : describeFound(found)}${serverLines(server, component)}

In place of <the same as component.secret>, put the line in ${secretPath}. Then restart the server.

== Next steps

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

/** Others must not read the secret, nor change the permissions in the configuration. */
async function writeNew(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: 'wx', mode: 0o600 });
}

function describeFound(kind: ServerKind): string {
  return `${describeServer({ kind, version: undefined })} was found on this machine. (To choose another server, use --server.)\n\n`;
}

function serverLines(server: InitChoices['server'], domain: string): string {
  const { host, port } = defaultPlaces.component;
  const identity: ServerIdentity | undefined =
    server === 'both' ? undefined : { kind: server, version: undefined };
  return setupLines({ domain, host, port }, identity);
}

/** Returns how the program was called, so that the printed commands can be pasted. */
function programName({ argv }: Surroundings): string {
  const [, file = ''] = argv;
  const isBare = basename(file) === 'main.js';
  return isBare ? `node ${quoteForShell(relative('', file))}` : 'xmpp-message-gateway';
}

/** The sender is a user, because in mode client the sender must exist. */
function nextCommands(program: string, config: string, account: string, domain: string): string {
  const file = quoteForShell(config);
  const you = `YOU@${domain}`;
  return `${program} check --config ${file}     # says what is still wrong and how to fix it
${program} serve --config ${file}     # then, in another terminal:
${program} send --url http://127.0.0.1:8080 --user ${quoteForShell(account)} --from ${you} --to ${you} 'Hello'
`;
}
