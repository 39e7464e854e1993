import { existsSync, readFileSync } from 'node:fs';
import { type Certificates, createCertificates } from '../system/certificates.ts';
import { freePort } from '../system/ports.ts';
import {
  type Child,
  type Command,
  createDirectory,
  removeDirectory,
  startChild,
} from '../system/processes.ts';
import { waitUntil } from '../system/wait.ts';

export type ServerKind = 'prosody' | 'ejabberd';

/** A node of a cluster of Erlang VMs, on loopback. */
export interface ErlangNode {
  readonly name: string;
  readonly cookie: string;
  /** The port of the port mapper that the whole cluster uses. */
  readonly epmdPort: number;
}

/** How to set up a server; everything has a default. */
export interface ServerOptions {
  /** Virtual hosts; default `['example.org']`. */
  readonly domains?: readonly string[];
  /** Default `gateway.example.org` with the secret `secret`. */
  readonly components?: readonly { readonly domain: string; readonly secret: string }[];
  /** Components may send from their own domain only; default false. */
  readonly strict?: boolean;
  /** c2s needs STARTTLS; default false: it is offered. */
  readonly requireTls?: boolean;
  /** Names in the server's certificate; default: the domains. */
  readonly certificateDomains?: readonly string[];
  /** Adds a c2s listener with TLS from the first byte; default false. */
  readonly directTls?: boolean;
  /** Domain of a MUC service; default: none. */
  readonly muc?: string;
  /** Reaches other servers (ejabberd): its own port, and the port of all others; default: it does not. */
  readonly s2s?: { readonly port: number; readonly outgoingPort: number };
  /** For a cluster of ejabberds; default: a node that is not distributed. */
  readonly node?: ErlangNode;
  /** Further lines of configuration: Lua for Prosody, YAML for ejabberd. */
  readonly extra?: {
    /** At the top level. */
    readonly global?: string;
    /** In each virtual host (Prosody) or each host's `host_config` (ejabberd). */
    readonly host?: string;
    /** In each component's block (Prosody) or its listener (ejabberd). */
    readonly component?: string;
    /** Names for `modules_enabled` (Prosody) or lines below `modules:` (ejabberd). */
    readonly modules?: readonly string[];
    /** Erlang source files of modules that ejabberd can load. */
    readonly erlang?: readonly string[];
  };
}

/** A component in the configuration of the server. */
export interface ServerComponent {
  readonly domain: string;
  readonly secret: string;
  readonly port: number;
}

/** Users of a running server. */
export interface Accounts {
  register(localpart: string, password: string, domain?: string): Promise<void>;
  changePassword(localpart: string, password: string, domain?: string): Promise<void>;
  unregister(localpart: string, domain?: string): Promise<void>;
}

/** A real XMPP server on loopback, for one test file only. */
export interface XmppServer extends Accounts {
  readonly kind: ServerKind;
  readonly host: '127.0.0.1';
  readonly domain: string;
  readonly domains: readonly string[];
  readonly c2sPort: number;
  /** Only with `directTls`. */
  readonly c2sTlsPort: number | undefined;
  /** Port of ejabberd's HTTP API. */
  readonly adminPort: number;
  readonly components: readonly ServerComponent[];
  /** Those of the first component. */
  readonly componentDomain: string;
  readonly componentPort: number;
  readonly componentSecret: string;
  /** PEM file of the private CA. */
  readonly caFile: string;
  readonly pid: number;
  isRunning(): boolean;
  /** The log since the first start. */
  log(): string;
  /** Component handshakes accepted since the first start. */
  componentHandshakes(): number;
  kill(signal: NodeJS.Signals): void;
  /** Stops the process and keeps ports and data. */
  halt(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again after `halt()` or a crash; resolves when it is ready. */
  resume(): Promise<void>;
  /** `halt()` and `resume()`. */
  restart(signal?: NodeJS.Signals): Promise<void>;
  /** Stops the process and removes its data. */
  stop(): Promise<void>;
}

/** The ports, files and domains of one server. */
export interface Site {
  readonly directory: string;
  readonly domains: readonly string[];
  readonly components: readonly ServerComponent[];
  readonly c2sPort: number;
  readonly c2sTlsPort: number | undefined;
  /** Port for the server's administration, if it needs one. */
  readonly adminPort: number;
  readonly certificates: Certificates;
  readonly options: ServerOptions;
}

/** What differs between the servers. */
export interface ServerProgram {
  readonly kind: ServerKind;
  /** Do all components connect to the same port? */
  readonly sharesComponentPort: boolean;
  /** The line that the log gets for an accepted component. */
  readonly handshake: RegExp;
  /** The line that the log gets for a port that is in use. */
  readonly portTaken: RegExp;
  /** Writes the configuration and returns the command that starts the server. */
  configure(site: Site): Command;
  logFile(site: Site): string;
  /** `log` has the lines since this start. */
  isReady(site: Site, log: string): boolean | Promise<boolean>;
  accounts(site: Site): Accounts;
}

class PortTaken extends Error {}

async function chooseSite(program: ServerProgram, options: ServerOptions): Promise<Site> {
  const directory = createDirectory(program.kind);
  const domains = options.domains ?? ['example.org'];
  const wanted = options.components ?? [{ domain: 'gateway.example.org', secret: 'secret' }];
  const sharedPort = await freePort();
  const components: ServerComponent[] = [];
  for (const component of wanted) {
    const port = program.sharesComponentPort ? sharedPort : await freePort();
    components.push({ ...component, port });
  }
  return {
    directory,
    domains,
    components,
    c2sPort: await freePort(),
    c2sTlsPort: options.directTls === true ? await freePort() : undefined,
    adminPort: await freePort(),
    certificates: await createCertificates(directory, options.certificateDomains ?? domains),
    options,
  };
}

function readLog(program: ServerProgram, site: Site): string {
  const file = program.logFile(site);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

async function launch(program: ServerProgram, site: Site, command: Command): Promise<Child> {
  const before = readLog(program, site).length;
  const child = await startChild(command);
  const newLog = (): string => readLog(program, site).slice(before);
  try {
    await waitUntil(
      async () => {
        if (program.portTaken.test(newLog())) throw new PortTaken('a port is taken');
        if (!child.isRunning()) throw new Error('it ended while starting');
        return program.isReady(site, newLog());
      },
      { label: `${program.kind} to be ready` },
    );
    return child;
  } catch (error) {
    await child.end('SIGKILL');
    if (error instanceof PortTaken) throw error;
    const said = `${newLog()}\n${child.output()}`.slice(-4000);
    throw new Error(
      `${program.kind} did not start: ${String(error)}\nIts log ends with:\n${said}`,
      {
        cause: error,
      },
    );
  }
}

/** Starts a server; tries again with other ports when one is in use. */
export async function startServer(
  program: ServerProgram,
  options: ServerOptions,
): Promise<XmppServer> {
  for (let attempt = 1; ; attempt++) {
    const site = await chooseSite(program, options);
    const command = program.configure(site);
    try {
      return createHandle(program, site, command, await launch(program, site, command));
    } catch (error) {
      removeDirectory(site.directory);
      if (!(error instanceof PortTaken) || attempt === 5) throw error;
    }
  }
}

function createHandle(
  program: ServerProgram,
  site: Site,
  command: Command,
  started: Child,
): XmppServer {
  let child = started;
  const [domain, component] = [site.domains[0], site.components[0]];
  if (domain === undefined || component === undefined) {
    throw new Error('expected at least one domain and one component, got none');
  }
  const halt = async (signal?: NodeJS.Signals): Promise<void> => {
    await child.end(signal);
  };
  const resume = async (): Promise<void> => {
    child = await launch(program, site, command);
  };
  return {
    kind: program.kind,
    host: '127.0.0.1',
    domain,
    domains: site.domains,
    c2sPort: site.c2sPort,
    c2sTlsPort: site.c2sTlsPort,
    adminPort: site.adminPort,
    components: site.components,
    componentDomain: component.domain,
    componentPort: component.port,
    componentSecret: component.secret,
    caFile: site.certificates.caFile,
    get pid() {
      return child.pid;
    },
    isRunning: () => child.isRunning(),
    log: () => readLog(program, site),
    componentHandshakes: () => readLog(program, site).match(program.handshake)?.length ?? 0,
    kill: (signal) => child.kill(signal),
    halt,
    resume,
    restart: async (signal) => {
      await halt(signal);
      await resume();
    },
    stop: async () => {
      // A graceful end takes ejabberd a second, and nothing that it would save is kept.
      await child.end('SIGKILL');
      removeDirectory(site.directory);
    },
    ...program.accounts(site),
  };
}
