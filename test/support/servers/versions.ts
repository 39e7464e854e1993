import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import type { ServerKind } from './xmpp-server.ts';

/** What servers.json says of servers that scripts/server-sets.mjs has unpacked. */
interface UnpackedServers {
  /** Erlang library directories, below root/. */
  readonly libraries: readonly string[];
  /** Do the programs run with root/ as their root directory? */
  readonly changesRoot: boolean;
}

/** Where the servers are that PATH leads to. */
interface ServerFiles {
  /** The directory that they are unpacked to; empty for installed ones. */
  readonly root: string;
  /** The same as their own processes see it. */
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

/** Where ejabberd has its programs and its SQL schemas. */
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

/** Prosody's own code as its process sees it, and the Lua that it runs on. */
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
 * Prosody 0.12 takes `--version` for a wish to start.
 */
export function serverVersion(kind: ServerKind): string {
  if (kind === 'ejabberd') return ejabberdDirectory().replace(/^.*\/ejabberd-/, '');
  return readFileSync(`${findServers().root}/usr/lib/prosody/prosody.version`, 'utf8').trim();
}

/** Is the server that tests start of this version or a newer one? */
export function isServerSince(kind: ServerKind, version: string): boolean {
  return serverVersion(kind).localeCompare(version, 'en', { numeric: true }) >= 0;
}

/** A file as the packages of the servers have it, such as Debian's configuration. */
export function readPackaged(path: string): string {
  return readFileSync(`${findServers().root}${path}`, 'utf8');
}
