import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { link, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const retryMs = 10;
const timeoutMs = 5000;

/** A lock is normally held only for as long as it takes to write a file. */
const abandonedMs = 60_000;

/**
 * The locks that this process holds or is about to take. A lock with our process id that is not among
 * them was left by an earlier container, whose process had the same id.
 */
const held = new Set<string>();

/** A process id means something only in its own namespace (pid_namespaces(7)): containers have others. */
const ownNamespace = findNamespace();
const self = `${process.pid} ${ownNamespace}`;

function findNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

/**
 * Waits until no other process holds the lock, takes it, and resolves with a function that releases
 * it. A lock is taken over if its process has ended, which does not show from another container, or if
 * its time is more than a minute from now: after a power failure it may be empty or name a process id
 * that is in use again, and after the clock was set back it is dated in the future. Rejects with an
 * Error after 5 seconds.
 */
export async function lockFile(path: string): Promise<() => Promise<void>> {
  const deadline = performance.now() + timeoutMs;
  while (held.has(path) || !(await take(path))) {
    if (performance.now() > deadline) {
      throw new Error(`${path} is held by another process; if there is none, remove it`);
    }
    await delay(retryMs);
  }
  return async () => {
    try {
      await rm(path, { force: true });
    } finally {
      held.delete(path);
    }
  };
}

async function take(path: string): Promise<boolean> {
  held.add(path);
  let isTaken = false;
  try {
    isTaken = await tryTaking(path);
    return isTaken;
  } finally {
    if (!isTaken) held.delete(path);
  }
}

/** Linked rather than written, so that the lock names its holder from the first moment. */
async function tryTaking(path: string): Promise<boolean> {
  const own = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    // On a full disk this creates the file and then fails.
    await writeFile(own, self, { flag: 'wx', mode: 0o600 });
    await link(own, path);
    return true;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    await removeAbandoned(path, own);
    return false;
  } finally {
    await rm(own, { force: true });
  }
}

/** Removes the lock of a process that has ended, but not one that was taken in the meantime. */
async function removeAbandoned(path: string, aside: string): Promise<void> {
  const holder = await readHolder(path);
  const isHeld = holder === undefined || isRunning(holder);
  if (isHeld && !(await isOld(path))) return;
  await rename(path, aside).catch(() => {});
  const moved = await readHolder(aside);
  if (moved !== self && moved !== holder) await rename(aside, path).catch(() => {});
}

async function isOld(path: string): Promise<boolean> {
  const modified = await stat(path).catch(() => undefined);
  return modified !== undefined && Math.abs(Date.now() - modified.mtimeMs) > abandonedMs;
}

async function readHolder(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text === '' ? undefined : text;
}

/** Whether the holder may be running; in another namespace that cannot be found out. */
function isRunning(holder: string): boolean {
  const [pid, namespace] = holder.split(' ');
  if (namespace !== undefined && namespace !== ownNamespace) return true;
  if (Number(pid) === process.pid) return false;
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
