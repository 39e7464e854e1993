import { tokens } from './body-dictionary.ts';
import type { Random } from './random.ts';

/** Tags and the text between them. */
function split(text: string): string[] {
  return text.match(/<[^>]*>|[^<]+|</g) ?? [];
}

function isStartTag(piece: string): boolean {
  return /^<[^/!?].*[^/]>$/s.test(piece);
}

function nameOf(tag: string): string {
  return /^<\/?([^\s/>]*)/.exec(tag)?.[1] ?? '';
}

function endTag(tag: string): string {
  return `</${nameOf(tag)}>`;
}

/** Approximate index after the end tag that belongs to the start tag at `start`. */
function endOf(pieces: readonly string[], start: number): number {
  const tag = pieces[start] ?? '';
  if (!isStartTag(tag)) return start + 1;
  let depth = 0;
  for (let index = start; index < pieces.length; index += 1) {
    const piece = pieces[index] ?? '';
    if (nameOf(piece) !== nameOf(tag)) continue;
    if (piece === endTag(tag)) depth -= 1;
    else if (isStartTag(piece)) depth += 1;
    if (depth === 0) return index + 1;
  }
  return start + 1;
}

/** Adds an attribute to a tag, or changes the value of one. */
function changeTag(tag: string, random: Random): string {
  const attributes = tokens.xml.filter((token) => token.startsWith(' '));
  const close = /\/?>$/.exec(tag);
  const added = random.pick(attributes);
  if (random.oneIn(2) || !tag.includes('=')) {
    return close === null ? tag + added : tag.slice(0, close.index) + added + close[0];
  }
  const values = [...tag.matchAll(/=\s*(["'])(.*?)\1/gs)];
  if (values.length === 0) return tag;
  const value = random.pick(values);
  const quote = value[1] ?? '';
  const put = random.oneIn(3) ? '' : random.oneIn(2) ? random.pick(tokens.xml) : `${value[2]}&#xA;`;
  const start = value.index;
  return `${tag.slice(0, start)}=${quote}${put}${quote}${tag.slice(start + value[0].length)}`;
}

/** Moves, doubles, nests or renames an element, or inserts one of another seed. */
export function mutateXml(body: Buffer, seeds: readonly Buffer[], random: Random): Buffer {
  const pieces = split(body.toString());
  if (pieces.length === 0) return body;
  const start = random.int(pieces.length);
  const end = endOf(pieces, start);
  const element = pieces.slice(start, end);
  const tag = pieces[start] ?? '';
  const put = (...changed: readonly string[]): Buffer =>
    Buffer.from([...pieces.slice(0, start), ...changed, ...pieces.slice(end)].join(''));
  switch (random.int(9)) {
    case 0:
      return put();
    case 1:
      return put(...element, ...element);
    case 2: {
      const times = random.oneIn(10) ? 3000 : 1 + random.int(40);
      const name = random.pick(['x', 'p:x', 'body', 'message', nameOf(tag)]);
      return put(`<${name}>`.repeat(times), ...element, `</${name}>`.repeat(times));
    }
    case 3: {
      const other = split(random.pick(seeds).toString());
      const from = random.int(other.length);
      return put(...element, ...other.slice(from, endOf(other, from)));
    }
    case 4:
      return put(random.pick(tokens.xml), ...element);
    case 5: {
      const name = random.pick([
        'x',
        'p:x',
        'xml:x',
        'body',
        'received',
        'stream:error',
        'é',
        '\u0370',
      ]);
      return put(
        ...element.map((it) => (nameOf(it) === nameOf(tag) ? it.replace(nameOf(tag), name) : it)),
      );
    }
    case 6: {
      const target = random.int(pieces.length);
      const rest = [...pieces.slice(0, start), ...pieces.slice(end)];
      return Buffer.from([...rest.slice(0, target), ...element, ...rest.slice(target)].join(''));
    }
    default:
      return put(changeTag(tag, random), ...element.slice(1));
  }
}
