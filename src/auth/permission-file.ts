import { unwatchFile, watchFile } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { JidError } from '../core/jid/jid.ts';
import { describeError } from '../core/text.ts';
import { lockFile } from './lock-file.ts';
import { type Grants, parsePermission } from './permissions.ts';

/** How often the file is checked for changes by other processes, in milliseconds. */
const pollMs = 500;

const schema = z.strictObject({ xmppgateway: z.array(z.string()) });

/** Opens the state file, which need not exist yet; rejects with an Error that names it. */
export async function openGrants(path: string): Promise<Grants> {
  let current = await readGrants(path);
  let writing: Promise<unknown> = Promise.resolve();

  const change = async (pattern: string, isGranted: boolean): Promise<boolean> => {
    const unlock = await lockFile(`${path}.lock`).catch((error: unknown) => {
      throw describe(path, error);
    });
    try {
      current = await readGrants(path);
      if (current.has(pattern) === isGranted) return false;
      const next = new Set(current);
      if (isGranted) next.add(pattern);
      else next.delete(pattern);
      await writeGrants(path, next);
      current = next;
      return true;
    } finally {
      await unlock();
    }
  };

  const reload = async (): Promise<void> => {
    current = await readGrants(path);
  };

  return {
    get current() {
      return current;
    },
    set: (pattern, isGranted) => {
      const done = writing.then(() => change(pattern, isGranted));
      writing = done.catch(() => {});
      return done;
    },
    watch: (onError) => {
      watchFile(path, { interval: pollMs, persistent: false }, () => {
        // After the writes under way, which are newer than what was noticed.
        writing = writing.then(reload).catch(onError);
      });
    },
    stop: () => unwatchFile(path),
  };
}

async function readGrants(path: string): Promise<ReadonlySet<string>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return new Set();
    throw describe(path, error);
  }
  try {
    const { xmppgateway } = schema.parse(JSON.parse(text));
    return new Set(xmppgateway.map((entry) => parsePermission(entry).pattern));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError || error instanceof JidError) {
      throw new Error(
        `permissions.state_file ${path}: expected {"xmppgateway": [bare JIDs and *@domain]}; correct the file, or remove it to start without grants`,
        { cause: error },
      );
    }
    throw error;
  }
}

/** Whenever the process ends, the file is either the complete old one or the complete new one. */
async function writeGrants(path: string, grants: ReadonlySet<string>): Promise<void> {
  const temporary = `${path}.tmp`;
  const text = `${JSON.stringify({ xmppgateway: [...grants].toSorted() }, null, 1)}\n`;
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(text);
      if (process.getuid?.() === 0) await giveToOwner(file, path);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw describe(path, error);
  }
}

/** A file that root writes must belong to the gateway's user, who owns the old file or else its folder. */
async function giveToOwner(file: FileHandle, path: string): Promise<void> {
  const { uid, gid } = await stat(path).catch(() => stat(dirname(path)));
  await file.chown(uid, gid);
}

/** Without this, a power failure may undo the rename. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function describe(path: string, error: unknown): Error {
  const reason = isMissing(error)
    ? `the folder ${dirname(path)} does not exist: create it, or start the service once`
    : describeError(error);
  return new Error(`permissions.state_file ${path}: ${reason}`, { cause: error });
}
