import { open, rm } from 'node:fs/promises';

/** A file that does not exist yet. */
export interface NewFile {
  readonly path: string;
  readonly text: string;
  /** By default others cannot read it. */
  readonly mode?: number;
}

/**
 * Creates all files, or none: where one cannot be written, those before it are removed. Rejects if one
 * exists already.
 */
export async function createFiles(files: readonly NewFile[]): Promise<void> {
  const created: string[] = [];
  try {
    for (const { path, text, mode = 0o600 } of files) {
      const file = await open(path, 'wx', mode);
      created.push(path);
      try {
        await file.writeFile(text);
        // Whatever the umask takes away.
        await file.chmod(mode);
      } finally {
        await file.close();
      }
    }
  } catch (error) {
    for (const path of created) await rm(path, { force: true });
    throw error;
  }
}
