import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { prosodyCode } from '../support/servers/versions.ts';

/** An element as libexpat reads it, without prefixes. */
export interface Element {
  /** `{namespace}local`. */
  readonly name: string;
  /** Sorted by name, `{namespace}local`; without declarations. */
  readonly attributes: readonly (readonly [name: string, value: string])[];
  /** The default namespace that the element itself declares. */
  readonly declaredDefault: string | undefined;
  /** Adjacent text is one string. */
  readonly children: readonly (Element | string)[];
}

/** A document's root, or what is wrong with the document. */
export type Reading = { readonly root: Element } | { readonly error: string };

/** libexpat in its own process. */
export interface Expat {
  /** Reads a document in UTF-8; one at a time. */
  read(document: string): Promise<Reading>;
  stop(): Promise<void>;
}

type RawElement = readonly [
  name: string,
  attributes: readonly (readonly [string, string])[],
  declaredDefault: string | null,
  children: readonly (RawElement | string)[],
];

const script = fileURLToPath(new URL('expat.lua', import.meta.url));

function toElement([name, attributes, declaredDefault, children]: RawElement): Element {
  const merged: (Element | string)[] = [];
  for (const child of children) {
    const last = merged.at(-1);
    if (typeof child !== 'string') merged.push(toElement(child));
    else if (typeof last === 'string') merged[merged.length - 1] = last + child;
    else merged.push(child);
  }
  return {
    name,
    attributes: attributes.toSorted(([a], [b]) => (a < b ? -1 : 1)),
    declaredDefault: declaredDefault ?? undefined,
    children: merged,
  };
}

/** Starts libexpat. */
export async function startExpat(): Promise<Expat> {
  const child = spawn(prosodyCode().lua, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  let answer = '';
  let onLine: (line: string) => void = () => undefined;
  let onEnd: (error: Error) => void = () => undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
    if (!answer.endsWith('\n')) return;
    onLine(answer);
    answer = '';
  });
  const exited = once(child, 'exit').then(() => onEnd(new Error('libexpat ended')));
  await once(child, 'spawn');
  return {
    read: async (document) => {
      const bytes = Buffer.from(document);
      if (bytes.toString() !== document) return { error: 'a lone surrogate' };
      const line = await new Promise<string>((resolve, reject) => {
        onLine = resolve;
        onEnd = reject;
        child.stdin.write(`${bytes.length}\n`);
        child.stdin.write(bytes);
      });
      const reading = JSON.parse(line) as { root: RawElement } | { error: string };
      return 'error' in reading ? reading : { root: toElement(reading.root) };
    },
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
