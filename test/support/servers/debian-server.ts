import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../system/ports.ts';
import { insertLines, type PrintedLines } from '../system/printed-lines.ts';
import { callApi, ejabberdProgram } from './ejabberd.ts';
import { prosodyAccounts, prosodyProgram } from './prosody.ts';
import { readPackaged } from './versions.ts';
import {
  type ServerKind,
  type ServerProgram,
  type Site,
  startServer,
  type XmppServer,
} from './xmpp-server.ts';

/** A server with the configuration that Debian ships; only its ports and directories are its own. */
export interface DebianServer {
  readonly server: XmppServer;
  /** The directory that replaces /etc/prosody or /etc/ejabberd. */
  readonly directory: string;
  /** Has the server run with Debian's configuration, after these commands, and with these lines in it. */
  configureWith(lines: readonly PrintedLines[], commands?: readonly string[]): Promise<void>;
  /** Installs mod_message_gateway as an operator would, unless it is installed. */
  installModule(): Promise<void>;
}

/** Starts Debian's server, with its domain `localhost` and without a component. */
export async function startDebianServer(kind: ServerKind): Promise<DebianServer> {
  const program = kind === 'prosody' ? debianProsody : debianEjabberd(await freePorts(5));
  const server = await startServer(program, {
    domains: ['localhost'],
    components: [{ domain: 'gateway.localhost', secret: 'not known to it' }],
  });
  const directory = dirname(server.caFile);
  const file = join(directory, configFiles[kind]);
  const shipped = readFileSync(file, 'utf8').replaceAll(prosodyModules, join(directory, 'modules'));
  const gatewayFile = join(directory, gatewayFiles[kind]);
  let installed: Promise<void> | undefined;

  /** Inserts lines into Debian's file, or into the one that is only for the gateway. */
  const insertHere = ({ place, lines }: PrintedLines): void => {
    const own = lines.map((line) =>
      line
        .replaceAll(prosodyModules, join(directory, 'modules'))
        .replaceAll(`/etc/${kind}`, directory),
    );
    if (place.includes(`/${gatewayFiles[kind]})`)) {
      writeFileSync(gatewayFile, `${own.join('\n')}\n`, { mode: 0o600 });
      return;
    }
    const isBelowComponent = / Component "/.test(place) && existsSync(gatewayFile);
    const isForGateway = place.includes(`/${gatewayFiles[kind]},`) || isBelowComponent;
    const target = isForGateway ? gatewayFile : file;
    const text = insertLines(kind, readFileSync(target, 'utf8'), { place, lines: own });
    writeFileSync(target, text, { mode: 0o600 });
  };

  return {
    server,
    directory,
    configureWith: async (lines, commands = []) => {
      writeFileSync(file, shipped, { mode: 0o600 });
      rmSync(gatewayFile, { force: true });
      for (const command of commands) {
        execFileSync('/bin/sh', ['-ec', command.replaceAll(`/etc/${kind}`, directory)]);
      }
      for (const some of lines) insertHere(some);
      // As ejabberd/README.md has it; Prosody takes another configuration only when it starts.
      if (kind === 'ejabberd') await callApi(server, 'reload_config', {});
      else await server.restart();
    },
    installModule: () => {
      installed ??= installModule[kind](server, directory);
      return installed;
    },
  };
}

const prosodyModules = '/usr/local/lib/prosody/modules';
const moduleName = 'mod_message_gateway';
const project = (path: string): string =>
  fileURLToPath(new URL(`../../../${path}`, import.meta.url));

const installModule = {
  prosody: async (_server: XmppServer, directory: string): Promise<void> => {
    mkdirSync(join(directory, 'modules'), { recursive: true });
    copyFileSync(
      project(`prosody/modules/${moduleName}.lua`),
      join(directory, 'modules', `${moduleName}.lua`),
    );
  },
  ejabberd: async (server: XmppServer, directory: string): Promise<void> => {
    // The directory is the HOME of the process, like /var/lib/ejabberd for Debian's service.
    const sources = join(directory, '.ejabberd-modules/sources', moduleName);
    cpSync(project(`ejabberd/${moduleName}`), sources, { recursive: true });
    await callApi(server, 'module_install', { module: moduleName });
  },
};

/** The files for the gateway, as `gatewayFiles` of src has them. */
const gatewayFiles = { prosody: 'conf.d/gateway.cfg.lua', ejabberd: 'gateway.yml' };

const configFiles = { prosody: 'prosody.cfg.lua', ejabberd: 'ejabberd.yml' };

/** Replaces all matches; throws without any, because Debian's file must have changed then. */
function edit(text: string, pattern: RegExp, replacement: string | ((found: string) => string)) {
  if (!pattern.test(text)) throw new Error(`expected ${String(pattern)} in Debian's configuration`);
  return text.replaceAll(pattern, (found) =>
    typeof replacement === 'string' ? replacement : replacement(found),
  );
}

const debianProsody: ServerProgram = {
  ...prosodyProgram,
  configure: (site) => {
    const at = (name: string): string => join(site.directory, name);
    for (const name of ['certs', 'conf.d']) mkdirSync(at(name));
    for (const name of ['crt', 'key']) {
      copyFileSync(at(`server.${name}`), at(`certs/localhost.${name}`));
    }
    writeFileSync(at(configFiles.prosody), prosodyConfiguration(site), { mode: 0o600 });
    return {
      file: 'prosody',
      args: ['-F', '--config', at(configFiles.prosody)],
      cwd: site.directory,
    };
  },
  isReady: (site, log) =>
    ['c2s', ...(hasComponent(site) ? ['component'] : [])].every((name) =>
      log.includes(`Activated service '${name}' on [127.0.0.1]`),
    ),
  accounts: (site) => prosodyAccounts(site, join(site.directory, configFiles.prosody)),
};

function hasComponent({ directory }: Site): boolean {
  return [configFiles.prosody, gatewayFiles.prosody]
    .map((name) => join(directory, name))
    .some((file) => existsSync(file) && /^Component "gateway/m.test(readFileSync(file, 'utf8')));
}

function prosodyConfiguration({ directory, c2sPort }: Site): string {
  let text = readPackaged('/etc/prosody/prosody.cfg.lua');
  text = edit(text, /\/run\/prosody\b/g, directory);
  text = edit(text, /\/var\/log\/prosody\b/g, directory);
  return `data_path = ${JSON.stringify(join(directory, 'data'))}
run_as_root = true -- or it becomes the user prosody, who cannot read the directory
interfaces = { "127.0.0.1" }
c2s_ports = { ${c2sPort} }
c2s_direct_tls_ports = { }
s2s_ports = { }
http_ports = { }
https_ports = { }
${text}`;
}

/** ejabberd, with the ports of its other listeners changed. */
function debianEjabberd(ports: readonly number[]): ServerProgram {
  return {
    ...ejabberdProgram,
    configure: (site) => {
      const command = ejabberdProgram.configure(site);
      const file = join(site.directory, configFiles.ejabberd);
      writeFileSync(file, ejabberdConfiguration(site, ports), { mode: 0o600 });
      return command;
    },
  };
}

const testPermission = `  tests:
    who:
      ip: 127.0.0.1/8
    what: "*"
`;

function ejabberdConfiguration(site: Site, ports: readonly number[]): string {
  const others = [...ports];
  let text = readPackaged('/usr/share/ejabberd/ejabberd.yml.example');
  text = edit(text, /"\/etc\/ejabberd\/ejabberd\.pem"/g, JSON.stringify(site.certificates.pemFile));
  // The tests administrate it over HTTP.
  text = edit(text, /port: 5443\n.*\n.*\n {4}tls: true\n/g, (found) =>
    found.replace('    tls: true\n', ''),
  );
  text = edit(text, /^api_permissions:\n/gm, (found) => found + testPermission);
  text = edit(text, /ip: "::"/g, 'ip: "127.0.0.1"');
  return edit(text, /(?<=^ {4}port: )\d+/gm, (port) => {
    const given = { '5222': site.c2sPort, '5443': site.adminPort }[port];
    return String(given ?? others.shift());
  });
}
