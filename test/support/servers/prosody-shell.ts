import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runToSuccess } from '../system/processes.ts';
import type { XmppServer } from './xmpp-server.ts';

export const configFile = fileURLToPath(
  new URL('../../../prosody/private.cfg.lua', import.meta.url),
);

/** What this configuration takes from the environment, as for a running Prosody. */
export function prosodyEnvironment(server: XmppServer): Readonly<Record<string, string>> {
  return {
    XMG_DIRECTORY: dirname(server.caFile),
    XMG_C2S_PORT: String(server.c2sPort),
    XMG_COMPONENT_PORT: String(server.componentPort),
    XMG_DOMAINS: server.domains.join(' '),
    XMG_COMPONENT: server.componentDomain,
    XMG_COMPONENT_SECRET: server.componentSecret,
  };
}

/** Runs one line in the shell of a running Prosody; throws unless it succeeds. */
export async function runInProsodyShell(server: XmppServer, line: string): Promise<void> {
  const said = await runToSuccess({
    file: 'prosodyctl',
    args: ['--config', configFile, 'shell', line],
    env: prosodyEnvironment(server),
  });
  if (!/OK:|Result: true/.test(said)) throw new Error(`expected OK from ${line}, got ${said}`);
}
