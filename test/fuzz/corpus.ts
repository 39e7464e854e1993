import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type Notation = 'json' | 'xml' | 'form' | 'text';

/** The seeds: bodies as bytes. */
export type Corpus = Readonly<Record<Notation, readonly Buffer[]>>;

// The same path from test/fuzz and from build/fuzz.
const directory = fileURLToPath(new URL('../../test/corpus', import.meta.url));

function readAll(notation: Notation): Buffer[] {
  const path = join(directory, notation);
  return readdirSync(path)
    .toSorted()
    .map((name) => readFileSync(join(path, name)));
}

/** Reads the seeds, always in the same order. */
export function readCorpus(): Corpus {
  return {
    json: readAll('json'),
    xml: readAll('xml'),
    form: readAll('form'),
    text: readAll('text'),
  };
}
