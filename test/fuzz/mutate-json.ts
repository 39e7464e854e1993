import { jsonNames, jsonValues, tokens } from './body-dictionary.ts';
import type { Corpus } from './corpus.ts';
import { mutateXml } from './mutate-xml.ts';
import type { Random } from './random.ts';

type Fields = Record<string, unknown>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

function changeText(text: string, random: Random): string {
  const start = random.int(text.length + 1);
  const end = random.oneIn(2) ? start : start + random.int(4);
  return text.slice(0, start) + random.pick(tokens.json) + text.slice(end);
}

function changeValue(name: string, value: unknown, corpus: Corpus, random: Random): unknown {
  if (random.oneIn(6)) return random.pick(jsonValues);
  if (isFields(value)) return changeFields(value, corpus, random);
  if (Array.isArray(value)) return changeList(name, value, corpus, random);
  if (typeof value !== 'string') return random.pick(jsonValues);
  if (name === 'extra_elements' && !random.oneIn(4)) {
    return mutateXml(Buffer.from(value), corpus.xml, random).toString();
  }
  return changeText(value, random);
}

/** Adds, doubles, removes or changes an item. */
function changeList(
  name: string,
  list: readonly unknown[],
  corpus: Corpus,
  random: Random,
): unknown[] {
  const index = random.int(list.length);
  const put = (...items: readonly unknown[]): unknown[] => [
    ...list.slice(0, index),
    ...items,
    ...list.slice(index + 1),
  ];
  const item = list[index];
  switch (random.int(5)) {
    case 0:
      return put(item, random.pick(jsonValues));
    case 1:
      return put(item, item);
    case 2:
      return put();
    default:
      return put(changeValue(name, item, corpus, random));
  }
}

/** Adds, removes, renames or changes a member. */
function changeFields(fields: Fields, corpus: Corpus, random: Random): Fields {
  const entries = Object.entries(fields);
  const index = random.int(entries.length);
  const [name, value] = entries[index] ?? ['body', 'x'];
  switch (random.int(8)) {
    case 0:
      entries.push([random.pick(jsonNames), random.pick(jsonValues)]);
      break;
    case 1:
      entries.splice(index, 1);
      break;
    case 2:
      entries[index] = [random.oneIn(2) ? random.pick(jsonNames) : changeText(name, random), value];
      break;
    default:
      entries[index] = [name, changeValue(name, value, corpus, random)];
  }
  return Object.fromEntries(entries);
}

/** Changes a member of a JSON object, or else the text of the body. */
export function mutateJson(body: Buffer, corpus: Corpus, random: Random): Buffer {
  const value = parse(body);
  if (!isFields(value)) return Buffer.from(changeText(body.toString(), random));
  const changed = JSON.stringify(changeFields(value, corpus, random));
  if (!random.oneIn(20)) return Buffer.from(changed);
  // Equal names, which a JavaScript object cannot have.
  return Buffer.from(`${changed.slice(0, -1)},${changed.slice(1)}`);
}
