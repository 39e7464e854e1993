import type { ServerKind } from '../servers/xmpp-server.ts';

/** Lines to copy, and the sentence above them that says where they belong. */
export interface PrintedLines {
  readonly place: string;
  readonly lines: readonly string[];
}

/** The output of `check` with its advice indented like the lines of `init`. */
export function readAdvice(output: string): string {
  return output.replaceAll(/^ {7}/gm, '');
}

/** The lines to copy in what `init` printed, or in advice, without their common indentation. */
export function readPrintedLines(output: string): readonly PrintedLines[] {
  return [...output.matchAll(/^((?:\S.*\n)+)\n((?: {2}.*\n)+)/gm)].map(
    ([, place = '', lines = '']) => ({
      place: place.trimEnd(),
      lines: lines
        .trimEnd()
        .split('\n')
        .map((line) => line.slice(2)),
    }),
  );
}

/** Inserts printed lines into a server's configuration, at the place that they name. */
export function insertLines(
  kind: ServerKind,
  configuration: string,
  { place, lines }: PrintedLines,
): string {
  return kind === 'prosody'
    ? insertIntoLua(configuration, place, lines)
    : insertIntoYaml(configuration, place, lines);
}

function insertIntoLua(configuration: string, place: string, lines: readonly string[]): string {
  const text = `${lines.join('\n')}\n`;
  if (place.endsWith('at its end:')) return `${configuration}\n${text}`;
  if (/above all VirtualHost lines( of prosody\.cfg\.lua)?:$/.test(place)) {
    return configuration.replace(/^(?=VirtualHost )/m, () => text);
  }
  const [, block] = /below (?:the line )?((?:VirtualHost|Component) "[^"]+")/.exec(place) ?? [];
  if (block === undefined || !configuration.includes(`${block}\n`)) {
    throw new Error(`expected a place in prosody.cfg.lua, got ${place}`);
  }
  return configuration.replace(`${block}\n`, () => `${block}\n${text}`);
}

function insertIntoYaml(configuration: string, place: string, lines: readonly string[]): string {
  if (/\bat its end\b/.test(place)) return `${configuration}\n${lines.join('\n')}\n`;
  const [, key] = /\bunder (\w+)/.exec(place) ?? [];
  if (key === undefined) throw new Error(`expected a place in ejabberd.yml, got ${place}`);
  return insertUnder(configuration, key, lines);
}

/** Adds entries to a mapping or list at the top level, replacing those with the same key. */
function insertUnder(configuration: string, key: string, lines: readonly string[]): string {
  const [before, section, after] = splitAtSection(configuration, key);
  const changed = splitEntries(lines).reduce((text, entry) => {
    const [name] = /^\w+:/.exec(entry[0] ?? '') ?? [];
    const present = new RegExp(`^ {2}${name}.*\n(?: {3}.*\n)*`, 'm');
    const added = entry.map((line) => `  ${line}\n`).join('');
    return added + (name === undefined ? text : text.replace(present, ''));
  }, section);
  return before + changed + after;
}

/** What comes before the entries below a key at the top level, the entries, and the rest. */
function splitAtSection(configuration: string, key: string): readonly [string, string, string] {
  const head = `\n${key}:\n`;
  const start = configuration.indexOf(head) + head.length;
  if (start < head.length) throw new Error(`expected ${key}: in ejabberd.yml`);
  const rest = configuration.slice(start);
  const length = rest.search(/^[^\s#]/m);
  const end = length === -1 ? rest.length : length;
  return [configuration.slice(0, start), rest.slice(0, end), rest.slice(end)];
}

/** The entries, each with its indented lines. */
function splitEntries(lines: readonly string[]): string[][] {
  const entries: string[][] = [];
  for (const line of lines) {
    if (line.startsWith(' ')) entries.at(-1)?.push(line);
    else entries.push([line]);
  }
  return entries;
}
