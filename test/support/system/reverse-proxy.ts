import { readFileSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from '../clients/http.ts';
import { readBlocks } from '../gateway/recipe.ts';
import { createCertificates } from './certificates.ts';
import { freePort } from './ports.ts';
import { createDirectory, removeDirectory, startChild } from './processes.ts';
import { waitUntil } from './wait.ts';

/** A proxy with an example configuration, in front of a gateway on loopback. */
export interface ReverseProxy {
  /** Without a slash at the end. */
  readonly url: string;
  /** For requests from 127.0.0.2, another address than the proxy has. */
  readonly agent: Agent;
  stop(): Promise<void>;
}

/** The addresses and certificates that replace those of an example. */
interface Site {
  readonly directory: string;
  readonly port: number;
  readonly gatewayPort: number;
  readonly certFile: string;
  readonly keyFile: string;
}

/** A program, and how it is run with its example in deploy/. */
export interface ProxyKind {
  readonly name: string;
  readonly example: string;
  /** Serves the gateway also below /xmpp, as deploy/README.md says. */
  readonly addPath: (example: string) => string;
  readonly buildConfig: (example: string, site: Site) => string;
  readonly command: (configFile: string) => { readonly file: string; readonly args: string[] };
}

/** Replaces what an example must contain. */
function swap(example: string, old: string | RegExp, value: string): string {
  const changed = example.replace(old, () => value);
  if (changed === example) throw new Error(`expected ${old} in\n${example}`);
  return changed;
}

function readLines(language: string): string {
  return readBlocks('../deploy/README.md', language)[0] ?? '';
}

export const nginx: ProxyKind = {
  name: 'nginx',
  example: 'nginx.conf',
  addPath: (example) => readLines('nginx') + swap(example, /:8080(?=;)/, ':8080$below'),
  buildConfig: (example, { directory, port, gatewayPort, certFile, keyFile }) => {
    const named = swap(example, 'listen 443', `listen 127.0.0.1:${port}`);
    const trusted = swap(named, /ssl_certificate .*/, `ssl_certificate ${certFile};`);
    const keyed = swap(trusted, /ssl_certificate_key .*/, `ssl_certificate_key ${keyFile};`);
    const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    const paths = kinds.map((kind) => `${kind}_temp_path ${join(directory, kind)};`);
    // One process, so that none is left behind if we are killed.
    return `daemon off;
master_process off;
pid ${join(directory, 'pid')};
events {}
http {
access_log off;
${paths.join('\n')}
${swap(keyed, '127.0.0.1:8080', `127.0.0.1:${gatewayPort}`)}
}
`;
  },
  command: (configFile) => ({ file: 'nginx', args: ['-e', 'stderr', '-c', configFile] }),
};

export const caddy: ProxyKind = {
  name: 'Caddy',
  example: 'Caddyfile',
  addPath: (example) => swap(example, /^(?=\treverse_proxy )/m, readLines('caddy')),
  buildConfig: (example, { port, gatewayPort, certFile, keyFile }) => {
    const named = swap(
      example,
      'gateway.example.org {',
      `127.0.0.1 {\n\ttls ${certFile} ${keyFile}`,
    );
    return `{
	admin off
	auto_https disable_redirects
	default_bind 127.0.0.1
	https_port ${port}
}
${swap(named, '127.0.0.1:8080', `127.0.0.1:${gatewayPort}`)}`;
  },
  command: (configFile) => ({
    file: 'caddy',
    args: ['run', '--adapter', 'caddyfile', '--config', configFile],
  }),
};

/** Starts a proxy with its example, and waits until the gateway answers through it. */
export async function startReverseProxy(
  kind: ProxyKind,
  gatewayPort: number,
  hasPath = false,
): Promise<ReverseProxy> {
  const directory = createDirectory('proxy');
  const configFile = join(directory, kind.example);
  const port = await freePort();
  const certificates = await createCertificates(directory, []);
  const file = fileURLToPath(new URL(`../../../deploy/${kind.example}`, import.meta.url));
  const example = readFileSync(file, 'utf8');
  const site = { directory, port, gatewayPort, ...certificates };
  writeFileSync(configFile, kind.buildConfig(hasPath ? kind.addPath(example) : example, site));
  const env = { HOME: directory, XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory };
  const child = await startChild({ ...kind.command(configFile), env });
  const url = `https://127.0.0.1:${port}`;
  const ca = readFileSync(certificates.caFile, 'utf8');
  const agent = new Agent({ ca, localAddress: '127.0.0.2', keepAlive: true });
  const stop = async (): Promise<void> => {
    agent.destroy();
    await child.end();
    removeDirectory(directory);
  };
  await waitUntil(
    async () => {
      if (!child.isRunning()) throw new Error(`${kind.name} ended:\n${child.output()}`);
      const answer = await request(`${url}/readyz`, { agent }).catch(() => undefined);
      return answer?.status === 200;
    },
    { label: `200 through ${kind.name}` },
  );
  return { url, agent, stop };
}
