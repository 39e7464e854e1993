import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config/config.ts';
import { isLoopback } from '../config/cross-checks.ts';
import { adviceForSilence } from '../xmpp/server/advice.ts';
import { gatewayFiles } from '../xmpp/server/config-lines.ts';
import type { ServerIdentity, ServerKind } from '../xmpp/server/identity.ts';
import { quoteForShell } from './command.ts';

export const serverKinds: readonly ServerKind[] = ['prosody', 'ejabberd'];

/** The programs that manage the servers, where packages put them. */
const programs: Readonly<Record<ServerKind, readonly string[]>> = {
  prosody: ['/usr/bin/prosodyctl', '/usr/local/bin/prosodyctl'],
  ejabberd: ['/usr/sbin/ejabberdctl', '/usr/bin/ejabberdctl'],
};

/** The servers that are installed on this machine. */
export function findInstalledServers(exists = existsSync): readonly ServerKind[] {
  return serverKinds.filter((kind) => programs[kind].some((file) => exists(file)));
}

/**
 * What to do when nothing listens where the gateway's component should connect. `running` is the server
 * that answers elsewhere; if none does, the only one that is installed here is meant.
 */
export function adviceForRefusal(
  component: Config['component'],
  running: ServerIdentity | undefined,
  installed = findInstalledServers(),
): string {
  const [kind, ...others] = isLoopback(component.host) ? installed : [];
  if (running !== undefined || kind === undefined || others.length > 0) {
    return adviceForSilence(component, running);
  }
  return adviceForSilence(component, { kind, version: undefined }, false);
}

/** The name of the server's file beside the gateway's configuration. */
export const setupFiles: Readonly<Record<ServerKind, string>> = {
  prosody: 'prosody-gateway.cfg.lua',
  ejabberd: 'ejabberd-gateway.yml',
};

/**
 * The commands that give the server the file `source` and let it read that; with sudo, unless we are
 * root. They may be repeated.
 */
export function setupCommands(
  kind: ServerKind,
  source: string,
  isRoot = isRunByRoot(),
): readonly string[] {
  const sudo = sudoUnless(isRoot);
  const rights = {
    prosody: '-o root -g prosody -m 640',
    ejabberd: '-o ejabberd -g ejabberd -m 600',
  };
  return [
    `${sudo}install ${rights[kind]} ${quoteForShell(source)} ${gatewayFiles[kind]}`,
    // A restart would throw out all users; ejabberd needs none for a listener.
    ...(kind === 'ejabberd'
      ? [...changeEjabberd(sudo), `${sudo}ejabberdctl reload_config`]
      : [`${sudo}systemctl restart prosody`]),
  ];
}

/** Whether the configuration is a service's: its folder passes on its group (setgid), which has to read it. */
export async function isOfService(config: string): Promise<boolean> {
  return ((await stat(dirname(config))).mode & 0o2000) !== 0;
}

/** Where packages put the unit, and enable it. */
const packagedUnits = ['/usr/lib', '/lib'].map(
  (folder) => `${folder}/systemd/system/xmpp-message-gateway.service`,
);

/** The commands that start the service, now and with the system. */
export function startCommands(
  isRoot = isRunByRoot(),
  exists: (file: string) => boolean = existsSync,
): readonly string[] {
  const words = packagedUnits.some(exists)
    ? ['start xmpp-message-gateway']
    : ['daemon-reload', 'enable --now xmpp-message-gateway'];
  return words.map((word) => `${sudoUnless(isRoot)}systemctl ${word}`);
}

function isRunByRoot(): boolean {
  return process.getuid?.() === 0;
}

function sudoUnless(isRoot: boolean): string {
  return isRoot ? '' : 'sudo ';
}

/** What to add by hand where `setupCommands` leave ejabberd's list as it is. */
export const includeByHand = `If ejabberd.yml already has include_config_file, add ${gatewayFiles.ejabberd} to that list before you run the last command. If ejabberd is not running, start it instead of running that command.`;

/**
 * Includes the file, unless some file is included already, because the key may be there only once. And
 * exempts the gateway from mod_fail2ban where Debian's configuration has it without options: wrong
 * passwords of users would lock the gateway out.
 */
function changeEjabberd(sudo: string): readonly string[] {
  const file = '/etc/ejabberd/ejabberd.yml';
  return [
    `${sudo}grep -q '^include_config_file:' ${file} || ${sudo}sed -i.bak '$a include_config_file: [${gatewayFiles.ejabberd}]' ${file}`,
    `${sudo}sed -i 's/^  mod_fail2ban: {}$/  mod_fail2ban: {access: trusted_network}/' ${file}`,
  ];
}
