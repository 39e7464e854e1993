import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runToSuccess } from '../system/processes.ts';
import {
  type Accounts,
  type ServerOptions,
  type ServerProgram,
  type Site,
  startServer,
  type XmppServer,
} from './xmpp-server.ts';

/** The configuration, which the quick start uses as well. */
const configFile = fileURLToPath(new URL('../../../prosody/private.cfg.lua', import.meta.url));

function list(items: readonly (string | number)[]): string {
  return `{ ${items.map((item) => JSON.stringify(item)).join(', ')} }`;
}

/** The environment variables that private.cfg.lua reads. */
function environment(site: Site): NodeJS.ProcessEnv {
  const [component] = site.components;
  return {
    XMG_DIRECTORY: site.directory,
    XMG_C2S_PORT: String(site.c2sPort),
    XMG_COMPONENT_PORT: String(component?.port),
    XMG_DOMAINS: site.domains.join(' '),
    XMG_COMPONENT: component?.domain,
    XMG_COMPONENT_SECRET: component?.secret,
    XMG_INCLUDE: furtherFile(site),
  };
}

function furtherFile(site: Site): string {
  return join(site.directory, 'further.cfg.lua');
}

function globalLines({ options, c2sTlsPort }: Site): string {
  const requireTls = options.requireTls ?? false;
  return `
authentication = "internal_hashed"
disable_sasl_mechanisms = { "DIGEST-MD5" }
c2s_direct_tls_ports = ${list(c2sTlsPort === undefined ? [] : [c2sTlsPort])}
c2s_require_encryption = ${requireTls}; allow_unencrypted_plain_auth = ${!requireTls}
${options.extra?.global ?? ''}`;
}

function hostLines(domain: string, { extra }: ServerOptions): string {
  const modules = extra?.modules === undefined ? '' : `modules_enabled = ${list(extra.modules)}`;
  return `VirtualHost "${domain}"\n${modules}\n${extra?.host ?? ''}`;
}

function furtherLines(site: Site): string {
  const { muc, extra, strict = false } = site.options;
  const hosts = site.domains.map((domain) => hostLines(domain, site.options));
  const components = site.components.map(
    ({ domain, secret }) => `Component "${domain}"
  component_secret = ${JSON.stringify(secret)}
  validate_from_addresses = ${strict}
${extra?.component ?? ''}`,
  );
  const rooms = muc === undefined ? [] : [`Component "${muc}" "muc"\n  muc_room_locking = false`];
  return [globalLines(site), ...hosts, ...components, ...rooms, ''].join('\n');
}

/** Manages the accounts of a Prosody that runs with this configuration file and environment. */
export function prosodyAccounts(
  { domains: [firstDomain = ''] }: Site,
  config: string,
  env: NodeJS.ProcessEnv = {},
): Accounts {
  const prosodyctl = async (...args: string[]): Promise<string> =>
    runToSuccess({ file: 'prosodyctl', args: ['--config', config, ...args], env });
  // In the running server, so that it reaches the sessions of the user.
  const shell = async (expression: string): Promise<void> => {
    const said = await prosodyctl('shell', expression);
    if (!said.includes('OK:')) throw new Error(`expected OK from Prosody's shell, got ${said}`);
  };
  return {
    register: async (localpart, password, domain = firstDomain) => {
      await prosodyctl('register', localpart, domain, password);
    },
    changePassword: (localpart, password, domain = firstDomain) =>
      shell(
        `user:password(${JSON.stringify(`${localpart}@${domain}`)}, ${JSON.stringify(password)})`,
      ),
    unregister: (localpart, domain = firstDomain) =>
      shell(`user:delete(${JSON.stringify(`${localpart}@${domain}`)})`),
  };
}

function expectedServices(site: Site): string[] {
  const services = site.c2sTlsPort === undefined ? [] : ['c2s_direct_tls'];
  return ['c2s', 'component', ...services];
}

/** Prosody with prosody/private.cfg.lua. */
export const prosodyProgram: ServerProgram = {
  kind: 'prosody',
  sharesComponentPort: true,
  handshake: /External component successfully authenticated/g,
  portTaken: /Failed to open server port/,
  configure: (site) => {
    writeFileSync(furtherFile(site), furtherLines(site), { mode: 0o600 });
    return {
      file: 'prosody',
      args: ['-F', '--config', configFile],
      cwd: site.directory,
      env: environment(site),
    };
  },
  logFile: (site) => join(site.directory, 'prosody.log'),
  // A bare TCP probe would leave `component disconnected: (nil)` in the log.
  isReady: (site, log) =>
    expectedServices(site).every((name) =>
      log.includes(`Activated service '${name}' on [127.0.0.1]`),
    ),
  accounts: (site) => prosodyAccounts(site, configFile, environment(site)),
};

/** Starts a private Prosody, from prosody/private.cfg.lua. */
export function startProsody(options: ServerOptions = {}): Promise<XmppServer> {
  return startServer(prosodyProgram, options);
}
