import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('../../..', import.meta.url));

/** The code blocks of a page below docs/, in order, by their language. */
export function readBlocks(page: string, language: string): string[] {
  const text = readFileSync(join(project, 'docs', page), 'utf8');
  const blocks = text.matchAll(/^```(\w*)\n([^]*?)^```$/gm);
  const found = [...blocks].filter(([, named]) => named === language);
  if (found.length === 0) throw new Error(`expected a block of ${language} in docs/${page}`);
  return found.map(([, , block = '']) => block);
}

/** Writes a program into a folder, executable; returns its path. */
export function writeProgram(folder: string, name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, 0o755);
  return file;
}

/** Puts the command `xmpp-message-gateway` into a folder for PATH. */
export function installGateway(folder: string): void {
  const main = join(project, 'dist/main.js');
  writeProgram(
    folder,
    'xmpp-message-gateway',
    `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`,
  );
}
