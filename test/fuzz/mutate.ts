import { tokens } from './body-dictionary.ts';
import type { Corpus, Notation } from './corpus.ts';
import { mutateForm } from './mutate-form.ts';
import { mutateJson } from './mutate-json.ts';
import { mutateXml } from './mutate-xml.ts';
import type { Random } from './random.ts';

/** Longest body, well over the gateway's limit. */
const longest = 400_000;

function splice(bytes: Buffer, start: number, end: number, ...put: readonly Buffer[]): Buffer {
  return Buffer.concat([bytes.subarray(0, start), ...put, bytes.subarray(end)]);
}

function range(bytes: Buffer, random: Random): readonly [start: number, end: number] {
  const start = random.int(bytes.length + 1);
  const length = random.oneIn(4) ? random.int(bytes.length - start + 1) : random.int(8);
  return [start, Math.min(bytes.length, start + length)];
}

/** One change at the level of bytes. */
function mutateBytes(
  bytes: Buffer,
  seeds: readonly Buffer[],
  notation: Notation,
  random: Random,
): Buffer {
  const [start, end] = range(bytes, random);
  switch (random.int(8)) {
    case 0: {
      const flipped = Buffer.from(bytes);
      if (start < bytes.length) flipped[start] = (flipped[start] ?? 0) ^ (1 << random.int(8));
      return flipped;
    }
    case 1:
      return splice(bytes, start, start + 1, Buffer.from([random.int(256)]));
    case 2:
      return splice(bytes, start, end);
    case 3:
      return splice(bytes, start, start, bytes.subarray(start, end));
    case 4: {
      const other = random.pick(seeds);
      const [otherStart, otherEnd] = range(other, random);
      return splice(bytes, start, end, other.subarray(otherStart, otherEnd));
    }
    case 5:
      return bytes.subarray(0, start);
    case 6: {
      const times = random.oneIn(20) ? 5000 : random.oneIn(4) ? 40 : 2;
      return splice(bytes, start, start, Buffer.from(random.pick(tokens[notation]).repeat(times)));
    }
    default:
      return splice(bytes, start, end, Buffer.from(random.pick(tokens[notation])));
  }
}

/** One change to what the notation is made of; plain text is only bytes. */
function mutateParts(body: Buffer, corpus: Corpus, notation: Notation, random: Random): Buffer {
  switch (notation) {
    case 'json':
      return mutateJson(body, corpus, random);
    case 'xml':
      return mutateXml(body, corpus.xml, random);
    case 'form':
      return Buffer.from(mutateForm(body.toString(), random));
    case 'text':
      break;
  }
  return mutateBytes(body, corpus.text, notation, random);
}

/** A seed with up to three changes. */
export function mutateBody(corpus: Corpus, notation: Notation, random: Random): Buffer {
  const seeds = corpus[notation];
  let body = random.pick(seeds);
  for (let changes = random.int(4); changes > 0; changes -= 1) {
    const next = random.oneIn(5)
      ? mutateBytes(body, seeds, notation, random)
      : mutateParts(body, corpus, notation, random);
    if (next.length <= longest) body = next;
  }
  return body;
}
