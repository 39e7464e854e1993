import { fileURLToPath } from 'node:url';
import { freePort } from '../system/ports.ts';
import { startEjabberd } from './ejabberd.ts';
import { startProsody } from './prosody.ts';
import type { ServerOptions, XmppServer } from './xmpp-server.ts';

const folders = ['../../../test/support/servers/prosody-modules', '../../../prosody/modules'].map(
  (folder) => JSON.stringify(fileURLToPath(new URL(folder, import.meta.url))),
);

/** A domain whose server accepts no connections. */
export const unreachable = 'down.example';

/** The domain of the Prosody beside an ejabberd, which has no other way to find it on loopback. */
export const loopback = '127.0.0.1';

/** Two servers that reach each other's domains over s2s (dialback) on loopback. */
export interface Federation {
  readonly near: XmppServer;
  readonly far: XmppServer;
  stop(): Promise<void>;
}

/** Starts an ejabberd and, with the domain `loopback`, a Prosody. */
export async function startMixedFederation(near: ServerOptions): Promise<Federation> {
  const [nearPort, farPort] = [await freePort(), await freePort()];
  const far = {
    domains: [loopback],
    components: [{ domain: 'unused.example', secret: 'secret' }],
  };
  const ports = portsOf(near, nearPort);
  const farServer = await startProsody(withS2s(far, farPort, ports));
  try {
    const s2s = { port: nearPort, outgoingPort: farPort };
    const nearServer = await startEjabberd({ ...near, s2s });
    return { near: nearServer, far: farServer, stop: () => stopBoth(nearServer, farServer) };
  } catch (error) {
    await farServer.stop();
    throw error;
  }
}

async function stopBoth(near: XmppServer, far: XmppServer): Promise<void> {
  await Promise.all([near.stop(), far.stop()]);
}

/** Starts two Prosodys. The options must not set `modules_enabled` or plugin paths at the top level. */
export async function startFederation(
  near: ServerOptions,
  far: ServerOptions,
): Promise<Federation> {
  const [nearPort, farPort] = [await freePort(), await freePort()];
  const ports = {
    ...portsOf(near, nearPort),
    ...portsOf(far, farPort),
    [unreachable]: await freePort(),
  };
  const nearServer = await startProsody(withS2s(near, nearPort, ports));
  try {
    const farServer = await startProsody(withS2s(far, farPort, ports));
    return { near: nearServer, far: farServer, stop: () => stopBoth(nearServer, farServer) };
  } catch (error) {
    await nearServer.stop();
    throw error;
  }
}

function portsOf(
  { domains = ['example.org'], components, muc }: ServerOptions,
  port: number,
): Record<string, number> {
  const ofComponents = (components ?? [{ domain: 'gateway.example.org' }]).map(
    ({ domain }) => domain,
  );
  const all = [...domains, ...ofComponents, ...(muc === undefined ? [] : [muc])];
  return Object.fromEntries(all.map((domain) => [domain, port]));
}

function withS2s(
  options: ServerOptions,
  port: number,
  ports: Readonly<Record<string, number>>,
): ServerOptions {
  const routes = Object.entries(ports).map(([domain, at]) => `["${domain}"] = ${at}`);
  const global = `
plugin_paths = { ${folders.join(', ')} }
modules_enabled = {
  "roster", "saslauth", "tls", "disco", "ping", "mam", "carbons", "offline", "blocklist", "admin_shell",
  "dialback", "loopback_s2s",
}
s2s_ports = { ${port} }; s2s_interfaces = { "127.0.0.1" }
s2s_require_encryption = false; s2s_secure_auth = false
loopback_s2s = { ${routes.join(', ')} }
${options.extra?.global ?? ''}`;
  return { ...options, extra: { ...options.extra, global } };
}
