import { randomBytes, scryptSync } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { request } from '../clients/http.ts';
import type { XmppServer } from '../servers/xmpp-server.ts';
import { freePort } from '../system/ports.ts';
import {
  type Child,
  type Command,
  createDirectory,
  type Exit,
  removeDirectory,
  runChild,
  startChild,
} from '../system/processes.ts';
import { waitUntil } from '../system/wait.ts';

const ownMainFile = fileURLToPath(new URL('../../../dist/main.js', import.meta.url));

/** An API account that every `gatewayConfig` has. */
export const apiAccount = { username: 'alerts', password: 'alerts-secret' } as const;

function encode(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}

/** Hash of a password, as the `hash-password` command prints it (PHC string format). */
export function hashApiPassword(password: string, ln = 14): string {
  const salt = randomBytes(16);
  // The default parameters take exactly 32 MiB, and Node.js demands a higher limit than that.
  const options = { N: 2 ** ln, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
  return `$scrypt$ln=${ln},r=8,p=1$${encode(salt)}$${encode(scryptSync(password, salt, 32, options))}`;
}

/** Hash of `apiAccount.password`. */
export const apiPasswordHash = hashApiPassword(apiAccount.password);

type Settings = { readonly [key: string]: unknown };

function isSettings(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `overrides` over `base`, maps merged deeply, lists replaced, `undefined` removing a key. */
function merge(base: Settings, overrides: Settings): Settings {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(overrides)) {
    const old = merged[key];
    if (value === undefined) delete merged[key];
    else merged[key] = isSettings(old) && isSettings(value) ? merge(old, value) : value;
  }
  return merged;
}

/** The configuration for a server of ours: c2s in plain text, `apiAccount`, bot@… permitted. */
export function gatewayConfig(server: XmppServer, overrides: Settings = {}): Settings {
  const base = {
    component: {
      domain: server.componentDomain,
      port: server.componentPort,
      secret: server.componentSecret,
    },
    domains: server.domains,
    c2s: { host: server.host, port: server.c2sPort, security: 'plaintext' },
    api_accounts: [
      {
        username: apiAccount.username,
        password_hash: apiPasswordHash,
        domains: server.domains,
      },
    ],
    permissions: { xmppgateway: server.domains.map((domain) => `bot@${domain}`) },
  };
  return merge(base, overrides);
}

/** The options for node in deploy/. */
export const deployedArgs: readonly string[] = [
  '--max-old-space-size=512',
  '--max-semi-space-size=16',
];

/** How to start a gateway. */
export interface GatewayOptions {
  /** Settings or YAML text, in which `@DIR@` becomes the directory of `files`. */
  readonly config: Settings | string;
  /** Text files beside the configuration, by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Wait for /readyz; default true. */
  readonly ready?: boolean;
  readonly env?: NodeJS.ProcessEnv;
  /** Further options of `serve`. */
  readonly serveArgs?: readonly string[];
  /** Options for node itself. */
  readonly nodeArgs?: readonly string[];
  /** The `main.js` of another build. */
  readonly mainFile?: string | undefined;
  /** Limit of open files; default: ours. */
  readonly maxFiles?: number;
  /** Limit of the size of a file; default: ours. */
  readonly maxFileBytes?: number;
  /** File descriptor for the log; default: `logLines` collects it. */
  readonly stdout?: number;
}

/** The gateway as its users run it: as a separate process. */
export interface GatewayProcess {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly directory: string;
  readonly configFile: string;
  /** The JSON lines logged so far. */
  readonly logLines: () => Settings[];
  /** Waits for the first line with that message, which may come later than the answer. */
  readonly waitForLine: (msg: string) => Promise<Settings>;
  /** The output so far. */
  readonly output: () => string;
  readonly isRunning: () => boolean;
  /** Resolves when /readyz answers 200; throws when the process ends or never gets ready. */
  readonly waitUntilReady: () => Promise<void>;
  /** Overwrites the configuration file. */
  readonly reconfigure: (config: Settings | string) => void;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** Signals, waits for the end, removes the directory. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<Exit>;
  readonly exited: Promise<Exit>;
}

function parseLogLines(output: string): Settings[] {
  const lines = output.split('\n').slice(0, -1);
  return lines.flatMap((line) => {
    if (!line.startsWith('{')) return [];
    const value: unknown = JSON.parse(line);
    return isSettings(value) ? [value] : [];
  });
}

function gatewayCommand(args: readonly string[], options: Partial<GatewayOptions>): Command {
  const { env = {}, nodeArgs = [], maxFiles, maxFileBytes, mainFile = ownMainFile } = options;
  if (!existsSync(mainFile)) throw new Error(`expected ${mainFile}, run "npm run build" first`);
  const command = [process.execPath, ...nodeArgs, mainFile, ...args];
  const limits = [
    ...(maxFiles === undefined ? [] : [`--nofile=${maxFiles}`]),
    ...(maxFileBytes === undefined ? [] : [`--fsize=${maxFileBytes}`]),
  ];
  return limits.length === 0
    ? { file: process.execPath, args: command.slice(1), env }
    : { file: 'prlimit', args: [...limits, ...command], env };
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await request(`${url}/readyz`)).status === 200;
  } catch {
    return false;
  }
}

function writtenPort(config: Settings | string): number | undefined {
  const settings: unknown = typeof config === 'string' ? parse(config) : config;
  const http = isSettings(settings) ? settings['http'] : undefined;
  const port = isSettings(http) ? http['port'] : undefined;
  return typeof port === 'number' ? port : undefined;
}

/** Runs `serve` and waits until it is ready; throws with its output if it ends instead. */
export async function startGatewayProcess(options: GatewayOptions): Promise<GatewayProcess> {
  const directory = createDirectory('gateway');
  const configFile = join(directory, 'gateway.yaml');
  const port = writtenPort(options.config) ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const reconfigure = (config: Settings | string): void => {
    const text = typeof config === 'string' ? config : stringify(merge({ http: { port } }, config));
    writeFileSync(configFile, text.replaceAll('@DIR@', directory), { mode: 0o600 });
  };
  for (const [name, text] of Object.entries(options.files ?? {})) {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
  }
  reconfigure(options.config);
  const args = ['serve', '--config', configFile, ...(options.serveArgs ?? [])];
  const { stdout } = options;
  const command = gatewayCommand(args, options);
  const child = await startChild(stdout === undefined ? command : { ...command, stdout });
  const waitUntilReady = async (): Promise<void> => {
    try {
      await waitUntil(
        async () => {
          if (!child.isRunning()) throw new Error('it ended');
          return isReady(url);
        },
        { label: '200 from /readyz' },
      );
    } catch (error) {
      throw new Error(
        `the gateway is not ready: ${String(error)}\n${child.output().slice(-4000)}`,
        {
          cause: error,
        },
      );
    }
  };
  const stop = async (signal?: NodeJS.Signals): Promise<Exit> => {
    const exit = await child.end(signal);
    removeDirectory(directory);
    return exit;
  };
  if (options.ready ?? true) {
    try {
      await waitUntilReady();
    } catch (error) {
      await stop('SIGKILL');
      throw error;
    }
  }
  const logLines = (): Settings[] => parseLogLines(child.output());
  return {
    url,
    port,
    pid: child.pid,
    directory,
    configFile,
    exited: child.exited,
    logLines,
    waitForLine: (wanted) =>
      waitUntil(() => logLines().find(({ msg }) => msg === wanted), { label: `line "${wanted}"` }),
    output: child.output,
    isRunning: child.isRunning,
    waitUntilReady,
    reconfigure,
    signal: child.kill,
    stop,
  };
}

/** Starts a command of the gateway that does not end by itself, or not at once. */
export function startCommand(args: readonly string[]): Promise<Child> {
  return startChild(gatewayCommand(args, {}));
}

/** Runs a command of the gateway (`check`, `hash-password`…) to its end. */
export function runCommand(
  args: readonly string[],
  options: Pick<GatewayOptions, 'env' | 'maxFileBytes'> & { readonly input?: string } = {},
): ReturnType<typeof runChild> {
  const { input, ...others } = options;
  return runChild(gatewayCommand(args, others), input);
}
