import { isIP } from 'node:net';
import type { Mode } from '../core/mode.ts';
import type { StreamFailure } from './stream-failure.ts';

/** The part of the component's address that the server's configuration has too. */
interface AdviceAddress {
  readonly host: string;
  readonly port: number;
  readonly domain: string;
}

/**
 * What an operator should change so that the stream becomes usable, with the exact lines for the
 * configuration of Prosody and of ejabberd; undefined when there is nothing to change.
 */
export function adviceFor(failure: StreamFailure, component: AdviceAddress): string | undefined {
  const { domain } = component;
  switch (failure.kind) {
    case 'unreachable':
      return undefined;
    case 'module-gone':
      return 'Load mod_message_gateway again, unless it was unloaded on purpose. Until then messages are sent in the mode that is left, if delivery.mode allows it.';
    case 'unanswered':
      return `Make sure that the server hosts ${failure.domain} and answers pings there, that nothing else is connected as ${domain}, and that on ejabberd no other component uses the listener.`;
    case 'probe-lost':
      return `Make sure that nothing else is connected as ${domain}, and that on ejabberd no other component uses the listener: ejabberd lets both connections stay and hands each stanza to either. Every gateway needs a component domain and, on ejabberd, a listener of its own.`;
    case 'conflict':
      return `Stop the other connection of ${domain}, or give this gateway a component domain (on ejabberd also a listener) of its own. If it was a connection of this gateway that broke, the server will notice in a while.`;
    case 'not-hosted':
      return hostLines(failure.domain ?? '');
    case 'mode-unavailable':
      return modeLines(domain, failure.domain ?? '');
    case 'not-authorized':
      return `Make component.secret and component.domain the same on both sides:\n\n${componentLines(component)}`;
    case 'host-unknown':
      return `Add the component to the server's configuration, or correct component.domain and component.port:\n\n${componentLines(component)}`;
    case 'untrusted':
      return trustLines(component);
    default:
      return failure.kind satisfies never;
  }
}

function componentLines(component: AdviceAddress): string {
  return `${prosodyComponentLines(component)}

${ejabberdComponentLines(component)}

Then restart the server.`;
}

/** The lines for Prosody's configuration that let a component connect and be trusted. */
export function prosodyComponentLines({ domain, host, port }: AdviceAddress): string {
  return `Prosody (prosody.cfg.lua), above all VirtualHost lines:

  component_ports = { ${port} }
  component_interfaces = { "${addressOf(host)}" }

and at its end:

  Component "${domain}"
    component_secret = "<the same as component.secret>"
    validate_from_addresses = false`;
}

/** The lines for ejabberd's configuration that let a component connect and be trusted. */
export function ejabberdComponentLines({ domain, host, port }: AdviceAddress): string {
  return `ejabberd (ejabberd.yml), under listen:

  - port: ${port}
    ip: "${addressOf(host)}"
    module: ejabberd_service
    check_from: false
    hosts:
      "${domain}":
        password: "<the same as component.secret>"`;
}

function addressOf(host: string): string {
  if (host === 'localhost') return '127.0.0.1';
  return isIP(host) === 0 ? `<the IP address of ${host}>` : host;
}

function trustLines({ domain, port }: AdviceAddress): string {
  return `Let the server trust the component:

Prosody (prosody.cfg.lua), below the line Component "${domain}":

  validate_from_addresses = false

ejabberd (ejabberd.yml), in the ejabberd_service listener of port ${port}:

  check_from: false

Then restart the server.`;
}

function modeLines(component: string, domain: string): string {
  return `Set delivery.mode to auto or plain, or let the server offer the mode.

${clientLines(component)}

${privilegeLines(component, [domain])}

Then restart the server.`;
}

/**
 * What the server's operator could install so that more follows from a message in these domains,
 * with the exact lines; undefined where there is nothing more to be had.
 */
export function adviceForMode(
  mode: Mode,
  component: string,
  domains: readonly string[],
): string | undefined {
  switch (mode) {
    case 'client':
      return undefined;
    case 'privileged':
      return `On Prosody, mod_message_gateway would make it mode client: bounces would come back, of this server
and of others.

${clientLines(component)}

Then restart the server.`;
    case 'plain':
      return `On Prosody, mod_message_gateway would make it mode client: messages would be in the sender's archive
and on the sender's other devices, the sender's blocklist would hold, and bounces of other servers
would come back. Mode privileged, also on ejabberd, gives archive and other devices, but no bounces.

${clientLines(component)}

${privilegeLines(component, domains)}

Then restart the server.`;
    default:
      return mode satisfies never;
  }
}

function clientLines(component: string): string {
  return `client, on Prosody: copy prosody/modules/mod_message_gateway.lua to /usr/local/lib/prosody/modules/;
above all VirtualHost lines of prosody.cfg.lua:

  plugin_paths = { "/usr/local/lib/prosody/modules" }

below the line Component "${component}":

  modules_enabled = { "message_gateway" }`;
}

function privilegeLines(component: string, domains: readonly string[]): string {
  const hosts = domains.map((domain) => `VirtualHost "${domain}"`).join(', ');
  return `privileged, on Prosody (mod_privilege of prosody-modules), below the line Component "${component}":

  modules_enabled = { "privilege" }

and the same, added to what stands there, below ${hosts}, with:

  privileged_entities = { ["${component}"] = { message = "outgoing" } }

privileged, on ejabberd 23.10 or newer:

  access_rules:
    gateway:
      - allow: gateway
  acl:
    gateway:
      server: "${component}"
  modules:
    mod_privilege:
      message:
        outgoing: gateway`;
}

function hostLines(domain: string): string {
  return `Take ${domain} out of domains, or let the server host it and answer pings:

Prosody (prosody.cfg.lua), with "ping" in modules_enabled:

  VirtualHost "${domain}"

ejabberd (ejabberd.yml):

  hosts:
    - "${domain}"
  modules:
    mod_ping: {}   # unless it is there

Then restart the server.`;
}
