import { tokens } from './body-dictionary.ts';
import type { Random } from './random.ts';

/** Names that the fields of a form or a query may get. */
const names = [
  'to',
  'To',
  'body',
  'subject',
  'type',
  'id',
  'from',
  'template',
  'dry_run',
  'format',
  'message_attributes',
  '__proto__',
  'constructor',
  '%74o',
  '%FF',
  '',
];

/** Adds, doubles, removes, moves, renames or changes a pair of a form or a query. */
export function mutateForm(text: string, random: Random): string {
  const pairs = text.split('&');
  const index = random.int(pairs.length);
  const pair = pairs[index] ?? '';
  const [name = '', ...values] = pair.split('=');
  const value = values.join('=');
  switch (random.int(8)) {
    case 0:
      pairs.splice(index, 1);
      break;
    case 1:
      pairs.splice(index, 0, ...Array<string>(random.oneIn(10) ? 100 : 1).fill(pair));
      break;
    case 2:
      pairs.splice(index, 1);
      pairs.splice(random.int(pairs.length + 1), 0, pair);
      break;
    case 3:
      pairs[index] = `${random.pick(names)}=${value}`;
      break;
    default: {
      const token = random.pick(tokens.form);
      const put = random.oneIn(2) ? token : encodeURIComponent(token);
      const start = random.int(value.length + 1);
      const end = random.oneIn(2) ? start : start + random.int(4);
      pairs[index] = `${name}=${value.slice(0, start)}${put}${value.slice(end)}`;
    }
  }
  return pairs.join('&');
}
