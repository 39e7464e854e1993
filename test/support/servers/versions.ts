import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import type { ServerKind } from './xmpp-server.ts';

/** servers.json, which describes servers that scripts/server-sets.mjs has unpacked. */
interface UnpackedServers {
  /** Erlang library directories, below root/. */
  readonly libraries: readonly string[];
  /** Do the programs run with root/ as their root directory? */
  readonly changesRoot: boolean;
}

/** Where the servers on PATH are installed. */
interface ServerFiles {
  /** The directory that they were unpacked to; empty for installed servers. */
  readonly root: string;
  /** The same directory as seen by their own processes. */
  readonly ownRoot: string;
  /** Erlang library directories, below the root. */
  readonly libraries: readonly string[];
}

function hasEjabberd(path: string): boolean {
  return readdirSync(path).some((name) => /^ejabberd-\d/.test(name));
}

function findInstalled(): ServerFiles {
  const libraries = readdirSync('/usr/lib', { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join('/usr/lib', entry.name))
    .filter(hasEjabberd);
  return { root: '', ownRoot: '', libraries };
}

function findServers(): ServerFiles {
  const directory = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map(dirname)
    .find((path) => existsSync(join(path, 'servers.json')));
  if (directory === undefined) return findInstalled();
  const { libraries, changesRoot }: UnpackedServers = JSON.parse(
    readFileSync(join(directory, 'servers.json'), 'utf8'),
  );
  const root = join(directory, 'root');
  return { root, ownRoot: changesRoot ? '' : root, libraries };
}

/** `ERL_LIBS` for ejabberd. */
export function erlangLibraries(): string {
  const { ownRoot, libraries } = findServers();
  return libraries.map((path) => ownRoot + path).join(delimiter);
}

/** Directory of ejabberd's programs and SQL schemas. */
export function ejabberdDirectory(): string {
  const { root, libraries } = findServers();
  const found = libraries
    .flatMap((path) => readdirSync(root + path).map((name) => join(root + path, name)))
    .find((path) => /\/ejabberd-[\d.]+$/.test(path));
  if (found === undefined) {
    throw new Error(
      `expected ejabberd-VERSION in a directory below ${root}/usr/lib, found none: apt-get install ejabberd`,
    );
  }
  return found;
}

/** Directory of Prosody's code as seen by its process, and its Lua interpreter. */
export function prosodyCode(): { readonly directory: string; readonly lua: string } {
  const { root, ownRoot } = findServers();
  const program = `${root}/usr/bin/prosody`;
  const lua = /^#!.*?(lua[\d.]*)$/m.exec(readFileSync(program, 'utf8'))?.[1];
  if (lua === undefined) {
    throw new Error(`expected a line such as #!/usr/bin/env lua in ${program}`);
  }
  return { directory: `${ownRoot}/usr/lib/prosody`, lua };
}

/**
 * The version of the server that tests start, such as `0.12.3` or `24.12`, read from its files:
 * Prosody 0.12 starts when it gets `--version`.
 */
export function serverVersion(kind: ServerKind): string {
  if (kind === 'ejabberd') return ejabberdDirectory().replace(/^.*\/ejabberd-/, '');
  return readFileSync(`${findServers().root}/usr/lib/prosody/prosody.version`, 'utf8').trim();
}

/** Does the server that tests start have this version or a newer one? */
export function isServerSince(kind: ServerKind, version: string): boolean {
  return serverVersion(kind).localeCompare(version, 'en', { numeric: true }) >= 0;
}

/** Path of a file from the servers' packages, such as Debian's configuration. */
export function readPackaged(path: string): string {
  return readFileSync(`${findServers().root}${path}`, 'utf8');
}
