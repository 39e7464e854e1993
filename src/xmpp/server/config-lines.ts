import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeServer, isSince, type ServerIdentity, type ServerKind } from './identity.ts';

/** The part of the component's address that is in the server's configuration as well. */
export interface AdviceAddress {
  readonly host: string;
  readonly port: number;
  readonly domain: string;
}

/** Lines for one server; undefined when there are none for that version. */
type Lines = (version: string | undefined) => string | undefined;

/** The lines for the recognised server and its version; for both servers when none is recognised. */
function linesFor(
  server: ServerIdentity | undefined,
  lines: Readonly<Record<ServerKind, Lines>>,
): string {
  const kinds: readonly ServerKind[] =
    server === undefined ? ['prosody', 'ejabberd'] : [server.kind];
  return kinds
    .map((kind) => lines[kind](server?.version))
    .filter((text) => text !== undefined)
    .join('\n\n');
}

/** The files that let the gateway connect, beside the configuration of Debian's servers. */
export const gatewayFiles: Readonly<Record<ServerKind, string>> = {
  prosody: '/etc/prosody/conf.d/gateway.cfg.lua',
  ejabberd: '/etc/ejabberd/gateway.yml',
};

/** Builds such a file: it lets a component with this secret connect, and be trusted. */
export function buildGatewayFile(
  { kind, version }: ServerIdentity,
  address: AdviceAddress,
  secret: string,
): string {
  return kind === 'prosody' ? prosodyFile(address, version, secret) : ejabberdFile(address, secret);
}

/** Lines that let a component connect and be trusted. */
export function componentLines(address: AdviceAddress, server?: ServerIdentity): string {
  return linesFor(server, {
    prosody: (version) => describeFile({ kind: 'prosody', version }, address),
    ejabberd: (version) => describeFile({ kind: 'ejabberd', version }, address),
  });
}

/** All lines for a server that does not know the gateway yet. */
export function setupLines(address: AdviceAddress, server?: ServerIdentity): string {
  return linesFor(server, {
    prosody: (version) => describeFile({ kind: 'prosody', version }, address),
    ejabberd: (version) => `${describeFile({ kind: 'ejabberd', version }, address)}

in ejabberd.yml, at its end:

  include_config_file:
    - ${gatewayFiles.ejabberd}

and under modules, if mod_fail2ban is there (change its line: a module listed twice keeps ejabberd
from starting), else wrong passwords of users lock the gateway out:

  mod_fail2ban:
    access: trusted_network`,
  });
}

function describeFile(server: ServerIdentity, address: AdviceAddress): string {
  const text = buildGatewayFile(server, address, '<the same as component.secret>');
  const name = describeServer({ ...server, version: undefined });
  return `${name} (${gatewayFiles[server.kind]}):\n\n${text.trimEnd().replace(/^/gm, '  ')}`;
}

function prosodyFile(
  { domain, host, port }: AdviceAddress,
  version: string | undefined,
  secret: string,
): string {
  const bounceBlocked = `bounce_blocked_messages = true -- else a message to somebody who blocks the sender gets 200
`;
  return `component_ports = { ${port} }
component_interfaces = { "${addressOf(host)}" }
${dropsBlocked(version) ? bounceBlocked : ''}Component "${domain}"
  component_secret = "${secret}"
  validate_from_addresses = false
`;
}

/** Prosody 13 silently drops messages from blocked senders unless it is configured to return them. */
export function dropsBlocked(prosodyVersion: string | undefined): boolean {
  return isSince(prosodyVersion, '13.0') !== false;
}

function ejabberdFile({ domain, host, port }: AdviceAddress, secret: string): string {
  return `listen:
  - port: ${port}
    ip: "${addressOf(host)}"
    module: ejabberd_service
    check_from: false
    hosts:
      "${domain}":
        password: "${secret}"
`;
}

function addressOf(host: string): string {
  if (host === 'localhost') return '127.0.0.1';
  return isIP(host) === 0 ? `<the IP address of ${host}>` : host;
}

/** Lines that let a connected component speak for users. */
export function trustLines({ domain, port }: AdviceAddress, server?: ServerIdentity): string {
  return linesFor(server, {
    prosody: () => `Prosody, below the line Component "${domain}":

  validate_from_addresses = false`,
    ejabberd:
      () => `ejabberd (${gatewayFiles.ejabberd}), in the ejabberd_service listener of port ${port}:

  check_from: false`,
  });
}

/** Lines that make the server host a domain. */
export function hostLines(domain: string, server?: ServerIdentity): string {
  return linesFor(server, {
    prosody: () => `Prosody (prosody.cfg.lua), at its end:

  VirtualHost "${domain}"`,
    ejabberd: () => `ejabberd (ejabberd.yml):

  hosts:
    - "${domain}"`,
  });
}

/** The folder of package.json and of the modules for the servers: above this file, wherever it is bundled. */
function findPackage(folder = dirname(fileURLToPath(import.meta.url))): string {
  const isHere = existsSync(join(folder, 'package.json')) || folder === dirname(folder);
  return isHere ? folder : findPackage(dirname(folder));
}

/** Where the Debian package puts the module, so that Prosody finds it. */
const packagedModule = '/usr/lib/prosody/modules/mod_message_gateway.lua';

/** Lines that make mode client possible; empty when the server is too old for the module. */
export function clientLines(
  component: string,
  server?: ServerIdentity,
  exists: (file: string) => boolean = existsSync,
): string {
  return linesFor(server, {
    prosody: () => prosodyClientLines(component, exists(packagedModule)),
    ejabberd: (version) =>
      isSince(version, '23.01') === false ? undefined : ejabberdClientLines(component, version),
  });
}

function prosodyClientLines(component: string, isInstalled: boolean): string {
  const below = `below the line Component "${component}":`;
  const copy = `copy ${findPackage()}/prosody/modules/mod_message_gateway.lua
to /usr/local/lib/prosody/modules/; above all VirtualHost lines of prosody.cfg.lua:

  plugin_paths = { "/usr/local/lib/prosody/modules" }

${below}`;
  return `client, on Prosody: ${isInstalled ? below : copy}

  modules_enabled = { "message_gateway" }`;
}

function ejabberdClientLines(component: string, version: string | undefined): string {
  // So that an upgrade compiles the module anew.
  const contrib = `
  install_contrib_modules:
    - mod_message_gateway`;
  return `client, on ejabberd: compile mod_message_gateway, as root:

  install -d -o ejabberd -g ejabberd /var/lib/ejabberd/.ejabberd-modules/sources
  cp -r "${findPackage()}/ejabberd/mod_message_gateway" /var/lib/ejabberd/.ejabberd-modules/sources/
  chown -R ejabberd:ejabberd /var/lib/ejabberd/.ejabberd-modules
  ejabberdctl module_install mod_message_gateway

then in ${gatewayFiles.ejabberd}, at its end, unless the module is in some file already (listed
twice, it keeps ejabberd from starting):

  modules:
    mod_message_gateway:
      components: "${component}"${isSince(version, '23.10') === true ? contrib : ''}`;
}

/** Lines that make mode privileged possible; empty when that is not known to be harmless. */
export function privilegeLines(
  component: string,
  domains: readonly string[],
  server?: ServerIdentity,
): string {
  const hosts = domains.map((domain) => `VirtualHost "${domain}"`).join(', ');
  return linesFor(server, {
    prosody:
      () => `privileged, on Prosody (mod_privilege of prosody-modules), below the line Component "${component}":

  modules_enabled = { "privilege" }

and below ${hosts}, the module added to those that are there:

  modules_enabled = { "privilege" }
  privileged_entities = { ["${component}"] = { message = "outgoing" } }`,
    ejabberd: (version) =>
      supportsPrivileges(version)
        ? `privileged, on ejabberd (ejabberd.yml):

  access_rules:
    gateway:
      - allow: gateway
  acl:
    gateway:
      server: "${component}"
  modules:
    mod_privilege:
      message:
        outgoing: gateway`
        : undefined,
  });
}

/** Before 23.10 nothing is archived; since 24.10 mod_privilege drops requests of components. */
function supportsPrivileges(ejabberdVersion: string | undefined): boolean {
  return isSince(ejabberdVersion, '23.10') === true && isSince(ejabberdVersion, '24.10') === false;
}

/** Room in the server's limit for the wrapper around a stanza of `limits.stanza_bytes` (XEP-0356). */
const wrapperBytes = 4096;

/** Lines that let a server take stanzas of this size from a component. */
export function sizeLines(stanzaBytes: number, server?: ServerIdentity): string {
  const bytes = stanzaBytes + wrapperBytes;
  return linesFor(server, {
    prosody: () => `Prosody (prosody.cfg.lua), above all VirtualHost lines:

  component_stanza_size_limit = ${bytes}`,
    ejabberd: () => `ejabberd (${gatewayFiles.ejabberd}), in the ejabberd_service listener:

  max_stanza_size: ${bytes}`,
  });
}
