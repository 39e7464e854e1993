import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { request } from '../clients/http.ts';
import { compileErlang, nodeArguments, nodeEnvironment } from './erlang.ts';
import { erlangLibraries } from './versions.ts';
import {
  type Accounts,
  type ServerComponent,
  type ServerOptions,
  type ServerProgram,
  type Site,
  startServer,
  type XmppServer,
} from './xmpp-server.ts';

function indent(lines: string | undefined, spaces: number): string {
  return (lines ?? '').replaceAll(/^(?=.)/gm, ' '.repeat(spaces));
}

function c2sListener(port: number, tls: object): object {
  return { port, ip: '127.0.0.1', module: 'ejabberd_c2s', ...tls };
}

function componentListener(
  { domain, secret, port }: ServerComponent,
  options: ServerOptions,
): string {
  const listener = {
    port,
    ip: '127.0.0.1',
    module: 'ejabberd_service',
    check_from: options.strict ?? false,
    hosts: { [domain]: { password: secret } },
  };
  return `${indent(stringify([listener]), 2)}${indent(options.extra?.component, 4)}\n`;
}

function listeners(site: Site): string {
  const { options, c2sTlsPort } = site;
  const startTls = options.requireTls === true ? { starttls_required: true } : { starttls: true };
  const plain = [
    c2sListener(site.c2sPort, startTls),
    ...(c2sTlsPort === undefined ? [] : [c2sListener(c2sTlsPort, { tls: true })]),
    ...(options.s2s === undefined
      ? []
      : [{ port: options.s2s.port, ip: '127.0.0.1', module: 'ejabberd_s2s_in' }]),
    {
      port: site.adminPort,
      ip: '127.0.0.1',
      module: 'ejabberd_http',
      backlog: 512,
      request_handlers: { '/api': 'mod_http_api' },
    },
  ];
  const components = site.components.map((component) => componentListener(component, options));
  return `listen:\n${indent(stringify(plain), 2)}${components.join('')}`;
}

function modules({ muc, s2s, extra }: ServerOptions): string {
  const enabled = {
    mod_admin_extra: {},
    mod_blocking: {},
    mod_carboncopy: {},
    mod_disco: {},
    mod_http_api: {},
    mod_mam: { default: 'always', assume_mam_usage: true },
    mod_offline: {},
    mod_ping: {},
    mod_privacy: {},
    mod_roster: {},
    ...(muc === undefined ? {} : { mod_muc: { host: muc } }),
    ...(s2s === undefined ? {} : { mod_s2s_dialback: {} }),
  };
  return `modules:\n${indent(stringify(enabled), 2)}${indent(extra?.modules?.join('\n'), 2)}\n`;
}

function configuration(site: Site): string {
  const { extra, s2s } = site.options;
  const top = {
    hosts: site.domains,
    loglevel: 'info',
    certfiles: [site.certificates.pemFile],
    ...(s2s && { outgoing_s2s_port: s2s.outgoingPort, s2s_use_starttls: false }),
    api_permissions: { tests: { who: { ip: '127.0.0.1/8' }, what: '*' } },
  };
  const hosts = site.domains.map((domain) => `  ${domain}:\n${indent(extra?.host, 4)}\n`);
  return [
    stringify(top),
    listeners(site),
    modules(site.options),
    extra?.host === undefined ? '' : `host_config:\n${hosts.join('')}`,
    extra?.global ?? '',
    '',
  ].join('\n');
}

/** Runs a command of ejabberd over its HTTP API; throws unless the answer is 200. */
export async function callApi(
  { adminPort }: Pick<Site, 'adminPort'>,
  command: string,
  body: object,
): Promise<string> {
  const url = `http://127.0.0.1:${adminPort}/api/${command}`;
  const answer = await request(url, {
    method: 'POST',
    type: 'application/json',
    body: JSON.stringify(body),
  });
  if (answer.status !== 200) {
    throw new Error(
      `expected 200 from ejabberd's API ${command}, got ${answer.status} ${answer.body}`,
    );
  }
  return answer.body;
}

async function isReady(site: Site): Promise<boolean> {
  try {
    if (!(await callApi(site, 'status', {})).includes('started')) return false;
    await openFirstStream(site.c2sPort);
    return true;
  } catch {
    return false;
  }
}

/**
 * Opens a stream and waits for the answer. ejabberd loads the code for streams with the first one: that
 * takes 0.2 s or, on a busy machine, longer than a gateway waits for the answer.
 */
async function openFirstStream(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    socket.write(
      "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
    );
    await once(socket, 'data');
  } finally {
    socket.destroy();
  }
}

function accounts(site: Site): Accounts {
  const [firstDomain = ''] = site.domains;
  return {
    register: async (user, password, host = firstDomain) => {
      await callApi(site, 'register', { user, host, password });
    },
    changePassword: async (user, newpass, host = firstDomain) => {
      await callApi(site, 'change_password', { user, host, newpass });
    },
    unregister: async (user, host = firstDomain) => {
      await callApi(site, 'unregister', { user, host });
    },
  };
}

/** A non-distributed Erlang VM with a configuration for tests. */
export const ejabberdProgram: ServerProgram = {
  kind: 'ejabberd',
  // Two components on one listener lose each other's answers.
  sharesComponentPort: false,
  handshake: /Accepted external component handshake/g,
  portTaken: /eaddrinuse|address already in use|is already in use/i,
  configure: (site) => {
    const at = (name: string): string => join(site.directory, name);
    writeFileSync(at('ejabberd.yml'), configuration(site), { mode: 0o600 });
    writeFileSync(at('inetrc'), '{lookup,["file","native"]}.\n{host,{127,0,0,1},["localhost"]}.\n');
    const mnesia = ['-mnesia', 'dir', `"${at('mnesia')}"`];
    mkdirSync(at('ebin'), { recursive: true });
    for (const source of site.options.extra?.erlang ?? []) {
      compileErlang(source, at('ebin'), erlangLibraries());
    }
    return {
      file: 'erl',
      args: [
        ...nodeArguments(site.options.node),
        '-noinput',
        '+K',
        'true',
        '-pa',
        'ebin',
        ...mnesia,
        '-s',
        'ejabberd',
      ],
      cwd: site.directory,
      env: {
        EJABBERD_CONFIG_PATH: at('ejabberd.yml'),
        EJABBERD_LOG_PATH: at('ejabberd.log'),
        EJABBERD_PID_PATH: at('ejabberd.pid'),
        ERL_LIBS: erlangLibraries(),
        ERL_INETRC: at('inetrc'),
        ERL_CRASH_DUMP: at('erl_crash.dump'),
        HOME: site.directory,
        ...nodeEnvironment(site.options.node),
      },
    };
  },
  logFile: (site) => join(site.directory, 'ejabberd.log'),
  isReady,
  accounts,
};

/** Starts a private ejabberd: a non-distributed Erlang VM. */
export function startEjabberd(options: ServerOptions = {}): Promise<XmppServer> {
  return startServer(ejabberdProgram, options);
}
